/** A report as blocks, from which Markdown and HTML are made. */

/** A piece of a line: plain text, code, or strong text. Text from records is shown and never becomes markup. */
export type Inline = string | { readonly code: string } | { readonly strong: string };

/** A line of text. */
export type Line = readonly Inline[];

/** A block of a report. */
export type Block =
  | { readonly kind: 'heading'; readonly level: 1 | 2 | 3; readonly line: Line }
  | { readonly kind: 'text'; readonly line: Line }
  | { readonly kind: 'list'; readonly items: readonly Line[] }
  /** `more`: how many rows were left out. */
  | {
      readonly kind: 'table';
      readonly head: readonly string[];
      readonly rows: readonly TableRow[];
      readonly more: number;
    }
  | { readonly kind: 'code'; readonly text: string };

/** The cells of a row. */
export type TableRow = readonly Line[];

/** Most rows of a table of names, and most names in a line; the JSON report has all. */
export const MAX_TABLE_ROWS = 50;

/** Code within a line. */
export const code = (text: string): Inline => ({ code: text });

/** Strong text within a line. */
export const strong = (text: string): Inline => ({ strong: text });

/** A line of our own words, in which backticks mark code. Never for text from records. */
export const prose = (words: string): Line =>
  words.split('`').flatMap((part, index) => (index % 2 === 1 ? [code(part)] : part === '' ? [] : [part]));

/** A line without its marks. */
export const lineText = (line: Line): string =>
  line.map((inline) => (typeof inline === 'string' ? inline : 'code' in inline ? inline.code : inline.strong)).join('');

/** A heading. */
export const heading = (level: 1 | 2 | 3, ...line: Line): Block => ({ kind: 'heading', level, line });

/** A paragraph. */
export const textBlock = (...line: Line): Block => ({ kind: 'text', line });

/** A list. */
export const list = (...items: readonly Line[]): Block => ({ kind: 'list', items });

/** A table of at most 50 rows, each made by `row`; a paragraph `none` if there are no rows. */
export function table<T>(head: readonly string[], rows: readonly T[], row: (of: T) => TableRow): Block {
  if (rows.length === 0) return textBlock('none');
  const shown = rows.slice(0, MAX_TABLE_ROWS);
  return { kind: 'table', head, rows: shown.map(row), more: rows.length - shown.length };
}

/** Texts with `, ` between them; at most `max`, then how many more there are. */
export function listBlock<T>(all: readonly T[], max: number, show: (of: T) => Line): Line {
  if (all.length === 0) return ['none'];
  const shown = all.slice(0, max).map(show);
  if (all.length > max) shown.push([`${all.length - max} more`]);
  const pieces: Inline[] = [];
  for (const [index, line] of shown.entries()) pieces.push(...(index === 0 ? [] : [', ']), ...line);
  return pieces;
}
