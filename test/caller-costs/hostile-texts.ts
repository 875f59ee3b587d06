/** What a hostile text repeats: delimiters, openings without an end, beginnings of what is looked for, and letters that fold or expand. */
export const UNITS: readonly string[] = [
  ['a', 'A', '0', ' ', '\t', '\n', '\r\n', '\0', '\u007f'],
  ['/', '//', '://', 'a://', 'a:', 'a@', 'a:b@', '@', ':', '?', '#', '&', '&a=', '=', ';', ','],
  ['.', '..', '-', '_', '~', '+', '*', '|', '^', '$', '!'],
  ['%', '%2', '%41', '%c3', '\\', '\\"', '"', "'", '{', '[', '{"a":', '<', '('],
  ['é', 'ﷺ', '😀', '\ud800'],
  ['eyJ', '-----BEGIN '],
].flat();

/** How it ends, so that what was read up to there is read again, or not at all. */
export const TAILS: readonly string[] = ['', '!', '@', '"', '/', '\n'];

/** A text of so many characters. */
export const hostileText = (unit: string, tail: string, chars: number): string =>
  unit.repeat(Math.ceil(chars / unit.length)).slice(0, Math.max(0, chars - tail.length)) + tail;
