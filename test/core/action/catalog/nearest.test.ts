import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { nearestId } from '../../../../src/core/action/catalog/nearest.ts';

const ids = ['payments.list', 'payments.read', 'payments.create', 'payments.refund', 'files.read', 'fs.ls'];

/** Optimal string alignment, by its definition. */
function changesBetween(a: string, b: string): number {
  const table = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (__, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  const at = (i: number, j: number): number => table[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i += 1) {
    for (let j = 1; j <= b.length; j += 1) {
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      const changes = Math.min(at(i - 1, j - 1) + Number(a[i - 1] !== b[j - 1]), at(i - 1, j) + 1, at(i, j - 1) + 1);
      table[i]?.splice(j, 1, Math.min(changes, swapped));
    }
  }
  return at(a.length, b.length);
}

describe('nearestId', () => {
  it.each<[string, string, string | null]>([
    ['swapped neighbours', 'payments.craete', 'payments.create'],
    ['a letter too few', 'payment.create', 'payments.create'],
    ['a letter too many', 'payments.reads', 'payments.read'],
    ['another separator', 'payments_refund', 'payments.refund'],
    ['another case', 'Payments.List', 'payments.list'],
    ['the id itself', 'files.read', 'files.read'],
    ['the nearest of several', 'payments.rad', 'payments.read'],
    ['three changes of fifteen', 'paymnts.creat', 'payments.create'],
    ['four changes', 'pymnts.creax_', null],
    ['more than a quarter of a short text', 'fs.rm', null],
    ['a family', 'payments.*', null],
    ['something else', 'customers.delete', null],
    ['too short to be near', 'fs', null],
    ['nothing', '', null],
  ])('finds %s', (_name, text, expected) => {
    expect(nearestId(text, ids)).toBe(expected);
  });

  it('returns the first of equally near ids', () => {
    expect(nearestId('files.reax', ['files.rear', 'files.read'])).toBe('files.rear');
  });

  it('compares no text or id of more than 128 characters', () => {
    expect(nearestId('a'.repeat(128), ['a'.repeat(129), 'a'.repeat(127)])).toBe('a'.repeat(127));
    expect(nearestId('a'.repeat(129), ['a'.repeat(128)])).toBeNull();
  });

  it('stops after 4,096 ids', () => {
    let read = 0;
    function* many(): Generator<string> {
      for (;;) yield `other-${(read += 1)}`;
    }
    expect(nearestId('payments.read', many())).toBeNull();
    expect(read).toBe(4_097);
  });

  it('finds what the definition of the distance finds', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.'), maxLength: 14 });
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 5 }), (text, others) => {
        const within = Math.min(3, Math.floor(text.length / 4));
        const least = Math.min(...others.map((id) => changesBetween(text, id)));
        const expected = least <= within ? others.find((id) => changesBetween(text, id) === least) : null;
        expect(nearestId(text, others)).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});
