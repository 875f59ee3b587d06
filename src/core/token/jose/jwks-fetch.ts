import { httpExchange } from '../../runtime/system/http-exchange.ts';
import { MAX_JWKS_BYTES } from './jwks.ts';
import type { JwksFetch } from './jwks-refresh.ts';

/**
 * Returns a function that fetches the JSON Web Key Set at an `https:` URL. Follows no redirects, accepts no content coding and at
 * most `MAX_JWKS_BYTES`. The caller's signal bounds the time.
 *
 * @param ca PEM certificates of accepted CAs; the runtime's if absent
 * @throws TypeError if the URL is not `https:`
 */
export function httpsJwksFetch(url: string, ca?: string | readonly string[]): JwksFetch {
  const target = new URL(url);
  if (target.protocol !== 'https:') throw new TypeError('the URL of a key server must be `https:`');
  const tls = ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] };
  return async (signal, etag) => {
    const accept = 'application/jwk-set+json, application/json';
    const headers = { accept, ...(etag === null ? {} : { 'if-none-match': etag }) };
    const answer = await httpExchange(target, { headers, maxBytes: MAX_JWKS_BYTES, signal, tls });
    if (answer.fault === 'content-coding') throw new Error('the key set has a content coding');
    if (answer.fault === 'too-long') throw new Error(`the key set is larger than ${MAX_JWKS_BYTES} bytes`);
    return {
      status: answer.status,
      body: answer.body,
      maxAgeSeconds: maxAgeFrom(answer.headers['cache-control']),
      etag: answer.headers.etag ?? null,
    };
  };
}

/** `max-age` in seconds; 0 if the answer must not be cached; `null` if the header says neither. */
function maxAgeFrom(cacheControl = ''): number | null {
  const directives = cacheControl.toLowerCase().split(',');
  if (directives.some((directive) => ['no-store', 'no-cache'].includes(directive.trim()))) return 0;
  const maxAge = directives.map((directive) => /^\s*max-age=(\d{1,9})\s*$/.exec(directive)?.[1]).find(Boolean);
  return maxAge === undefined ? null : Number(maxAge);
}
