import type { TextPlace } from '../../core/runtime/text-place.ts';

const MAX_COLUMN = 160;

/** A text for excerpts of findings. */
export interface ShownText {
  /** A line by its 1-based number; `''` if it does not exist. */
  readonly lineAt: (line: number) => string;
}

/**
 * The line of a finding with carets under it, from its place to `end` or one column wide. Empty if the line does not exist or
 * the place is beyond 160 columns. Control characters become `?`, so that no file can control a terminal.
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

/** The lines of a text, split lazily and once, since thousands of findings may refer to one large file. */
export function textWithLines(text: string): ShownText {
  let lines: readonly string[] | null = null;
  return { lineAt: (line) => (lines ??= text.split('\n'))[line - 1] ?? '' };
}

const plain = (text: string): string => text.replaceAll('\t', ' ').replaceAll(/\p{C}/gu, '?');
