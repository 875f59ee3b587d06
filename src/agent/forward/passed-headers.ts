import type { LocalUrls } from './local/local-urls.ts';

/** Header lines as a flat list: name, value, name, value, in the order received. */
export type HeaderLines = readonly string[];

/** Of one connection, so never passed on. @see RFC 9110 section 7.6.1 */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
]);

/** Credentials of the client, and what it claims about who called whom: the upstream must learn neither from it. */
const CREDENTIALS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'dpop',
  'forwarded',
  'x-real-ip',
  'x-envoy-external-address',
  'txn-token',
  'remit-task',
]);
const CREDENTIAL_PREFIX = 'x-forwarded-';

/** Leads a client to a sign-in of its own, or to the upstream past the forwarder. */
const LEADING_AWAY: ReadonlySet<string> = new Set(['www-authenticate', 'proxy-authenticate', 'alt-svc']);

/** The header lines of a request for the upstream, without those that the forwarder writes itself. */
export const passedRequestLines = (lines: HeaderLines, local: Pick<LocalUrls, 'hidden'>): string[] =>
  withoutLocal(
    kept(lines, (name) => !isCredential(name) && !REWRITTEN.has(name) && name[0] !== ':'),
    local,
  );

const REWRITTEN: ReadonlySet<string> = new Set(['host', 'origin', 'content-length']);

/** The lines of an answer that the client gets. */
export const passedAnswerLines = (lines: HeaderLines): string[] =>
  kept(lines, (name) => !LEADING_AWAY.has(name) && name[0] !== ':');

/** The trailers of a request that the upstream gets. */
export const passedRequestTrailers = (lines: HeaderLines, local: Pick<LocalUrls, 'hidden'>): string[] =>
  withoutLocal(passedAnswerTrailers(lines), local);

/** The trailers of an answer that the client gets. */
export const passedAnswerTrailers = (lines: HeaderLines): string[] =>
  kept(lines, (name) => !isCredential(name) && !FRAMING.has(name) && !LEADING_AWAY.has(name));

/** Names that must not come in trailers. @see RFC 9110 section 6.5.1 */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'host', 'content-encoding', 'content-type', 'trailer']);

const isCredential = (name: string): boolean => CREDENTIALS.has(name) || name.startsWith(CREDENTIAL_PREFIX);

function kept(lines: HeaderLines, isKept: (name: string) => boolean): string[] {
  const named = connectionNames(lines);
  const result: string[] = [];
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const name = lines[at] ?? '';
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || named?.has(lower) === true || !isKept(lower)) continue;
    result.push(name, lines[at + 1] ?? '');
  }
  return result;
}

/** The lines with local URLs replaced by those of the upstream, without lines that would still show a secret. */
function withoutLocal(lines: HeaderLines, local: Pick<LocalUrls, 'hidden'>): string[] {
  const result: string[] = [];
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const value = local.hidden(lines[at + 1] ?? '');
    if (value !== null) result.push(lines[at] ?? '', value);
  }
  return result;
}

/** The headers that `Connection` declares to be of this connection only; `null` for none. */
function connectionNames(lines: HeaderLines): ReadonlySet<string> | null {
  let names: Set<string> | null = null;
  for (const value of valuesOf(lines, 'connection')) {
    if (value === 'keep-alive' || value === 'close') continue;
    names ??= new Set();
    for (const name of value.split(',')) names.add(name.trim().toLowerCase());
  }
  return names;
}

/** The lines without those of a header. @param name in lower case */
export const linesWithout = (lines: HeaderLines, name: string): string[] =>
  lines.filter((_, at) => lines[at - (at % 2)]?.toLowerCase() !== name);

/** All values of a header. @param name in lower case */
export function valuesOf(lines: HeaderLines, name: string): readonly string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const written = lines[at] ?? '';
    if (written.length === name.length && written.toLowerCase() === name) values.push(lines[at + 1] ?? '');
  }
  return values;
}
