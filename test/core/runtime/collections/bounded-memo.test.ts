import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { BoundedMemo } from '../../../../src/core/runtime/collections/bounded-memo.ts';

describe('BoundedMemo', () => {
  it('computes a value once, and returns the same again', () => {
    const remembered = new BoundedMemo<{ readonly text: string }>();
    const made: string[] = [];
    const make = (text: string) => {
      made.push(text);
      return { text };
    };
    const first = remembered.of('a', make);
    expect(first).toEqual({ text: 'a' });
    expect(remembered.of('a', make)).toBe(first);
    expect(remembered.of('__proto__', make)).toEqual({ text: '__proto__' });
    expect(made).toEqual(['a', '__proto__']);
  });

  it('evicts unused keys, and keeps used keys', () => {
    const remembered = new BoundedMemo<number>({ maxKeys: 20 });
    remembered.set('kept', 1);
    remembered.set('forgotten', 2);
    for (let n = 0; n < 100; n += 1) {
      remembered.set(`other ${n}`, n);
      expect(remembered.get('kept')).toBe(1);
    }
    expect(remembered.get('forgotten')).toBeUndefined();
  });

  it('computes the value of a key beyond `maxKeyChars` each time', () => {
    const remembered = new BoundedMemo<object>({ maxKeyChars: 3 });
    expect(remembered.of('abcd', () => ({}))).not.toBe(remembered.of('abcd', () => ({})));
    expect(remembered.size).toBe(0);
  });

  it.each([true, false])(
    'returns the right value for each key within its bounds, with `hasWholeKeys`: %s',
    (hasWholeKeys) => {
      const text = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\u{1f600}'), maxLength: 6 });
      fc.assert(
        fc.property(fc.array(text, { maxLength: 200 }), (texts) => {
          const remembered = new BoundedMemo<string>({ maxKeys: 12, maxChars: 40, maxKeyChars: 5, hasWholeKeys });
          for (const each of texts) {
            expect(remembered.of(each, (key) => `of ${key}`)).toBe(`of ${each}`);
            expect(remembered.size).toBeLessThanOrEqual(12);
          }
        }),
      );
    },
  );
});
