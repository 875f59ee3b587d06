import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { otherPlaceIn } from '../../../../src/core/action/arguments/closed-arguments.ts';
import { stepsOf } from '../../../../src/core/action/arguments/json-pointer.ts';
import { costRatio } from '../../../costs.ts';

const other = (value: unknown, ...pointers: readonly string[]) => otherPlaceIn(value, pointers.map(stepsOf));

const reading = (elements: number, times: number) => {
  const value = { a: Array(elements).fill(0) };
  const pointers = Array.from({ length: 64 }, (_, index) => ['a', String(index)]);
  return () => {
    for (let n = 0; n < times; n += 1) otherPlaceIn(value, pointers);
  };
};

describe('otherPlaceIn', () => {
  it.each<[string, unknown, readonly string[], string | null]>([
    ['nothing but arguments', { a: 1, b: { c: 'x' } }, ['/a', '/b/c'], null],
    ['fewer than the arguments', {}, ['/a'], null],
    ['a way that ends early', { b: null }, ['/b/c'], null],
    ['an empty object on the way', { b: {} }, ['/b/c'], null],
    ['a list that is an argument', { tags: ['x', 'y'] }, ['/tags'], null],
    ['an element that is an argument', { parts: [{ text: 'x' }] }, ['/parts/0/text'], null],
    ['a member', { a: 1, force: true }, ['/a'], '/force'],
    ['a member that is `null`', { force: null }, ['/a'], '/force'],
    ['an empty member', { force: {} }, ['/a'], '/force'],
    ['a member below', { b: { c: 'x', d: 'y' } }, ['/b/c'], '/b/d'],
    ['a second element', { parts: [{ text: 'x' }, { text: 'y' }] }, ['/parts/0/text'], '/parts/1'],
    ['a member of an element', { parts: [{ text: 'x', file: {} }] }, ['/parts/0/text'], '/parts/0/file'],
    ['an argument in other case', { A: 1 }, ['/a'], '/A'],
    ['a member of every object', JSON.parse('{"__proto__":1}'), ['/a'], '/__proto__'],
    ['a name of steps', { 'a/b~': 1 }, ['/a'], '/a~1b~0'],
    ['anything, if there is no argument', { a: 1 }, [], '/a'],
  ])('finds %s', (_name, value, pointers, expected) => {
    expect(other(value, ...pointers)).toBe(expected);
  });

  it('finds nothing exactly if each leaf is at a pointer', () => {
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom('x', 0, null),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b', '0', '/'), tie('value'), { maxKeys: 3 }),
      ),
    }));
    const placesOf = (at: unknown, way: readonly string[]): readonly (readonly string[])[] =>
      typeof at === 'object' && at !== null && Object.keys(at).length > 0
        ? Object.entries(at).flatMap(([step, below]) => placesOf(below, [...way, step]))
        : [way];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('a', 'b'), value, { minKeys: 1 }), fc.nat(), (given, pick) => {
        const leaves = placesOf(given, []);
        expect(otherPlaceIn(given, leaves)).toBeNull();
        const left = leaves.filter((_, index) => index !== pick % leaves.length);
        const found = otherPlaceIn(given, left);
        expect(found).not.toBeNull();
        // What is found is the leaf that was left out, or what is on its way alone.
        const missing = leaves[pick % leaves.length] ?? [];
        expect(missing.slice(0, stepsOf(found ?? '').length)).toEqual(stepsOf(found ?? ''));
      }),
    );
  });

  it('takes time that grows as the value does', () => {
    expect(costRatio(reading(32_000, 1), reading(2_000, 16))).toBeLessThan(4);
  });
});
