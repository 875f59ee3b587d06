import { failureCode, type HttpAnswer, httpExchange } from '../../runtime/system/http-exchange.ts';
import type { Problem } from '../../runtime/problem.ts';
import { MAX_BUNDLE_BYTES } from './bundle.ts';

/** The answer of an address: a bundle, or that the bundle with that ETag is current. */
export type FetchedBundle =
  { readonly kind: 'bundle'; readonly text: string; readonly etag: string | null } | { readonly kind: 'unchanged' };

/** Asks for a bundle with the ETag of the last bundle. Never rejects. */
export type FetchBundle = (etag: string | null) => Promise<FetchedBundle | Problem>;

const TIMEOUT_MS = 10_000;

/**
 * Fetches the bundle at an `https:` URL. Follows no redirect, takes no content coding, gives up after 10 s and at
 * `MAX_BUNDLE_BYTES`.
 *
 * @param ca PEM certificates of accepted CAs; `null` for those of the runtime
 */
export function httpsBundle(url: string, ca: string | null): FetchBundle {
  return async (etag) => {
    const headers = { accept: 'application/jose', ...(etag === null ? {} : { 'if-none-match': etag }) };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    try {
      const tls = ca === null ? {} : { ca };
      return bundleIn(await httpExchange(url, { headers, maxBytes: MAX_BUNDLE_BYTES, signal, tls }));
    } catch (error) {
      return { problem: `could not be fetched: ${failureCode(error)}` };
    }
  };
}

function bundleIn({ status, headers, body, fault }: HttpAnswer): FetchedBundle | Problem {
  if (status === 304) return { kind: 'unchanged' };
  if (status !== 200) return { problem: `could not be fetched: status ${status}` };
  if (fault === 'content-coding') return { problem: 'has a content coding' };
  if (fault === 'too-long') return { problem: `is larger than ${MAX_BUNDLE_BYTES} bytes` };
  return { kind: 'bundle', text: body.toString('utf8'), etag: headers.etag ?? null };
}
