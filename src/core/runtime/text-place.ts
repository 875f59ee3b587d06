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

/** Index of the last of the ascending values that is at most `value`; 0 if there is none. */
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
