/**
 * The id of which a text is probably a misspelling: letter case aside, at most a quarter of its characters and at most three
 * differ, counting a swap of neighbours as one. `null` where none is so near. The first of several equally near ones.
 *
 * Bounded, since callers choose the text: a text or id of more than 128 characters is near to nothing, at most 4,096 ids are
 * compared, and only as far as they can still be near.
 */
export function nearestId(text: string, ids: Iterable<string>): string | null {
  if (text.length > MAX_CHARACTERS) return null;
  const asked = text.toLowerCase();
  let within = Math.min(MAX_CHANGES, Math.floor(asked.length / 4));
  let best: string | null = null;
  let compared = 0;
  for (const id of ids) {
    compared += 1;
    if (within < 0 || compared > MAX_IDS) break;
    if (id.length > MAX_CHARACTERS) continue;
    const changes = changesWithin(asked, id.toLowerCase(), within);
    if (changes === null) continue;
    best = id;
    within = changes - 1;
  }
  return best;
}

const MAX_CHARACTERS = 128;
const MAX_CHANGES = 3;
const MAX_IDS = 4_096;

/** The changes between two texts, `null` above `within`. */
function changesWithin(a: string, b: string, within: number): number | null {
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
