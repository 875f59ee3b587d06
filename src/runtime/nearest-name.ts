/** The known name that a name is probably a misspelling of: at most a third of it may differ. `null` where none is near. */
export function nearestOf(name: string, known: readonly string[]): string | null {
  const asked = name.toLowerCase();
  const within = Math.max(1, Math.floor(name.length / 3));
  let best: { readonly known: string; readonly changes: number } | null = null;
  for (const one of known) {
    const other = one.toLowerCase();
    const isPart = other.startsWith(asked) || asked.startsWith(other);
    const changes = isPart && Math.abs(other.length - asked.length) > within ? within : changesBetween(asked, other);
    if (changes <= within && (best === null || changes < best.changes)) best = { known: one, changes };
  }
  return best?.known ?? null;
}

/** Levenshtein distance of two short names. */
function changesBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
