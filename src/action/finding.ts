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
  /** Just after the last character that it is about; left out where only the beginning is known. */
  readonly end?: TextPlace;
  /** Id of the policy that it is about; left out or `null` where there is none. */
  readonly policy?: string | null;
}

/** A place in a text. */
export interface TextPlace {
  /** From 1. */
  readonly line: number;
  /** From 1, in characters (code points). */
  readonly column: number;
}

/**
 * Gives the line and column of offsets in a text, which it reads once.
 *
 * @returns of an offset in UTF-16 code units, as JavaScript counts; beyond the end counts as the end
 */
export function placesIn(text: string): (offset: number) => TextPlace {
  const lineStarts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lineStarts.push(at + 1);
  return (offset) => {
    const line = lastAtMost(lineStarts, offset);
    return { line: line + 1, column: Array.from(text.slice(lineStarts[line], Math.max(0, offset))).length + 1 };
  };
}

/** Index of the last of the ascending values that is at most the given one; 0 where there is none. */
function lastAtMost(values: readonly number[], value: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((values[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Findings in the order a reader meets them: by file, line and column; of one place, by message. */
export const inReadingOrder = <Some extends Finding>(findings: readonly Some[]): readonly Some[] =>
  findings.toSorted(
    (a, b) =>
      inCodeUnits(a.file, b.file) || a.line - b.line || a.column - b.column || inCodeUnits(a.message, b.message),
  );

const inCodeUnits = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
