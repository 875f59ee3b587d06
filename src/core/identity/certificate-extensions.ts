/** Extensions of a certificate, read strictly from its DER. */

/** Object identifiers of the extensions read here, as hex of their DER content. */
export const BASIC_CONSTRAINTS = '551d13';
export const KEY_USAGE = '551d0f';
export const SUBJECT_ALTERNATIVE_NAME = '551d11';

/** A DER element: its identifier octet and its content. */
export interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
}

const BOOLEAN = 0x01;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const SEQUENCE = 0x30;
const TBS_EXTENSIONS = 0xa3;
const URI_NAME = 0x86;
/** The GeneralNames that are text: rfc822Name, dNSName, uniformResourceIdentifier. */
const TEXT_NAMES: ReadonlySet<number> = new Set([0x81, 0x82, URI_NAME]);

/**
 * The extensions of a certificate: object identifier (hex of its content) to DER value.
 *
 * `node:crypto` parses certificates with OpenSSL but does not show key usage, and its `ca` is false for a CA whose key usage
 * lacks keyCertSign, so this parses the extensions again. `null` if this strict parser refuses the certificate: indefinite
 * or over-long lengths, trailing bytes, a repeated extension.
 *
 * @see RFC 5280 sections 4.1 and 4.2
 */
export function extensionsFrom(der: Uint8Array): ReadonlyMap<string, Uint8Array> | null {
  const certificate = sequenceIn(der);
  const tbs = certificate?.[0]?.tag === SEQUENCE ? elementsIn(certificate[0].content) : null;
  if (tbs === null) return null;
  const wrapped = tbs.find((element) => element.tag === TBS_EXTENSIONS);
  const list = wrapped === undefined ? [] : sequenceIn(wrapped.content);
  if (list === null) return null;

  const extensions = new Map<string, Uint8Array>();
  for (const extension of list) {
    const [id, ...rest] = (extension.tag === SEQUENCE ? elementsIn(extension.content) : null) ?? [];
    const [value, ...others] = rest[0]?.tag === BOOLEAN ? rest.slice(1) : rest;
    if (id?.tag !== OBJECT_IDENTIFIER || value?.tag !== OCTET_STRING || others.length > 0) return null;
    const name = Buffer.from(id.content).toString('hex');
    if (extensions.has(name)) return null;
    extensions.set(name, value.content);
  }
  return extensions;
}

/**
 * The URI names of a subject alternative name, as Latin-1; empty if there is no such extension. `null` if it cannot be parsed
 * or a text name contains NUL: parsers that stop at a NUL would see another name.
 */
export function uriNamesIn(subjectAlternativeName: Uint8Array | undefined): readonly string[] | null {
  const names = subjectAlternativeName === undefined ? [] : sequenceIn(subjectAlternativeName);
  if (names === null || names.some((name) => TEXT_NAMES.has(name.tag) && name.content.includes(0))) return null;
  return names.filter((name) => name.tag === URI_NAME).map((name) => Buffer.from(name.content).toString('latin1'));
}

/** The elements of the one SEQUENCE that `der` holds, or `null`. */
export function sequenceIn(der: Uint8Array): readonly Element[] | null {
  const [sequence, ...rest] = elementsIn(der) ?? [];
  return sequence?.tag === SEQUENCE && rest.length === 0 ? elementsIn(sequence.content) : null;
}

/** The elements that fill `der` exactly, or `null`. Contents are views, not copies. */
export function elementsIn(der: Uint8Array): readonly Element[] | null {
  const elements: Element[] = [];
  for (let at = 0; at < der.length;) {
    const header = headerAt(der, at);
    if (header === null || header.end > der.length) return null;
    elements.push({ tag: header.tag, content: der.subarray(header.start, header.end) });
    at = header.end;
  }
  return elements;
}

/**
 * Parses an element's header: short form, or a minimal long form of one or two bytes, since no certificate here exceeds 64 KiB.
 */
function headerAt(der: Uint8Array, at: number): { tag: number; start: number; end: number } | null {
  const [tag = 0, first = 0xff, second = 0, third = 0] = der.subarray(at, at + 4);
  if ((tag & 0x1f) === 0x1f) return null;
  if (first < 0x80) return { tag, start: at + 2, end: at + 2 + first };
  if (first === 0x81 && second >= 0x80) return { tag, start: at + 3, end: at + 3 + second };
  if (first === 0x82 && second > 0) return { tag, start: at + 4, end: at + 4 + second * 256 + third };
  return null;
}
