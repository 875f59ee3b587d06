/** Patterns of SPIFFE IDs. */
import type { SpiffeId } from './spiffe-id.ts';

/** What a pattern must be, for a problem. */
export const NO_SPIFFE_ID_PATTERN = 'invalid SPIFFE ID; `*` stands for any part of one segment of its path';

/** Whether a text is a SPIFFE ID in whose path `*` matches any part of one segment: `spiffe://acme.test/ns/tools/sa/web-*`. */
export const isSpiffeIdPattern = (value: string): boolean =>
  /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._*-]+)+$/.test(value) && value.length <= 2048;

/** Whether an ID matches a pattern, segment by segment. */
export function matchesSpiffeId(pattern: string, id: SpiffeId): boolean {
  const wanted = pattern.split('/');
  const found = id.split('/');
  // The scheme and the trust domain are compared as they are: `*` never reaches another trust domain.
  return (
    wanted.length === found.length &&
    wanted.every((segment, at) => (at < 3 ? segment === found[at] : segmentMatches(segment, found[at] ?? '')))
  );
}

/**
 * Whether a pattern of agents covers an ID. As {@link matchesSpiffeId}, but a last segment that is `*` alone matches all that
 * follows: `spiffe://acme.test/ns/legacy/*` covers the whole namespace.
 */
export function coversSpiffeId(pattern: string, id: SpiffeId): boolean {
  if (!pattern.endsWith('/*')) return matchesSpiffeId(pattern, id);
  const depth = pattern.split('/').length;
  const found = id.split('/');
  // Safe: the beginning of an ID up to a whole segment is an ID.
  return found.length >= depth && matchesSpiffeId(pattern, found.slice(0, depth).join('/') as SpiffeId);
}

/** Compares the texts between the stars from left to right, in linear time. */
function segmentMatches(pattern: string, segment: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop();
  if (tail === undefined) return pattern === segment;
  if (!segment.startsWith(head)) return false;
  let at = head.length;
  for (const part of rest) {
    const found = segment.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return segment.length - tail.length >= at && segment.endsWith(tail);
}
