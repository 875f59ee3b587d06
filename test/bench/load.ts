import { request } from 'node:http';
import type { Latency } from './statistics.ts';

/** One call of a load generator. */
export interface LoadCall {
  readonly path: string;
  readonly token: string;
}

/** The calls of a load generator, repeated from the first after the last. */
export interface Load {
  readonly host: string;
  readonly method: 'GET' | 'POST';
  /** The `x-forwarded-client-cert` header. */
  readonly xfcc: string;
  readonly calls: readonly LoadCall[];
  /** JSON body of every call. */
  readonly body?: string;
  /** Whether no call may be repeated in a run; then its size must be known beforehand. */
  readonly isOnce?: boolean;
}

/** One measured run. */
export interface Run extends Latency {
  readonly requests: number;
  /** Answers with status 200. */
  readonly requestsPerSecond: number;
  /** Answers with another status. */
  readonly failed: number;
  /** Processor time of the server under load per request, in microseconds; `null` where there is none. */
  readonly cpuUs: number | null;
}

/** The headers of one call. `Host` is capitalised: otherwise wrk adds its own. */
export const headersOf = ({ host, xfcc, body }: Load, { token }: LoadCall): Readonly<Record<string, string>> => ({
  Host: host,
  authorization: `Bearer ${token}`,
  'x-forwarded-client-cert': xfcc,
  ...(body === undefined ? {} : { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }),
});

/** Makes one call, and returns its answer, with the reason where Remit denied it. */
export function answerTo(
  port: number,
  load: Load,
  call: LoadCall,
): Promise<{ readonly status: number; readonly text: string; readonly denied: string | null }> {
  return new Promise((settle, reject) => {
    const options = { host: '127.0.0.1', port, method: load.method, path: call.path, headers: headersOf(load, call) };
    const asked = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const decided = String(response.headers['x-remit-decision'] ?? '');
        const denied = /^deny;reason=([a-z.-]+)/.exec(decided)?.[1] ?? null;
        settle({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8'), denied });
      });
    });
    asked.on('error', reject).end(load.body);
  });
}

/** Makes the last call of a load once, and throws where it is not allowed: denials must not be benchmarked by mistake. */
export async function mustBeAllowed(port: number, load: Load): Promise<void> {
  const call = load.calls.at(-1);
  if (call === undefined) throw new Error('a load without calls');
  const { status, text, denied } = await answerTo(port, load, call);
  if (status !== 200 || denied !== null)
    throw new Error(`the call \`${load.method} ${call.path}\` is not allowed: ${status} ${text}`);
}

/** Makes the last call of a load once, and throws where it is not denied for the reason. */
export async function mustBeDenied(port: number, load: Load, reason: string): Promise<void> {
  const call = load.calls.at(-1);
  if (call === undefined) throw new Error('a load without calls');
  const { status, text, denied } = await answerTo(port, load, call);
  if (denied !== reason) throw new Error(`the call must be denied for \`${reason}\`: ${status} ${text}`);
}

/** As `mustBeAllowed`, within some seconds: on a loaded machine the first use of a token at a sidecar may be late. */
export async function mustBeAllowedSoon(port: number, load: Load): Promise<void> {
  for (let tries = 20; ; tries -= 1) {
    try {
      return await mustBeAllowed(port, load);
    } catch (error) {
      if (tries === 1) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
