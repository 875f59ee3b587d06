import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { MAX_JWKS_BYTES } from './jwks.ts';
import type { JwksFetch, JwksResponse } from './jwks-refresh.ts';

/**
 * Fetches the JSON Web Key Set at an `https:` URL of the configuration, over a connection of its own. Follows no
 * redirect, takes no content coding, gives up at `MAX_JWKS_BYTES`; how long it may take is the signal's to say.
 *
 * @param ca PEM certificates that may vouch for the server; those of the runtime where absent
 * @throws TypeError where the URL is not `https:`
 */
export function httpsJwksFetch(url: string, ca?: string | readonly string[]): JwksFetch {
  const target = new URL(url);
  if (target.protocol !== 'https:') throw new TypeError('the URL of a key server must be `https:`');
  const authorities = ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] };
  return (signal, etag) =>
    new Promise((resolve, reject) => {
      const headers = {
        accept: 'application/jwk-set+json, application/json',
        'accept-encoding': 'identity',
        ...(etag === null ? {} : { 'if-none-match': etag }),
      };
      request(target, { agent: false, signal, headers, ...authorities }, (answer) => {
        responseFrom(answer).then(resolve, reject);
      })
        .on('error', reject)
        .end();
    });
}

async function responseFrom(answer: IncomingMessage): Promise<JwksResponse> {
  if ((answer.headers['content-encoding'] ?? 'identity') !== 'identity') {
    answer.destroy();
    throw new Error('the key set has a content coding');
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    // Leaving the loop destroys the connection, so that no more is received.
    if (bytes > MAX_JWKS_BYTES) throw new Error(`the key set is larger than ${MAX_JWKS_BYTES} bytes`);
    chunks.push(part);
  }
  return {
    status: answer.statusCode ?? 0,
    body: Buffer.concat(chunks),
    maxAgeSeconds: maxAgeFrom(answer.headers['cache-control']),
    etag: answer.headers.etag ?? null,
  };
}

/** `max-age` in seconds; 0 for an answer that must not be kept; `null` where the header says neither. */
function maxAgeFrom(cacheControl = ''): number | null {
  const directives = cacheControl.toLowerCase().split(',');
  if (directives.some((directive) => ['no-store', 'no-cache'].includes(directive.trim()))) return 0;
  const maxAge = directives.map((directive) => /^\s*max-age=(\d{1,9})\s*$/.exec(directive)?.[1]).find(Boolean);
  return maxAge === undefined ? null : Number(maxAge);
}
