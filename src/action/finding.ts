/** Something wrong in a file that an operator wrote, with its place. A set with findings is never loaded. */
export interface Finding {
  /** As the operator named it, folder included. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in characters (code points). */
  readonly column: number;
  readonly message: string;
  /** What would cure it, where that is known. */
  readonly help: string | null;
}

/** A place in a text. */
export interface Place {
  /** From 1. */
  readonly line: number;
  /** From 1, in characters (code points). */
  readonly column: number;
}

/**
 * The line and column of an offset.
 *
 * @param offset in UTF-16 code units, as JavaScript counts; beyond the end counts as the end
 */
export function placeAt(text: string, offset: number): Place {
  const before = text.slice(0, Math.max(0, offset));
  const lineStart = before.lastIndexOf('\n') + 1;
  let line = 1;
  for (let at = before.indexOf('\n'); at !== -1; at = before.indexOf('\n', at + 1)) line += 1;
  return { line, column: Array.from(before.slice(lineStart)).length + 1 };
}

/** Findings in the order a reader meets them: by file, line and column. */
export const inReadingOrder = (findings: readonly Finding[]): readonly Finding[] =>
  findings.toSorted(
    (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  );
