/** The edit distance of two texts, counting a swap of neighbours as 1; `null` above `within`. Its cost is bounded by `within`. */
export function changesWithin(a: string, b: string, within: number): number | null {
  if (Math.abs(a.length - b.length) > within) return null;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  return distanceWithin(a.slice(start, a.length - end), b.slice(start, b.length - end), within);
}

/**
 * Damerau-Levenshtein distance (optimal string alignment) in UTF-16 code units, `null` above `within`. Reads a band of
 * `2 * within + 1` cells of each row, since cells further from the diagonal are above `within`.
 */
function distanceWithin(a: string, b: string, within: number): number | null {
  let before: readonly number[] = [];
  let row: readonly number[] = Array.from({ length: Math.min(b.length, within) + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next: number[] = [];
    let least = Infinity;
    if (i <= within) next[0] = i;
    for (let j = Math.max(1, i - within); j <= Math.min(b.length, i + within); j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      const isSwap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const changes = Math.min(
        cell(row, j - 1) + Number(!isSame),
        cell(row, j) + 1,
        cell(next, j - 1) + 1,
        isSwap ? cell(before, j - 2) + 1 : Infinity,
      );
      next[j] = changes;
      least = Math.min(least, changes);
    }
    if (Math.min(least, cell(next, 0)) > within) return null;
    [before, row] = [row, next];
  }
  const distance = cell(row, b.length);
  return distance <= within ? distance : null;
}

const cell = (row: readonly number[], at: number): number => row[at] ?? Infinity;
