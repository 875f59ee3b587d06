/** Wildcard of a skeleton: it matches any character. */
const ANY = '*';

/**
 * Characters that are invisible or only separate: combining marks, white space, controls, zero-width characters, and punctuation
 * that joins words.
 */
const UNSEEN = /[\p{M}\p{Z}\p{C}\p{Default_Ignorable_Code_Point}_\-./:]/gu;

/** ASCII that looks like other ASCII, as UTS 39 maps it, in lower case. */
const ASCII_LIKE: readonly (readonly [RegExp, string])[] = [
  [/0/g, 'o'],
  [/[1i|]/g, 'l'],
  [/5/g, 's'],
  [/rn/g, 'm'],
  [/vv/g, 'w'],
];

/**
 * What a name looks like: in lower case, without invisible and separating characters, and with one character for all that look
 * alike. A non-ASCII character becomes a wildcard: which character it looks like depends on the font, and a table of look-alikes
 * would have gaps. Compatibility forms, such as full-width and mathematical letters, are decomposed to ASCII first.
 *
 * @see UTS 39 section 4, UAX 15
 */
export function nameSkeleton(name: string): string {
  const seen = name.normalize('NFKD').replaceAll(UNSEEN, '').toLowerCase();
  const folded = ASCII_LIKE.reduce((text, [like, as]) => text.replaceAll(like, as), seen);
  return Array.from(folded, (character) => (character < '\u0080' ? character : ANY)).join('');
}

/** Whether two skeletons may be of names that look alike. */
export function looksLike(one: string, other: string): boolean {
  if (one.length !== other.length || one === '') return false;
  for (let at = 0; at < one.length; at += 1) {
    const [a, b] = [one[at], other[at]];
    if (a !== b && a !== ANY && b !== ANY) return false;
  }
  return true;
}
