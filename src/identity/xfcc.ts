import { deny, isDeny, type Deny } from '../decision/decision.ts';

/** What one proxy wrote about its peer in `x-forwarded-client-cert`. The certificates in it are left out. */
export interface XfccElement {
  /** URI names of the proxy that wrote the element. */
  readonly by: readonly string[];
  /** SHA-256 of the DER of the peer's certificate, base64url; `null` where there is none. */
  readonly sha256: string | null;
  /** URI name of the peer, not yet parsed. `''` is a certificate without one, `null` an element that does not say. */
  readonly uri: string | null;
  /** RFC 2253 subject of the peer, its escapes kept. */
  readonly subject: string | null;
  /** DNS names of the peer. */
  readonly dns: readonly string[];
}

/** Longest header that is read, in bytes; it must be ASCII. */
export const MAX_XFCC_BYTES = 16 * 1024;

/** Most elements in one header, which is most proxies on one path. */
export const MAX_XFCC_ELEMENTS = 16;

/** Every key of the header, and whether an element may repeat it. Envoy may repeat `URI` too; an X509-SVID has one. */
const KEYS: ReadonlyMap<string, 'once' | 'repeats'> = new Map([
  ['by', 'repeats'],
  ['hash', 'once'],
  ['cert', 'once'],
  ['chain', 'once'],
  ['subject', 'once'],
  ['issuer', 'once'],
  ['uri', 'once'],
  ['dns', 'repeats'],
]);

/**
 * One pair and what ends it. A bare value is printable ASCII without space, `"`, `,`, `;` and `=`. In a quoted value a
 * backslash takes the next character with it, as RFC 2253 has it; Envoy's own grammar has the backslash escape a quote
 * alone. Where the two would end the value at different quotes (`\\"`), the pair does not match.
 */
const PAIR = /([A-Za-z]+)=(?:"((?:[ !#-[\]-~]|\\[ -[\]-~]|\\\\(?!"))*)"|([!#-+\--:<>-~]*))([,;]|$)/y;

/**
 * The elements of one `x-forwarded-client-cert` value, oldest first: the last is of the immediate peer.
 *
 * Envoy does not escape the URI and DNS names it writes, so a hostile certificate can add pairs and elements. This reads
 * strictly and all or nothing: the JSON form, an unknown key, a second value of a key that has one (`URI` among them), a
 * stray quote, an empty element, white space around a pair, trailing text, more than 16 KiB or more than 16 elements deny
 * the whole header with `identity.invalid`.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert
 */
export function xfccFrom(value: string): readonly XfccElement[] | Deny {
  if (value.length > MAX_XFCC_BYTES) return invalid(`xfcc must be at most ${MAX_XFCC_BYTES} bytes`);
  if (value.startsWith('[') || value.startsWith('{')) return invalid('xfcc in its json form is not accepted');
  const pairs = pairsFrom(value);
  if (isDeny(pairs)) return pairs;
  if (pairs.length > MAX_XFCC_ELEMENTS) return invalid(`xfcc must have at most ${MAX_XFCC_ELEMENTS} elements`);
  const elements: XfccElement[] = [];
  for (const element of pairs.map(elementFrom)) {
    if (isDeny(element)) return element;
    elements.push(element);
  }
  return elements;
}

interface Pair {
  readonly key: string;
  readonly value: string;
}

/** The pairs of each element, keys in lower case. */
function pairsFrom(text: string): readonly (readonly Pair[])[] | Deny {
  let pairs: Pair[] = [];
  const elements = [pairs];
  for (let at = 0, more = true; more;) {
    PAIR.lastIndex = at;
    const match = PAIR.exec(text);
    if (match === null) return invalid(`xfcc must be \`key=value\` pairs, it is not at byte ${at}`);
    const [whole, key = '', quoted, bare = '', end] = match;
    pairs.push({ key: key.toLowerCase(), value: quoted ?? bare });
    if (end === ',') elements.push((pairs = []));
    more = end !== '';
    at += whole.length;
  }
  return elements;
}

function elementFrom(pairs: readonly Pair[]): XfccElement | Deny {
  const values = new Map<string, string[]>();
  for (const { key, value } of pairs) {
    const kind = KEYS.get(key);
    if (kind === undefined) return invalid('xfcc holds an unknown key');
    const held = values.get(key);
    if (held === undefined) values.set(key, [value]);
    else if (kind === 'repeats') held.push(value);
    else return invalid(`an xfcc element must have \`${key}\` at most once`);
  }
  const all = (key: string): readonly string[] => values.get(key) ?? [];
  const one = (key: string): string | null => all(key)[0] ?? null;
  const hash = one('hash');
  if (hash !== null && !/^[0-9A-Fa-f]{64}$/.test(hash)) return invalid('`hash` of xfcc must be 64 hex digits');
  return {
    by: all('by'),
    sha256: hash === null ? null : Buffer.from(hash, 'hex').toString('base64url'),
    uri: one('uri'),
    subject: one('subject'),
    dns: all('dns'),
  };
}

const invalid = (detail: string): Deny => deny('identity.invalid', detail);
