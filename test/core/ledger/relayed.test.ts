import { describe, expect, it } from '@jest/globals';
import { lostToAll, relayWatch } from '../../../src/core/ledger/relayed.ts';
import type { RelayedRecords } from '../../../src/core/ledger/proof/verdict.ts';

const gap = (from: number, to: number, database = 'db') => ({
  kind: 'event',
  event: 'records-missing',
  details: { database, from, to },
});
const checkpoint = (to: number) => ({ kind: 'checkpoint', relayed: { database: 'db', to } });

/** What a ledger with these records has. */
const ledger = (
  ...records: readonly Parameters<ReturnType<typeof relayWatch>['see']>[0][]
): readonly RelayedRecords[] => {
  const watch = relayWatch();
  for (const record of records) watch.see(record);
  return watch.found();
};

describe('lostToAll', () => {
  const away = ledger(gap(1, 20), checkpoint(30), gap(31, 100), checkpoint(140));

  it.each([
    ['a ledger alone', [away], [[31, 100]]],
    ['with a ledger that has all of them', [away, ledger(checkpoint(100))], []],
    ['with a ledger that ends in the middle', [away, ledger(checkpoint(60))], [[61, 100]]],
    ['with a ledger that begins in the middle', [away, ledger(gap(1, 49), checkpoint(140))], [[31, 49]]],
    [
      'with two that lack the same',
      [away, ledger(gap(40, 70), checkpoint(140)), ledger(gap(60, 80), checkpoint(140))],
      [[60, 70]],
    ],
    [
      'with a ledger of another database',
      [away, ledger({ kind: 'checkpoint', relayed: { database: 'x', to: 200 } })],
      [[31, 100]],
    ],
    ['a ledger that joined later', [ledger(gap(1, 20), checkpoint(30))], []],
    ['a ledger that lacks more right after it joined', [ledger(gap(1, 20), gap(21, 25), checkpoint(30))], [[21, 25]]],
    [
      'a ledger that lacks more of it, with one that lost its disk',
      [ledger(gap(1, 3), gap(4, 5), checkpoint(11)), ledger(gap(1, 7), checkpoint(11))],
      [[4, 5]],
    ],
    [
      'with records of another version',
      [ledger({ kind: 'checkpoint' }, { kind: 'event', event: 'records-missing' })],
      [],
    ],
  ])('finds what no ledger has: %s', (_name, ledgers, lost) => {
    expect(lostToAll(ledgers).map(({ records: { from, to } }) => [from, to])).toEqual(lost);
  });

  it('keeps a bounded number of gaps of a ledger, and then misses more rather than fewer', () => {
    const [many] = ledger(...Array.from({ length: 5_000 }, (_, n) => gap(10 * n + 2, 10 * n + 3)));
    expect(many?.missing).toHaveLength(1_000);
    expect(many?.missing.at(-1)?.to).toBe(49_993);
  });
});
