/** A header line, or a pseudo header. Each character is a byte. */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
  readonly isNameSound: boolean;
  /** Whether name and value are made of what they may be made of. @see RFC 9113 section 8.2.1 */
  readonly isSound: boolean;
}

/** A token without upper-case letters, with a colon before it for a pseudo header. */
const NAME = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Nothing that ends a line, no NUL, and no blank at an edge. */
// oxlint-disable-next-line no-control-regex -- control characters are what this looks for
const UNSOUND_VALUE = /[\x00\n\r]|^[ \t]|[ \t]$/;

/** A field of these. */
export const fieldOf = (name: string, value: string): HeaderField => field(name, value, NAME.test(name));

/**
 * A field named as one that is there. INVARIANT: what it costs does not grow with the name, since a client says one of 4,000
 * characters once, and then in two bytes for each of thousands of fields.
 */
export const fieldNamedAs = ({ name, isNameSound }: HeaderField, value: string): HeaderField =>
  field(name, value, isNameSound);

const field = (name: string, value: string, isNameSound: boolean): HeaderField => ({
  name,
  value,
  isNameSound,
  isSound: isNameSound && !UNSOUND_VALUE.test(value),
});

/** What a field counts for in a table and in the limit of a list. @see RFC 7541 section 4.1 */
export const fieldSize = ({ name, value }: HeaderField): number => name.length + value.length + 32;

/** The fields that are numbered from 1 on, for everybody and for ever. @see RFC 7541 appendix A */
export const staticFields: readonly HeaderField[] = (
  [
    [':authority', ''],
    [':method', 'GET'],
    [':method', 'POST'],
    [':path', '/'],
    [':path', '/index.html'],
    [':scheme', 'http'],
    [':scheme', 'https'],
    [':status', '200'],
    [':status', '204'],
    [':status', '206'],
    [':status', '304'],
    [':status', '400'],
    [':status', '404'],
    [':status', '500'],
    ['accept-charset', ''],
    ['accept-encoding', 'gzip, deflate'],
    ['accept-language', ''],
    ['accept-ranges', ''],
    ['accept', ''],
    ['access-control-allow-origin', ''],
    ['age', ''],
    ['allow', ''],
    ['authorization', ''],
    ['cache-control', ''],
    ['content-disposition', ''],
    ['content-encoding', ''],
    ['content-language', ''],
    ['content-length', ''],
    ['content-location', ''],
    ['content-range', ''],
    ['content-type', ''],
    ['cookie', ''],
    ['date', ''],
    ['etag', ''],
    ['expect', ''],
    ['expires', ''],
    ['from', ''],
    ['host', ''],
    ['if-match', ''],
    ['if-modified-since', ''],
    ['if-none-match', ''],
    ['if-range', ''],
    ['if-unmodified-since', ''],
    ['last-modified', ''],
    ['link', ''],
    ['location', ''],
    ['max-forwards', ''],
    ['proxy-authenticate', ''],
    ['proxy-authorization', ''],
    ['range', ''],
    ['referer', ''],
    ['refresh', ''],
    ['retry-after', ''],
    ['server', ''],
    ['set-cookie', ''],
    ['strict-transport-security', ''],
    ['transfer-encoding', ''],
    ['user-agent', ''],
    ['vary', ''],
    ['via', ''],
    ['www-authenticate', ''],
  ] as const
).map(([name, value]) => fieldOf(name, value));
