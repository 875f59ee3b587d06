import { hash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { DigestTable, NOWHERE } from '../../../../src/core/runtime/collections/digest-table.ts';

const digest = (name: string): string => hash('sha256', name, 'base64url');

/** A digest that begins with the same 31 bytes for all names, so that all share the slot at which a search begins. */
const alike = (name: number): string => Buffer.concat([Buffer.alloc(31, 7), Buffer.from([name])]).toString('base64url');

/** A table whose word says which digest it is of. */
class Named {
  readonly gone: number[] = [];
  readonly table: DigestTable;

  constructor(max: number) {
    this.table = new DigestTable(max, { words: 2, doubles: 1 }, (place) => this.gone.push(this.nameAt(place)));
  }

  nameAt(place: number): number {
    return (this.table.words[2 * place + 1] ?? 0) - 1;
  }

  put(key: string, name: number): void {
    const place = this.table.take(key);
    this.table.words[2 * place + 1] = name + 1;
    this.table.doubles[place] = name + 0.5;
  }

  get(key: string): number | null {
    const place = this.table.find(key);
    if (place === NOWHERE) return null;
    expect(this.table.doubles[place]).toBe(this.nameAt(place) + 0.5);
    return this.nameAt(place);
  }
}

describe('DigestTable', () => {
  it('finds what was put into it, however large it grows', () => {
    const named = new Named(5_000);
    for (let name = 0; name < 5_000; name += 1) named.put(digest(`${name}`), name);
    expect(named.table.size).toBe(5_000);
    for (let name = 0; name < 5_000; name += 1) expect(named.get(digest(`${name}`))).toBe(name);
    expect(named.get(digest('another'))).toBeNull();
    expect(named.gone).toEqual([]);
  });

  it('evicts the least recently used entry', () => {
    const named = new Named(3);
    for (const name of [0, 1, 2]) named.put(digest(`${name}`), name);
    named.get(digest('0'));
    named.put(digest('1'), 1);
    named.put(digest('3'), 3);
    expect(named.gone).toEqual([2]);
    expect([0, 1, 2, 3].map((name) => named.get(digest(`${name}`)))).toEqual([0, 1, null, 3]);
    expect(named.table.size).toBe(3);
  });

  it('begins with columns of 0, also in a place that another entry had', () => {
    const table = new DigestTable(1, { words: 2, doubles: 1 });
    for (const name of ['a', 'b', 'c']) {
      const place = table.take(digest(name));
      expect([...table.words.subarray(2 * place, 2 * place + 2), table.doubles[place]]).toEqual([0, 0, 0]);
      table.words.fill(7);
      table.doubles.fill(7);
      if (name === 'b') table.delete(digest(name));
    }
  });

  it.each([
    ['a text that is too short', digest('a').slice(1)],
    ['one that is too long', `${digest('a')}A`],
    ['none', ''],
    ['another alphabet', digest('a').replace(/./, '!')],
  ])('refuses %s', (_name, text) => {
    const table = new DigestTable(2, { words: 1 });
    expect(() => table.find(text)).toThrow(RangeError);
    expect(() => table.take(text)).toThrow(RangeError);
    expect(() => table.delete(text)).toThrow(RangeError);
    expect(table.size).toBe(0);
  });

  it('shows its words as bytes', () => {
    const table = new DigestTable(1_000, { words: 1 });
    for (let name = 0; name < 1_000; name += 1) table.take(digest(`${name}`));
    table.words[999] = 0x01020304;
    expect(table.bytes.length).toBe(4_000);
    expect(Buffer.from(table.words.buffer).equals(table.bytes)).toBe(true);
  });

  it.each([
    ['digests', (name: number) => digest(`${name}`)],
    ['digests that fall together', alike],
  ])('does as an LRU map, for any steps with %s', (_name, keyOf) => {
    const step = fc.tuple(fc.constantFrom('put', 'get', 'delete'), fc.nat({ max: 24 }));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 200 }), (max, steps) => {
        const named = new Named(max);
        const model = new Map<number, number>();
        const gone: number[] = [];
        const used = (name: number): boolean => model.delete(name) && model.set(name, name).has(name);
        for (const [kind, name] of steps) {
          const [got, wanted] = kind === 'get' ? [named.get(keyOf(name)), used(name) ? name : null] : [null, null];
          expect(got).toBe(wanted);
          if (kind === 'delete') {
            named.table.delete(keyOf(name));
            if (model.delete(name)) gone.push(name);
          }
          if (kind === 'put') {
            named.put(keyOf(name), name);
            const [oldest] = model.keys();
            if (!used(name) && model.size === max && oldest !== undefined && model.delete(oldest)) gone.push(oldest);
            model.set(name, name);
          }
          expect(named.table.size).toBe(model.size);
          expect(named.gone).toEqual(gone);
        }
        for (const name of model.keys()) expect(named.get(keyOf(name))).toBe(name);
      }),
    );
  });
});
