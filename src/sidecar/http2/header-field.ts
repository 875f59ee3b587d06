/** A header field or pseudo-header field. Each character is one byte. */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
  readonly isNameSound: boolean;
  /** Whether name and value contain allowed characters only. @see RFC 9113 section 8.2.1 */
  readonly isSound: boolean;
}

/** A token in lower case, prefixed with a colon for a pseudo-header field. */
const NAME = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Matches CR, LF and NUL anywhere, and white space at either end. */
// oxlint-disable-next-line no-control-regex -- matches control characters on purpose
const UNSOUND_VALUE = /[\x00\n\r]|^[ \t]|[ \t]$/;

/** A field with this name and value. */
export const fieldOf = (name: string, value: string): HeaderField => field(name, value, NAME.test(name));

/**
 * A field with the name of an existing field. INVARIANT: O(1) in the length of the name, because a client can send a name of
 * 4,000 characters once and then refer to it with two bytes in thousands of fields.
 */
export const fieldNamedAs = ({ name, isNameSound }: HeaderField, value: string): HeaderField =>
  field(name, value, isNameSound);

const field = (name: string, value: string, isNameSound: boolean): HeaderField => ({
  name,
  value,
  isNameSound,
  isSound: isNameSound && !UNSOUND_VALUE.test(value),
});

/** The size of a field, as the dynamic table and the limit of a list count it. @see RFC 7541 section 4.1 */
export const fieldSize = ({ name, value }: HeaderField): number => name.length + value.length + 32;

/** The static table, indexed from 1. @see RFC 7541 appendix A */
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
