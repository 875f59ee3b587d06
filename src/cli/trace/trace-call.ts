import { spawn } from 'node:child_process';
import { basename } from 'node:path';
import { failureCode, httpExchange } from '../../core/runtime/system/http-exchange.ts';
import type { Ports } from '../../core/runtime/ports.ts';

/** A call to fire: a command, or a GET of a URL. */
export type CallToFire =
  { readonly kind: 'command'; readonly words: readonly string[] } | { readonly kind: 'url'; readonly url: string };

/** A call with the trace context by which its check is found. */
export interface MarkedCall {
  readonly call: CallToFire;
  /** `null` if the call carries none: then any check that matches is shown. */
  readonly traceId: string | null;
}

const MAX_BODY_BYTES = 65_536;

/** Gives a call a trace context of its own: a GET and `curl` by a header. Other commands are left as they are. */
export function markedCall(
  call: CallToFire,
  { randomBytes }: Pick<Ports, 'randomBytes'>,
): MarkedCall & { readonly traceparent: string } {
  const traceId = Buffer.from(randomBytes(16)).toString('hex');
  const traceparent = `00-${traceId}-${Buffer.from(randomBytes(8)).toString('hex')}-01`;
  if (call.kind === 'url') return { call, traceId, traceparent };
  const [command = '', ...args] = call.words;
  if (basename(command) !== 'curl') return { call, traceId: null, traceparent };
  const words = [command, '--header', `traceparent: ${traceparent}`, ...args];
  return { call: { kind: 'command', words }, traceId, traceparent };
}

/** Fires a call; resolves with how it ended, in words. `timeoutMs` bounds only a GET. The output of a command goes to stderr. */
export const fire = (
  { call, traceparent }: MarkedCall & { readonly traceparent: string },
  on: { readonly environment: Readonly<Record<string, string | undefined>>; readonly timeoutMs: number },
): Promise<string> =>
  call.kind === 'url' ? fireUrl(call.url, traceparent, on.timeoutMs) : fireCommand(call.words, on.environment);

async function fireUrl(url: string, traceparent: string, timeoutMs: number): Promise<string> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { status, headers } = await httpExchange(url, { headers: { traceparent }, maxBytes: MAX_BODY_BYTES, signal });
    const { 'x-remit-decision': decision } = headers;
    return `answered ${status}${typeof decision === 'string' ? ` (${decision})` : ''}`;
  } catch (error) {
    return `got no answer: ${failureCode(error)}`;
  }
}

function fireCommand(
  [command = '', ...args]: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 2, 2], env: { ...environment } });
    child.once('error', (error) => resolve(`could not be started: ${failureCode(error)}`));
    child.once('exit', (code, signal) => resolve(`ended with ${signal ?? `exit code ${code}`}`));
  });
}
