import { readFile } from 'node:fs/promises';
import type { Agent } from 'node:https';
import { isObject } from '../../../core/runtime/fields.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';
import { failureWords, httpExchange } from '../../../core/runtime/system/http-exchange.ts';
import type { HttpAnswer } from '../../../core/runtime/system/http-exchange.ts';

/** Where signals are pushed to. */
export interface PushTarget {
  /** An `https:` URL. */
  readonly url: string;
  /** File with the bearer token of this transmitter, read at each push; `null`: none is sent. */
  readonly tokenFile: string | null;
  /** File with the CA certificates that verify the server, in PEM, read at each push; `null`: those of Node.js. */
  readonly ca: string | null;
}

/** How a push is made. */
interface Pushing {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Keeps connections for the next pushes. */
  readonly agent: Agent;
}

/** What became of a push. Words for the log never have a token. */
export type Pushed =
  | { readonly result: 'taken'; readonly status: number }
  /** The receiver will never take this signal. */
  | { readonly result: 'refused'; readonly detail: string }
  /** It may take it later. */
  | { readonly result: 'failed'; readonly detail: string };

/** How long a push may take, to the last byte of the answer. */
const PUSH_MS = 10_000;
const MAX_ANSWER_BYTES = 4_096;
/** Characters of a bearer token. @see RFC 6750 section 2.1 */
const BEARER = /^[A-Za-z0-9._~+/=-]{1,4096}$/;
/** Characters of what a receiver says that are logged. */
const MAX_WORDS = 200;

/**
 * Pushes a signed Security Event Token. Follows no redirect, and verifies the certificate of the receiver. Never rejects.
 *
 * @see RFC 8935 section 2
 */
export async function pushSet(token: string, target: PushTarget, { agent, signal }: Pushing): Promise<Pushed> {
  const authorization = await authorizationOf(target.tokenFile);
  if (isProblem(authorization)) return { result: 'failed', detail: authorization.problem };
  try {
    const ca = target.ca === null ? null : await readFile(target.ca, 'utf8');
    const answer = await httpExchange(target.url, {
      method: 'POST',
      headers: { 'content-type': 'application/secevent+jwt', accept: 'application/json', ...authorization },
      body: token,
      maxBytes: MAX_ANSWER_BYTES,
      agent,
      signal: AbortSignal.any([signal, AbortSignal.timeout(PUSH_MS)]),
      ...(ca === null ? {} : { tls: { ca } }),
    });
    return pushedBy(answer);
  } catch (error) {
    return { result: 'failed', detail: failureWords(error) };
  }
}

async function authorizationOf(file: string | null): Promise<{ readonly authorization?: string } | Problem> {
  if (file === null) return {};
  try {
    const token = (await readFile(file, 'utf8')).trim();
    return BEARER.test(token)
      ? { authorization: `Bearer ${token}` }
      : { problem: `\`${file}\` does not have a bearer token of at most 4096 characters` };
  } catch (error) {
    return { problem: `\`${file}\` cannot be read: ${errorCode(error) ?? 'unknown error'}` };
  }
}

/**
 * What an answer means. Only `invalid_request` is about the signal itself; any other error may be corrected at either side, such
 * as a key that the receiver does not know yet.
 */
function pushedBy({ body, fault, status }: HttpAnswer): Pushed {
  if (status >= 200 && status < 300) return { result: 'taken', status };
  const { err, words } = fault === null ? errorIn(body) : { err: null, words: '' };
  const detail = `the receiver answered ${status}${words}`;
  return status === 400 && err === 'invalid_request' ? { result: 'refused', detail } : { result: 'failed', detail };
}

function errorIn(body: Buffer): { readonly err: string | null; readonly words: string } {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    if (!isObject(value) || typeof value['err'] !== 'string') return { err: null, words: '' };
    const description = typeof value['description'] === 'string' ? value['description'] : '';
    return { err: value['err'], words: ` ${printable(`${value['err']} ${description}`)}` };
  } catch {
    return { err: null, words: '' };
  }
}

const printable = (text: string): string =>
  text
    .slice(0, MAX_WORDS)
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .trim();
