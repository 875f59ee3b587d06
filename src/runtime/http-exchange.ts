import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps, type RequestOptions } from 'node:https';
import { types } from 'node:util';

/** One request over HTTP, and what bounds it. */
export interface HttpExchange {
  /** Default `GET`. */
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Bytes of the answer's body at most; the rest of a longer one is not read. */
  readonly maxBytes: number;
  /** How long all of it may take, to the last byte of the answer: `AbortSignal.timeout(ms)`. */
  readonly signal: AbortSignal;
  /** Anchors (`ca`), client certificate (`cert`, `key`) and the check of the server's name; those of the runtime where absent. */
  readonly tls?: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'checkServerIdentity'>;
}

/** An answer, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** At most `maxBytes`; what came before the bound where there is a `fault`. */
  readonly body: Buffer;
  /** Why `body` is not what the server means: it is longer than `maxBytes`, or in a coding although none was accepted. */
  readonly fault: 'too-long' | 'content-coding' | null;
}

/**
 * Makes one request at an `http:` or `https:` URL over a connection of its own, TLS 1.2 or later. Follows no redirect and accepts no
 * content coding. Rejects where no whole answer comes, with an error for {@link failureWords}: none of it has headers or bodies.
 */
export async function httpExchange(url: string | URL, exchange: HttpExchange): Promise<HttpAnswer> {
  const { method = 'GET', headers, body, maxBytes, signal, tls } = exchange;
  const target = new URL(url);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const options = { agent: false, method, signal, headers: { 'accept-encoding': 'identity', ...headers } };
  const asked =
    target.protocol === 'https:'
      ? requestHttps(target, { ...options, minVersion: 'TLSv1.2', ...tls })
      : requestHttp(target, options);
  asked.once('response', resolve).on('error', reject).end(body);
  const answer = await promise;
  const isCoded = (answer.headers['content-encoding'] ?? 'identity') !== 'identity';
  const { bytes, isWhole } = isCoded ? { bytes: Buffer.alloc(0), isWhole: true } : await bodyOf(answer, maxBytes);
  if (isCoded) answer.destroy();
  const fault = isWhole ? null : 'too-long';
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    body: bytes,
    fault: isCoded ? 'content-coding' : fault,
  };
}

async function bodyOf(answer: IncomingMessage, maxBytes: number): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const chunks: Buffer[] = [];
  let left = maxBytes;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk.subarray(0, left));
    left -= chunk.length;
    // Leaving the loop destroys the connection, so that no more is received.
    if (left < 0) return { bytes: Buffer.concat(chunks), isWhole: false };
  }
  return { bytes: Buffer.concat(chunks), isWhole: true };
}

/** What an error of an exchange says of itself: its message, or its code where several addresses were tried and have failed. */
export function failureWords(error: unknown): string {
  if (!types.isNativeError(error)) return 'unknown error';
  return error.message || failureCode(error);
}

/** Its code, such as `ECONNREFUSED`; for an error without one its name. */
export function failureCode(error: unknown): string {
  if (!types.isNativeError(error)) return 'unknown error';
  return 'code' in error ? String(error.code) : error.name;
}
