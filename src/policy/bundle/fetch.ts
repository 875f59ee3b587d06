import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Problem } from '../../token/members.ts';
import { MAX_BUNDLE_BYTES } from './bundle.ts';

/** What an address answered: a bundle, or that it is still the one of that ETag. */
export type FetchedBundle =
  { readonly kind: 'bundle'; readonly text: string; readonly etag: string | null } | { readonly kind: 'unchanged' };

/** Asks for a bundle, with the ETag of the last one. Never rejects. */
export type FetchBundle = (etag: string | null) => Promise<FetchedBundle | Problem>;

const TIMEOUT_MS = 10_000;

/**
 * Fetches the bundle at an `https:` URL, over a connection of its own. Follows no redirect, takes no content coding, gives
 * up after 10 s and at `MAX_BUNDLE_BYTES`.
 *
 * @param ca PEM certificates that may vouch for the server; `null` for those of the runtime
 */
export function httpsBundle(url: string, ca: string | null): FetchBundle {
  return (etag) =>
    new Promise((resolve) => {
      const headers = {
        accept: 'application/jose',
        'accept-encoding': 'identity',
        ...(etag === null ? {} : { 'if-none-match': etag }),
      };
      const failed = (error: unknown): void => resolve({ problem: `could not be fetched: ${codeOf(error)}` });
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      request(url, { agent: false, signal, headers, ...(ca === null ? {} : { ca }) }, (answer) => {
        answerFrom(answer).then(resolve, failed);
      })
        .on('error', failed)
        .end();
    });
}

async function answerFrom(answer: IncomingMessage): Promise<FetchedBundle | Problem> {
  if (answer.statusCode === 304) {
    answer.destroy();
    return { kind: 'unchanged' };
  }
  if (answer.statusCode !== 200) {
    answer.destroy();
    return { problem: `could not be fetched: status ${answer.statusCode ?? 0}` };
  }
  if ((answer.headers['content-encoding'] ?? 'identity') !== 'identity') {
    answer.destroy();
    return { problem: 'has a content coding' };
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > MAX_BUNDLE_BYTES) return { problem: `is larger than ${MAX_BUNDLE_BYTES} bytes` };
    chunks.push(part);
  }
  return { kind: 'bundle', text: Buffer.concat(chunks).toString('utf8'), etag: answer.headers.etag ?? null };
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';
