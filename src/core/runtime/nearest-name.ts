import { changesWithin } from './edit-distance.ts';

/**
 * The known name that a misspelled or shortened name probably means: at most a third of it may differ. `null` if none is near.
 */
export function nearestOf(name: string, known: Iterable<string>): string | null {
  const asked = name.toLowerCase();
  const within = Math.max(1, Math.floor(name.length / 3));
  let best: { readonly known: string; readonly changes: number } | null = null;
  for (const one of known) {
    const other = one.toLowerCase();
    const isPart =
      other.startsWith(asked) || asked.startsWith(other) || (asked.length >= MIN_PART && other.includes(asked));
    const changes = changesWithin(asked, other, within) ?? (isPart ? within : null);
    if (changes !== null && (best === null || changes < best.changes)) best = { known: one, changes };
  }
  return best?.known ?? null;
}

const MIN_PART = 3;
