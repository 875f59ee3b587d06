import type { TextPlace } from '../action/finding.ts';

const MAX_COLUMN = 160;

/** A text that findings are shown with. */
export interface ShownText {
  /** A line by its number, from 1; `''` where there is none. */
  readonly lineAt: (line: number) => string;
}

/**
 * The line of a text that a finding is about, with carets under it as far as `end`, or one under its place. Nothing where there is no such line or it
 * stands beyond 160 columns; control characters become `?`, so that no file can write to a terminal.
 */
export function excerptOf(
  { lineAt }: ShownText,
  { line, column, end }: TextPlace & { readonly end?: TextPlace },
): readonly string[] {
  const characters = Array.from(lineAt(line));
  if (characters.length === 0 || column > MAX_COLUMN) return [];
  const shown = characters.slice(0, MAX_COLUMN).join('').trimEnd();
  const margin = `  ${line} | `;
  const padding = ' '.repeat(margin.length - 2);
  const until = end?.line === line ? Math.min(end.column, MAX_COLUMN + 1) : column + 1;
  const carets = '^'.repeat(Math.max(1, until - column));
  return [`${margin}${plain(shown)}`, `${padding}| ${' '.repeat(column - 1)}${carets}`];
}

/** A text as excerpts are shown of it. It is split once it is asked, since thousands of findings may ask a large file. */
export function shownText(text: string): ShownText {
  let lines: readonly string[] | null = null;
  return { lineAt: (line) => (lines ??= text.split('\n'))[line - 1] ?? '' };
}

const plain = (text: string): string => text.replaceAll('\t', ' ').replaceAll(/\p{C}/gu, '?');
