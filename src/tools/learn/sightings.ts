/** How often and when something was seen. */
export interface Sightings {
  readonly count: number;
  /** Milliseconds since the Unix epoch. */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** The sightings with one more at an instant. */
export const seenAgain = (seen: Sightings | undefined, atMs: number): Sightings =>
  seen === undefined
    ? { count: 1, firstMs: atMs, lastMs: atMs }
    : { count: seen.count + 1, firstMs: Math.min(seen.firstMs, atMs), lastMs: Math.max(seen.lastMs, atMs) };

/** The sum of two sightings. */
export const bothSeen = (one: Sightings | undefined, other: Sightings): Sightings =>
  one === undefined
    ? other
    : {
        count: one.count + other.count,
        firstMs: Math.min(one.firstMs, other.firstMs),
        lastMs: Math.max(one.lastMs, other.lastMs),
      };

/** The sum of all sightings; all members are 0 without any. */
export const allSeen = (all: Iterable<Sightings>): Sightings => {
  let sum: Sightings | undefined;
  for (const one of all) sum = bothSeen(sum, one);
  return sum ?? { count: 0, firstMs: 0, lastMs: 0 };
};

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** In words: `12 calls, 2026-11-20 to 2026-11-30`. */
export const sightingsText = ({ count, firstMs, lastMs }: Sightings): string => {
  const calls = `${count} call${count === 1 ? '' : 's'}`;
  const [first, last] = [dayOf(firstMs), dayOf(lastMs)];
  return first === last ? `${calls}, ${first}` : `${calls}, ${first} to ${last}`;
};
