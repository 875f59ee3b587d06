/** JSON that a terminal can show: what `printable` would replace is escaped, so nothing of the value is lost. */
const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * A value as JSON in which each control and format character is an escape such as `\u009b`: no terminal obeys it, and a parser reads
 * the value as it was. With `indent` the JSON has several lines.
 */
export const printableJson = (value: unknown, indent?: number): string =>
  // The line feeds of an indented text are the only such characters that `JSON.stringify` leaves outside of strings.
  JSON.stringify(value, null, indent).replaceAll(UNPRINTABLE, escaped);

/** One escape for each UTF-16 unit, as JSON has it. */
const escaped = (character: string): string =>
  Array.from(
    { length: character.length },
    (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join('');
