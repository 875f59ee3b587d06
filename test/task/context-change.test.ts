import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { changedNames, contextEffects, taskContextFrom } from '../../src/task/context-change.ts';

describe('taskContextFrom', () => {
  it('takes names that look like members of an object', () => {
    const values = { constructor: 'a', problem: 'b', toString: '' };
    expect(taskContextFrom(values)).toEqual({ values });
  });

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'is required'],
    ['null', null, 'must be an object'],
    ['a lone surrogate', { a: '\ud800' }, 'value `a` has U+0000 or a lone surrogate'],
    ['an empty name', { '': 'x' }, 'has a name that is not a letter and up to 63 letters, digits, _, . and -'],
  ])('refuses %s', (_name, value, problem) => {
    expect(taskContextFrom(value)).toEqual({ problem });
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const read = taskContextFrom(value);
        expect('values' in read || typeof read.problem === 'string').toBe(true);
      }),
    );
  });
});

describe('changedNames', () => {
  it('names what is changed, new and gone, and only that', () => {
    const before = { same: '1', changed: '1', gone: '1' };
    expect(changedNames(before, { same: '1', changed: '2', new: '' })).toEqual(['changed', 'gone', 'new']);
  });

  it('is not misled by Object.prototype', () => {
    expect(changedNames({}, { constructor: 'x' })).toEqual(['constructor']);
    expect(changedNames({ toString: 'x' }, {})).toEqual(['toString']);
  });

  it('is empty for equal contexts and the same both ways', () => {
    const context = fc.dictionary(fc.string(), fc.string());
    fc.assert(
      fc.property(context, context, (a, b) => {
        expect(changedNames(a, { ...a })).toEqual([]);
        expect(changedNames(a, b)).toEqual(changedNames(b, a));
      }),
    );
  });
});

describe('contextEffects', () => {
  it('revokes for a name without a rule, whatever it is called', () => {
    expect([...contextEffects({ contextRules: { a: 'ask' } }, ['a', 'constructor'])]).toEqual(['ask', 'revoke']);
  });
});
