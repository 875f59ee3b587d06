import { describe, expect, it } from '@jest/globals';
import { thoroughly } from '../thoroughly.ts';
import { growthFor, growthOf, MOST_GROWTH } from './cost-growth.ts';
import type { Growth } from './cost-growth.ts';
import { exportedReaders } from './exported-readers.ts';
import { hostileText, TAILS, UNITS } from './hostile-texts.ts';
import { namedReaders, otherReaders, readerTable } from './reader-table.ts';

/** How often a reader is looked at that seems to cost too much. */
const LOOKS = 4;

const fileOf = (name: string): string => name.split(' ')[0] ?? '';

/**
 * Issue 37, point 1: one expression that was quadratic in a tool's name stopped all checks for seconds. `npm run costs` prints the table.
 */
describe('readers of callers’ texts', () => {
  const found = exportedReaders();
  const of = thoroughly<'all' | 'sample'>('all', 'sample');

  it('are all in a table of `*-readers.ts`, or named there with what they read instead', () => {
    const missing = found.filter(
      (name) => !namedReaders.has(name) && !otherReaders.has(name) && !otherReaders.has(fileOf(name)),
    );
    expect(missing).toEqual([]);
  });

  it('exist', () => {
    const files = new Set(found.map(fileOf));
    const named = new Set([...found, ...files]);
    expect([...otherReaders.keys()].filter((name) => !named.has(name))).toEqual([]);
    expect([...namedReaders].filter((name) => otherReaders.has(name) || otherReaders.has(fileOf(name)))).toEqual([]);
  });

  it('meet texts of 55 units and 6 tails', () => {
    expect([new Set(UNITS).size, new Set(TAILS).size]).toEqual([55, 6]);
  });

  it.each([...readerTable.keys()])('%s costs as much as its text is long', (name) => {
    const read = readerTable.get(name) ?? ((): void => undefined);
    expect(verdictOf(growthOf(read, { of }), () => growthOf(read, { of }))).toBe('linear');
  });
});

/** Other work on the machine can make a text look costly, but not each time; what grows is seen whenever it is looked at. */
function verdictOf(seen: Growth, again: () => Growth): string {
  let worst = seen;
  for (let look = 1; look < LOOKS && worst.growth >= MOST_GROWTH; look += 1) worst = again();
  const { growth, unit, tail, chars } = worst;
  return growth < MOST_GROWTH
    ? 'linear'
    : `${growth.toFixed(1)} with ${JSON.stringify([unit, tail])} of ${chars} characters`;
}

describe('growthFor', () => {
  it.each([
    [
      'the expression that was in the code',
      (text: string) => /[a-z][a-z0-9+.-]*:\/\/[^/?#@:]*:([^/?#@]{1,1024})@/i.exec(text),
    ],
    ['an expression that is tried at each letter', (text: string) => text.replace(/a+$/, '')],
  ])('finds %s', (_name, read) => {
    const texts = { short: hostileText('a', '!', 125), long: hostileText('a', '!', 2_000), times: 16 };
    // V8 interprets an expression at first: a short text read so costs as much as a long one does later.
    for (let n = 0; n < 20; n += 1) read(texts.short);
    // An interruption on a loaded machine can only hide the growth: the worst of a few looks counts.
    const seen = Array.from({ length: 5 }, () => growthFor(read, { ...texts, doubted: MOST_GROWTH }).growth);
    expect(Math.max(...seen)).toBeGreaterThan(MOST_GROWTH);
  });
});
