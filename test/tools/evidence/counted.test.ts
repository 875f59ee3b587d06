import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { CountedByName, none, oneMore, refOf, totalOf } from '../../../src/tools/evidence/counted.ts';
import type { LedgerPlace } from '../../../src/tools/evidence/counted.ts';

const at = (seq: number, atMs = seq, log: string | null = null): LedgerPlace => ({ log, seq, at: atMs });
const countedOf = (places: readonly LedgerPlace[]) => places.reduce(oneMore, none);

describe('a count of records', () => {
  it('has the first and the last by their numbers in one log, whatever instants the records claim', () => {
    expect(countedOf([at(2, 900), at(1, 1_000), at(3, 10)])).toEqual({
      count: 3,
      first: at(1, 1_000),
      last: at(3, 10),
    });
  });

  it('has them by their instants across logs', () => {
    const [own, received] = [at(9, 20), at(1, 30, 'tools')];
    expect(countedOf([received, own])).toEqual({ count: 2, first: own, last: received });
  });

  it('of the same log is the same in any order, and in any parts', () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(numbers, fc.nat(20), (seqs, cut) => {
        const places = seqs.map((seq) => at(seq, 5));
        const whole = countedOf(places.toSorted((a, b) => a.seq - b.seq));
        expect(countedOf(places)).toEqual(whole);
        expect(totalOf([countedOf(places.slice(0, cut)), none, countedOf(places.slice(cut))])).toEqual(whole);
      }),
    );
  });

  it('of none has neither', () => {
    expect(totalOf([])).toEqual({ count: 0, first: null, last: null });
  });
});

describe('refOf', () => {
  it('names a record of a sidecar with the origin of its log', () => {
    expect([refOf(at(7)), refOf(at(7, 0, 'acme.test/tools'))]).toEqual([7, 'acme.test/tools#7']);
  });
});

describe('CountedByName', () => {
  it('counts as many names as it may, and all further ones together', () => {
    const counted = new CountedByName(2);
    for (const [index, name] of ['b', 'a', 'c', 'a', 'd', 'b', 'a'].entries()) counted.add(name, at(index + 1));
    const { named, others } = counted.found();
    expect(named.map(({ name, count }) => [name, count])).toEqual([
      ['a', 3],
      ['b', 2],
    ]);
    expect(others).toEqual({ count: 2, first: at(3), last: at(5) });
  });

  it('orders names of the same count', () => {
    const counted = new CountedByName(3);
    for (const [index, name] of ['c', 'a', 'b'].entries()) counted.add(name, at(index + 1));
    expect(counted.found().named.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  });

  it('takes a name of every object for a name', () => {
    const counted = new CountedByName(3);
    for (const name of ['constructor', '__proto__']) counted.add(name, at(1));
    expect(counted.found().named.map(({ count }) => count)).toEqual([1, 1]);
  });
});
