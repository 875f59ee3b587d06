/** Days as people write them: `YYYY-MM-DD`, in UTC. */
import { made, type Reader, textLike } from './fields.ts';

/** Parses a day, `YYYY-MM-DD`, as the midnight (UTC) at which it begins, in milliseconds since the Unix epoch. */
export const dayMs: Reader<number> = made(
  textLike('a day, written `YYYY-MM-DD`', (day) => Number.isFinite(midnightOf(day))),
  midnightOf,
);

/** The length of a day, in milliseconds. */
export const DAY_MS = 86_400_000;

/** The day of an instant (UTC), as it is written. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** `NaN` for an invalid date. */
function midnightOf(day: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : NaN;
  // `Date.parse` takes the 31st of February for a day in March.
  return Number.isNaN(ms) || dayOf(ms) !== day ? NaN : ms;
}
