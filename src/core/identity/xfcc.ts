import { deny, isDeny, type Deny } from '../decision/decision.ts';

/** One element of `x-forwarded-client-cert`: what one proxy wrote about its peer. Certificates are left out. */
export interface XfccElement {
  /** URI names of the proxy that wrote the element. */
  readonly by: readonly string[];
  /** SHA-256 of the DER of the peer's certificate, base64url; `null` if there is none. */
  readonly sha256: string | null;
  /** URI name of the peer, not yet parsed. `''` means a certificate without a URI name, `null` an element without `URI`. */
  readonly uri: string | null;
  /** RFC 2253 subject of the peer, with its escapes. */
  readonly subject: string | null;
  /** DNS names of the peer. */
  readonly dns: readonly string[];
}

/** Longest header accepted, in bytes; it must be ASCII. */
export const MAX_XFCC_BYTES = 16 * 1024;

/** Most elements of a header: the most proxies on one path. */
export const MAX_XFCC_ELEMENTS = 16;

/** Every key, and whether an element may repeat it. Envoy may repeat `URI` too, but an X509-SVID has a single URI name. */
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
 * One pair and its terminator. A bare value is printable ASCII without space, `"`, `,`, `;` and `=`. In a quoted value a
 * backslash escapes the next character (RFC 2253); in Envoy's own grammar it escapes a quote only. If the two grammars end the value at
 * different quotes (`\\"`), the pair does not match.
 */
const PAIR = /([A-Za-z]+)=(?:"((?:[ !#-[\]-~]|\\[ -[\]-~]|\\\\(?!"))*)"|([!#-+\--:<>-~]*))([,;]|$)/y;

/**
 * The elements of one `x-forwarded-client-cert` value, oldest first: the last describes the immediate peer.
 *
 * Envoy does not escape the URI and DNS names it writes, so a hostile certificate can add pairs and elements. The parser is
 * therefore strict and all-or-nothing. It denies with `identity.invalid`: the JSON form, unknown keys, a repeated key other
 * than those that may repeat, stray quotes, empty elements, white space around a pair, trailing text, more than 16 KiB or 16
 * elements.
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
    if (match === null) return invalid(`xfcc must be \`key=value\` pairs: unexpected text at byte ${at}`);
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
    if (kind === undefined) return invalid('xfcc has an unknown key');
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
