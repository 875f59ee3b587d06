/** An error in a file that an operator wrote, with its place. A set with findings is never loaded. */
export interface Finding {
  /** Path as the operator gave it. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in code points. */
  readonly column: number;
  readonly message: string;
  /** How to fix it, where that is known. */
  readonly help: string | null;
  /** Just after the last affected character; absent where only the start is known. */
  readonly end?: TextPlace;
  /** Id of the affected policy; absent or `null` where there is none. */
  readonly policy?: string | null;
}

/** A place in a text. */
export interface TextPlace {
  /** 1-based. */
  readonly line: number;
  /** 1-based, in code points. */
  readonly column: number;
}

/**
 * Maps offsets in a text to line and column. Scans the text once.
 *
 * @returns for an offset in UTF-16 code units; an offset beyond the end counts as the end
 */
export function placesIn(text: string): (offset: number) => TextPlace {
  const lineStarts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lineStarts.push(at + 1);
  return (offset) => {
    const line = lastAtMost(lineStarts, offset);
    return { line: line + 1, column: Array.from(text.slice(lineStarts[line], Math.max(0, offset))).length + 1 };
  };
}

/** Index of the last of the ascending values that is at most `value`; 0 where there is none. */
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

/** Findings sorted by file, line, column and message. */
export const inReadingOrder = <Some extends Finding>(findings: readonly Some[]): readonly Some[] =>
  findings.toSorted(
    (a, b) =>
      inCodeUnits(a.file, b.file) || a.line - b.line || a.column - b.column || inCodeUnits(a.message, b.message),
  );

const inCodeUnits = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
