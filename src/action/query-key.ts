/**
 * Whether every parser reads a key of a query as it stands: 1 to 128 ASCII letters, digits, `_`, `-` and `$`. Everything else
 * has a meaning somewhere: brackets make lists and objects (qs, PHP, Rails), dots too (Spring, qs on demand), PHP turns dots
 * and blanks into `_`, cuts at NUL and drops blanks in front, Spring strips `!`, and FHIR reads `name:exact` as `name`.
 */
export const isPlainKey = (key: string): boolean => /^[A-Za-z0-9_$-]{1,128}$/.test(key);

/**
 * A name as the most careless of readers compares it: letter case, blanks and punctuation aside, so that `accountId`,
 * `account_id`, `Account-Id` and `[account.id]` are one.
 */
export const looseKey = (key: string): string =>
  key
    .toUpperCase()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '');

/** The name in front of the first bracket or dot of a key: parsers make a list or an object of that name. */
export const rootOfKey = (key: string): string => /^[^[.]*/.exec(key)?.[0] ?? '';

/**
 * Parameters that frameworks take the method from: `_method` (Rails, Laravel, Symfony, Spring, method-override), `_HttpMethod`
 * (Salesforce), and the names of the headers that do the same; spelt as `methodKey` spells them.
 */
const OVERRIDES: ReadonlySet<string> = new Set([
  '_method',
  '_httpmethod',
  '_http_method',
  'x_http_method',
  'x_http_method_override',
  'x_method_override',
]);

/**
 * Whether a query names another method in a key that any parser reads so: fields are separated by `&` and `;`, and a key is
 * percent-decoded, and compared as `methodKey` spells it. Linear in the length. Never throws.
 */
export function namesMethod(query: string): boolean {
  // An override is not spelt without one of these.
  if (!/method|%/i.test(query)) return false;
  return query.split(/[&;]/).some((field) => OVERRIDES.has(methodKey(asciiDecoded(field))));
}

/**
 * The first word of a key, as PHP, Rack, qs and Spring find it: without blanks, brackets and marks in front, cut at NUL and
 * at the first bracket, a dot, a blank or a hyphen read as `_`, in lower case.
 */
function methodKey(field: string): string {
  const [word = ''] = /^[\w.$ \t-]*/.exec(field.replace(/^(?:[\s[\]!]|_(?=_))+/, '')) ?? [];
  return word
    .trimEnd()
    .replaceAll(/[. \t-]/g, '_')
    .toLowerCase();
}

/** Decoded as far as ASCII goes: what is no escape stays as it is, as with most parsers. */
const asciiDecoded = (text: string): string =>
  text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
