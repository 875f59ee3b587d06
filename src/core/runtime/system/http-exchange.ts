import { type Agent, request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps, type RequestOptions } from 'node:https';
import { types } from 'node:util';

/** One HTTP request and its bounds. */
export interface HttpExchange {
  /** Default `GET`. */
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Most bytes of the answer's body. The rest of a longer body is not read. */
  readonly maxBytes: number;
  /** Bounds the duration of the whole exchange, to the last byte of the answer: `AbortSignal.timeout(ms)`. */
  readonly signal: AbortSignal;
  /**
   * Trust anchors (`ca`), client certificate (`cert`, `key`), name of the server and its check. Default: those of the runtime. A text of trust
   * anchors without a certificate is refused.
   */
  readonly tls?: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'checkServerIdentity' | 'servername'>;
  /** Called once the TLS connection is verified: nothing of the request was sent before. Default not at all. */
  readonly onSecure?: () => void;
  /** Path of the Unix socket to connect to instead of the host of the URL. */
  readonly socketPath?: string;
  /** Keeps connections for further exchanges. Default none: each has a connection of its own. */
  readonly agent?: Agent;
}

/** An answer of any status. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** At most `maxBytes`; with a `fault`, the part before it. */
  readonly body: Buffer;
  /** Why `body` cannot be used: it exceeds `maxBytes`, or has a content coding although none was accepted. `null` if it can. */
  readonly fault: 'too-long' | 'content-coding' | null;
}

const CERTIFICATE = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/;
/** For Node.js an empty text is no text: a CA file that was emptied would make every public CA trusted. */
const NO_ANCHOR = 'there is no CA certificate in PEM to verify the server with: none is trusted';

/**
 * Makes one request to an `http:` or `https:` URL, with TLS 1.2 or later. It follows no redirect and accepts no
 * content coding. Rejects if no whole answer arrives, with an error for {@link failureWords}, which contains no header and no body.
 */
export async function httpExchange(url: string | URL, exchange: HttpExchange): Promise<HttpAnswer> {
  const { agent = false, method = 'GET', headers, body, maxBytes, onSecure, signal, socketPath, tls } = exchange;
  const target = new URL(url);
  if (typeof tls?.ca === 'string' && !CERTIFICATE.test(tls.ca)) throw new Error(NO_ANCHOR);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const options = { agent, method, signal, headers: { 'accept-encoding': 'identity', ...headers }, socketPath };
  const asked =
    target.protocol === 'https:'
      ? requestHttps(target, { ...options, minVersion: 'TLSv1.2', ...tls })
      : requestHttp(target, options);
  if (onSecure !== undefined)
    asked.once('socket', (socket) => (asked.reusedSocket ? onSecure() : socket.once('secureConnect', onSecure)));
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
    // Leaving the loop destroys the connection, so nothing more is received.
    if (left < 0) return { bytes: Buffer.concat(chunks), isWhole: false };
  }
  return { bytes: Buffer.concat(chunks), isWhole: true };
}

/** The message of an error of an exchange; its code if several addresses were tried and failed. */
export function failureWords(error: unknown): string {
  if (!types.isNativeError(error)) return 'unknown error';
  return error.message || failureCode(error);
}

/** Its code, such as `ECONNREFUSED`; its name if it has no code. */
export function failureCode(error: unknown): string {
  if (!types.isNativeError(error)) return 'unknown error';
  return 'code' in error ? String(error.code) : error.name;
}
