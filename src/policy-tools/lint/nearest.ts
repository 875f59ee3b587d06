/**
 * The name of which a text is most likely a misspelling or a part; `null` where none is near: more than two characters and a
 * third of them differ.
 */
export function nearest(text: string, names: Iterable<string>): string | null {
  const lower = text.toLowerCase().slice(0, MAX_LENGTH);
  let best: { readonly name: string; readonly distance: number } | null = null;
  for (const name of names) {
    const distance = distanceOf(lower, name.toLowerCase().slice(0, MAX_LENGTH));
    const most = Math.max(text.length, name.length);
    const isPart = text.length >= MIN_PART && name.includes(text);
    const isNear = isPart || (distance <= Math.max(2, Math.floor(most / 3)) && distance < most);
    if (isNear && (best === null || distance < best.distance)) best = { name, distance };
  }
  return best?.name ?? null;
}

const MIN_PART = 3;
/** Most characters compared; the cost is quadratic. */
const MAX_LENGTH = 128;

/** Levenshtein distance in UTF-16 code units. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) {
      const replaced = (row[j] ?? 0) + Number(a[i] !== b[j]);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
