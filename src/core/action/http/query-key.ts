/**
 * Whether every parser reads a query key as it is: 1 to 128 ASCII letters, digits, `_`, `-` and `$`. Other characters have a
 * meaning somewhere: brackets make lists and objects (qs, PHP, Rails), so do dots (Spring, optionally qs); PHP turns dots and
 * spaces into `_`, truncates at NUL and trims leading spaces; Spring strips `!`; FHIR reads `name:exact` as `name`.
 */
export const isPlainKey = (key: string): boolean => /^[A-Za-z0-9_$-]{1,128}$/.test(key);

/**
 * Normalises a name as the most lenient parser compares it: ignoring case, spaces and punctuation, so that `accountId`,
 * `account_id`, `Account-Id` and `[account.id]` are equal.
 */
export const looseKey = (key: string): string =>
  key
    .toUpperCase()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '');

/** The part of a key before its first bracket or dot, under which parsers create a list or object. */
export const rootOfKey = (key: string): string => /^[^[.]*/.exec(key)?.[0] ?? '';

/**
 * Parameters from which frameworks take the method: `_method` (Rails, Laravel, Symfony, Spring, method-override), `_HttpMethod`
 * (Salesforce), and the equivalent header names; normalised by `methodKey`.
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
 * Whether a query overrides the method in a key that some parser honours. Fields are separated by `&` and `;`; keys are
 * percent-decoded and normalised by `methodKey`. Linear time. Never throws.
 */
export function namesMethod(query: string): boolean {
  // No override is spelt without one of these.
  if (!/method|%/i.test(query)) return false;
  return query.split(/[&;]/).some((field) => OVERRIDES.has(methodKey(asciiDecoded(field))));
}

/**
 * Normalises a key as PHP, Rack, qs and Spring do: leading spaces, brackets and punctuation removed, truncated at NUL and at
 * the first bracket; dots, spaces and hyphens become `_`; lower case.
 */
function methodKey(field: string): string {
  const [word = ''] = /^[\w.$ \t-]*/.exec(field.replace(/^(?:[\s[\]!]|_(?=_))+/, '')) ?? [];
  return word
    .trimEnd()
    .replaceAll(/[. \t-]/g, '_')
    .toLowerCase();
}

/** Decodes ASCII escapes; invalid escapes stay as they are, as in most parsers. */
const asciiDecoded = (text: string): string =>
  text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
