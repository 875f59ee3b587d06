import { hostileText, TAILS, UNITS } from './hostile-texts.ts';
import type { Reader } from './reader.ts';

/**
 * Lengths in characters, each with one that is sixteen times as long. The last are those of issue 37; the first find what a bound of 8,192
 * characters would hide.
 */
const LENGTHS = [
  { short: 500, long: 8_000 },
  { short: 4_000, long: 64_000 },
] as const;

/**
 * How much more a text of sixteen times the length may cost than sixteen texts: a linear reader needs as much, a quadratic one sixteen times
 * as much, and one that goes another way from some length on a few times as much.
 */
export const MOST_GROWTH = 8;

/** Rounds for a text that seems to grow too much, of which the fastest counts: any single look can be interrupted. */
const ROUNDS = 40;

/** What is tried. */
export interface GrowthOptions {
  /** `sample`: of each unit the text with one of the tails at one length, and without at the other. */
  readonly of: 'all' | 'sample';
  /** From this growth on a text is looked at again. Default `MOST_GROWTH`. */
  readonly doubted?: number;
}

/** The worst growth of a reader over all texts, and the text. */
export interface Growth {
  readonly growth: number;
  readonly unit: string;
  readonly tail: string;
  readonly chars: number;
  /** Time for the slowest text; for people, since it depends on the machine. */
  readonly slowestMs: number;
}

/**
 * Reads texts of 55 units and 6 tails at each length: each once, and again where it seems to cost too much.
 */
export function growthOf(read: Reader, { of, doubted = MOST_GROWTH }: GrowthOptions): Growth {
  warmUp(read);
  let worst: Omit<Growth, 'slowestMs'> = { growth: 0, unit: '', tail: '', chars: 0 };
  let slowestMs = 0;
  for (const [which, { short, long }] of LENGTHS.entries()) {
    for (const [at, unit] of UNITS.entries()) {
      const [sampled = ''] = (at + which) % 2 === 0 ? [] : [TAILS[at % TAILS.length]];
      for (const tail of of === 'all' ? TAILS : [sampled]) {
        const texts = {
          short: hostileText(unit, tail, short),
          long: hostileText(unit, tail, long),
          times: long / short,
        };
        const { growth, longMs } = growthFor(read, { ...texts, doubted });
        slowestMs = Math.max(slowestMs, longMs);
        if (growth > worst.growth) worst = { growth, unit, tail, chars: long };
      }
    }
  }
  return { ...worst, slowestMs };
}

function warmUp(read: Reader): void {
  for (const unit of UNITS) msOf(read, hostileText(unit, '', 500), 4);
}

/** A text in two lengths. */
export interface Texts {
  readonly short: string;
  readonly long: string;
  /** How many times as long the long one is. */
  readonly times: number;
  readonly doubted: number;
}

/** The growth for one text, and the time for the long one. */
export function growthFor(
  read: Reader,
  { short, long, times, doubted }: Texts,
): { readonly growth: number; readonly longMs: number } {
  let [longMs, shortMs] = [msOf(read, long, 1), msOf(read, short, 1) * times];
  for (let n = 1; n < ROUNDS && longMs > doubted * shortMs; n += 1) {
    longMs = Math.min(longMs, msOf(read, long, 1));
    // The first short text was read once, which is too short a time to multiply.
    shortMs = n === 1 ? msOf(read, short, times) : Math.min(shortMs, msOf(read, short, times));
  }
  return { growth: longMs / shortMs, longMs };
}

/** Reads a text so many times, each time another one, so that nothing that remembers texts helps. */
function msOf(read: Reader, text: string, times: number): number {
  const texts = Array.from({ length: times }, () => text.slice(next(text.length / 4)));
  const beganMs = performance.now();
  for (const each of texts) read(each);
  return performance.now() - beganMs;
}

let start = 0;
const next = (below: number): number => {
  start += 1;
  return start % Math.max(1, Math.floor(below));
};
