import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { namedValuesFrom } from '../../../src/core/task/named-values.ts';

describe('namedValuesFrom', () => {
  it('takes names that look like members of an object', () => {
    const values = { constructor: 'a', problem: 'b', toString: '' };
    expect(namedValuesFrom(values)).toEqual({ values });
  });

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'is required'],
    ['null', null, 'must be an object'],
    ['a lone surrogate', { a: '\ud800' }, 'value `a` has U+0000 or a lone surrogate'],
    ['an empty name', { '': 'x' }, 'has an invalid name: must be a letter and up to 63 letters, digits, _, . and -'],
  ])('refuses %s', (_name, value, problem) => {
    expect(namedValuesFrom(value)).toEqual({ problem });
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const read = namedValuesFrom(value);
        expect('values' in read || typeof read.problem === 'string').toBe(true);
      }),
    );
  });
});
