import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { subjectAttributesFrom } from '../../../src/core/task/subject-attributes.ts';

const declared = new Map([
  ['groups', 'strings'],
  ['tenant', 'string'],
  ['level', 'long'],
  ['staff', 'bool'],
] as const);
const from = (sent: Readonly<Record<string, unknown>>) => subjectAttributesFrom(declared, (name) => sent[name]);

describe('subjectAttributesFrom', () => {
  it('reads each by its declared type, texts of a list sorted and once, and nothing that is not declared', () => {
    expect(from({ groups: ['b', 'a', 'b'], tenant: 'acme', level: -3, staff: false, more: 'x' })).toEqual({
      attributes: { groups: ['a', 'b'], tenant: 'acme', level: -3, staff: false },
    });
    expect(from({ groups: [], tenant: '' })).toEqual({ attributes: { groups: [], tenant: '' } });
  });

  it('leaves out what is absent or `null`', () => {
    expect(from({ tenant: null })).toEqual({ attributes: {} });
  });

  it.each([
    ['a text for a list', { groups: 'finance' }, 'groups', 'must be an array of 0 to 256 entries'],
    ['a list for a text', { tenant: ['acme'] }, 'tenant', 'must be a string of 0 to 256 characters'],
    ['a number in a list', { groups: ['a', 1] }, 'groups', 'entry 1 must be a string of 0 to 256 characters'],
    ['a number as text', { level: '3' }, 'level', 'must be a whole number from'],
    ['a number with a fraction', { level: 1.5 }, 'level', 'must be a whole number from'],
    ['a word for a truth value', { staff: 'true' }, 'staff', 'must be `true` or `false`'],
    ['an object', { tenant: { id: 'acme' } }, 'tenant', 'must be a string'],
    ['a text too long', { tenant: 'x'.repeat(257) }, 'tenant', 'must be a string of 0 to 256 characters'],
    ['too many texts', { groups: Array.from({ length: 257 }, String) }, 'groups', 'must be an array of 0 to 256'],
    ['a lone surrogate', { tenant: '\ud800' }, 'tenant', 'has U+0000 or a lone surrogate'],
    [
      'too much in all',
      { groups: Array.from({ length: 250 }, (_, at) => `${at}`.padStart(60, '0')) },
      'groups',
      'makes the attributes of the subject longer than 8192 characters',
    ],
  ])('refuses %s, so that no policy takes it for an absent attribute', (_what, sent, name, problem) => {
    expect(from(sent)).toEqual({ name, problem: expect.stringContaining(problem) });
  });

  it('gives of any value what fits its type, nothing, or a problem', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...declared.keys()), (value, name) => {
        const read = from({ [name]: value });
        if ('problem' in read) return;
        const given = read.attributes[name];
        if (value === null) expect(given).toBeUndefined();
        else if (Array.isArray(value)) expect(new Set(given as readonly string[])).toEqual(new Set(value));
        else expect(given).toBe(value);
      }),
      { numRuns: 2_000 },
    );
  });
});
