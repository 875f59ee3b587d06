/** What the name of a member says of its value, and of all that lies below it. */

/** All of it is secret; what looks random is; or the name says nothing. */
export type SecretHint = 'secret' | 'secret-if-random' | 'none';

/** Names whose value is a secret, in lower case without `-` and `_`. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  'accesstoken',
  'apikey',
  'apitoken',
  'authtoken',
  'clientsecret',
  'password',
  'privatetoken',
  'secret',
]);
/** Names whose value is a secret only if it looks like a secret: pages and objects have keys and tokens too. */
const AMBIGUOUS_NAMES: ReadonlySet<string> = new Set(['auth', 'key', 'token']);

/** Separators of names in one text, as in `user[password]`, `db.password` and `_meta/password`. */
const NESTING = /[[\].:/]/;

/** The names in a text, the outermost first. */
export const nestedNames = (text: string): readonly string[] => text.split(NESTING).filter((name) => name !== '');

/** What a single name says. */
export function hintOfName(name: string): SecretHint {
  const plain = name.toLowerCase().replaceAll(/[-_]/g, '');
  if (SECRET_NAMES.has(plain)) return 'secret';
  return AMBIGUOUS_NAMES.has(plain) ? 'secret-if-random' : 'none';
}

/**
 * What a name says together with the names above it: a secret-like name says it of everything below. Linear in the name.
 *
 * @param name a name, or several that nest: `user[password]`, `inputs/login`
 * @param above what the names above it say; default nothing
 */
export function hintOf(name: string, above: SecretHint = 'none'): SecretHint {
  let hint = above;
  for (const word of hint === 'secret' ? [] : nestedNames(name)) {
    const own = hintOfName(word);
    if (own === 'secret') return own;
    if (own !== 'none') hint = own;
  }
  return hint;
}

/**
 * What the names before the last in a text say: of `password[value]` those of `value`.
 *
 * @param above what the names above all of them say; default nothing
 */
export const hintAbove = (name: string, above: SecretHint = 'none'): SecretHint =>
  nestedNames(name)
    .slice(0, -1)
    .reduce<SecretHint>((outer, word) => hintOf(word, outer), above);
