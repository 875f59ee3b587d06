import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { SharedValues } from '../../../../src/core/runtime/collections/shared-values.ts';

describe('SharedValues', () => {
  it('keeps a value as long as somebody holds it', () => {
    const shared = new SharedValues<string, object>();
    const value = {};
    const number = shared.hold('a', value);
    expect(shared.hold('a', {})).toBe(number);
    shared.release(number);
    expect(shared.of(number)).toBe(value);
    shared.release(number);
    expect([shared.of(number), shared.size]).toEqual([null, 0]);
    shared.release(number);
    const other = {};
    expect(shared.hold('b', other)).toBe(number);
    expect(shared.of(number)).toBe(other);
  });

  it('has nothing under 0', () => {
    const shared = new SharedValues<string, string>();
    shared.release(0);
    expect(shared.hold('a', 'a')).toBeGreaterThan(0);
    shared.release(0);
    expect([shared.of(0), shared.size]).toEqual([null, 1]);
  });

  it('gives each number to one value at a time, for any holds and releases', () => {
    const step = fc.oneof(
      fc.record({ hold: fc.constantFrom('a', 'b', 'c', 'd') }),
      fc.record({ release: fc.nat({ max: 20 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const shared = new SharedValues<string, string>();
        const held: { readonly number: number; readonly value: string }[] = [];
        for (const one of steps) {
          if ('hold' in one) held.push({ number: shared.hold(one.hold, one.hold), value: one.hold });
          else if (held.length > 0) shared.release(held.splice(one.release % held.length, 1)[0]?.number ?? 0);
          expect(held.map(({ number }) => shared.of(number))).toEqual(held.map(({ value }) => value));
          expect(shared.size).toBe(new Set(held.map(({ value }) => value)).size);
        }
      }),
    );
  });
});
