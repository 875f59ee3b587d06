import type { TextPlace } from '../action/finding.ts';

const MAX_COLUMN = 160;

/**
 * The line of a text that a finding is about, with carets under it as far as `end`, or one under its place. Nothing where there is no such line or it
 * stands beyond 160 columns; control characters become `?`, so that no file can write to a terminal.
 */
export function excerptOf(
  text: string,
  { line, column, end }: TextPlace & { readonly end?: TextPlace },
): readonly string[] {
  const characters = Array.from(lineAt(text, line));
  if (characters.length === 0 || column > MAX_COLUMN) return [];
  const shown = characters.slice(0, MAX_COLUMN).join('').trimEnd();
  const margin = `  ${line} | `;
  const padding = ' '.repeat(margin.length - 2);
  const until = end?.line === line ? Math.min(end.column, MAX_COLUMN + 1) : column + 1;
  const carets = '^'.repeat(Math.max(1, until - column));
  return [`${margin}${plain(shown)}`, `${padding}| ${' '.repeat(column - 1)}${carets}`];
}

/** A line by its number, from 1; `''` where there is none. Without splitting the text, which thousands of findings ask of a large file. */
function lineAt(text: string, line: number): string {
  let start = 0;
  for (let before = 1; before < line; before += 1) {
    const end = text.indexOf('\n', start);
    if (end < 0) return '';
    start = end + 1;
  }
  const end = text.indexOf('\n', start);
  return text.slice(start, end < 0 ? undefined : end);
}

const plain = (text: string): string => text.replaceAll('\t', ' ').replaceAll(/\p{C}/gu, '?');
