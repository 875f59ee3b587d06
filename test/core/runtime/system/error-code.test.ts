import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { errorCode } from '../../../../src/core/runtime/system/error-code.ts';

describe('`errorCode`', () => {
  it('gives the code of an error of the system', () => {
    let thrown: unknown;
    try {
      readFileSync('/nowhere/at/all');
    } catch (error) {
      thrown = error;
    }
    expect(errorCode(thrown)).toBe('ENOENT');
  });

  it.each([
    ['a number', { code: 14 }, '14'],
    ['nothing', { code: undefined }, undefined],
    ['an object', { code: { secret: 'x' } }, undefined],
  ])('of a code that is %s', (_name, error, expected) => {
    expect(errorCode(error)).toBe(expected);
  });

  it.each([
    ['a text', 'ENOENT'],
    ['null', null],
    ['an error without a code', new Error('x')],
  ])('gives none for %s', (_name, error) => {
    expect(errorCode(error)).toBeUndefined();
  });
});
