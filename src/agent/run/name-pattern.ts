/** Patterns of names of variables, such as `DB_*`. */

/** Rule of a pattern, in words for a message. */
export const NAME_PATTERN_RULE = 'the name of a variable, in which `*` stands for any characters';

/** Whether a text is a pattern for names of variables: at most 256 printable characters without `=` and blanks. */
export const isNamePattern = (text: string): boolean => /^[^\s=\p{Cc}]{1,256}$/u.test(text);

/** Whether a name matches one of the patterns, as a whole and case-sensitively. Linear in the name, whatever the pattern. */
export function nameMatcher(patterns: readonly string[]): (name: string) => boolean {
  const split = patterns.map((pattern) => pattern.split('*'));
  return (name) => split.some((pieces) => isMatch(name, pieces));
}

/** Finds the pieces between the stars in order, each as early as possible. */
function isMatch(name: string, [first = '', ...more]: readonly string[]): boolean {
  const last = more.at(-1);
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const piece of more.slice(0, -1)) {
    const found = name.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
