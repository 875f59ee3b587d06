import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  at,
  fieldsOf,
  isTrueAt,
  listAt,
  membersAt,
  numberAt,
  textAt,
  typeNameOf,
  typeOf,
} from '../../../src/tools/doctor/tree.ts';

const found = { a: [{ b: 'x', n: '12', t: true }], o: { p: 1 } };

describe('values of an answer that nobody vouches for', () => {
  it('are found by members and indexes', () => {
    expect([at(found, 'a', 0, 'b'), listAt(found, 'a').length, textAt(found, 'a', 0, 'b')]).toEqual(['x', 1, 'x']);
    expect([numberAt(found, 'a', 0, 'n'), numberAt(found, 'o', 'p'), isTrueAt(found, 'a', 0, 't')]).toEqual([
      12,
      1,
      true,
    ]);
    expect(membersAt(found, 'o')).toEqual([['p', 1]]);
  });

  it.each<[string, readonly (string | number)[]]>([
    ['a member of every object', ['o', 'constructor']],
    ['what is inherited', ['o', '__proto__']],
    ['the length of a list', ['a', 'length']],
    ['a member of a text', ['a', 0, 'b', 'length']],
    ['an index beyond the list', ['a', 1]],
    ['an index of an object', ['o', 0]],
    ['what is below nothing', ['z', 'y', 'x']],
  ])('are not: %s', (_name, path) => {
    expect([at(found, ...path), listAt(found, ...path), textAt(found, ...path), numberAt(found, ...path)]).toEqual([
      undefined,
      [],
      '',
      null,
    ]);
  });

  it.each([
    ['', null],
    ['x', null],
    ['Infinity', null],
    [Infinity, null],
    [true, null],
    ['0', 0],
    [-1.5, -1.5],
  ])('have the number of %p: %p', (value, number) => {
    expect(numberAt({ value }, 'value')).toBe(number);
  });

  it('are read whatever is there', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.array(fc.oneof(fc.string(), fc.nat(3))), (value, path) => {
        expect([typeof textAt(value, ...path), Array.isArray(listAt(value, ...path))]).toEqual(['string', true]);
        expect([typeof typeOf(value), typeof typeNameOf(value)]).toEqual(['string', 'string']);
      }),
    );
  });
});

describe('an `Any`', () => {
  const lua = 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua';
  it.each([
    ['itself', { '@type': lua, x: 1 }],
    [
      'a struct with its type',
      { '@type': 'type.googleapis.com/xds.type.v3.TypedStruct', type_url: lua, value: { x: 1 } },
    ],
    [
      'an older struct with its type',
      { '@type': 'type.googleapis.com/udpa.type.v1.TypedStruct', type_url: lua, value: { x: 1 } },
    ],
  ])('has its type and its fields as %s', (_name, any) => {
    expect([typeOf(any), typeNameOf(any)]).toEqual(['Lua', 'envoy.extensions.filters.http.lua.v3.Lua']);
    expect(at(fieldsOf(any), 'x')).toBe(1);
  });

  it('without a type has none', () => {
    expect([typeOf({}), typeNameOf({})]).toEqual(['', '']);
  });
});
