import { describe, expect, it } from '@jest/globals';
import { CAUSE_CODES, CAUSE_KINDS, causeOf, kindOf } from '../../../src/core/task/cause.ts';

describe('causes', () => {
  it.each(CAUSE_CODES)('%s is a code with words for people and a kind', (code) => {
    expect(code).toMatch(/^[a-z]+(\.[a-z-]+)?$/);
    const known = code as Parameters<typeof causeOf>[0];
    expect(causeOf(known).note).not.toBe('');
    expect(CAUSE_KINDS).toContain(kindOf(known));
  });

  it('are of every kind', () => {
    const kinds = CAUSE_CODES.map((code) => code.replace(/\..*/, ''));
    expect(new Set(kinds)).toEqual(new Set(CAUSE_KINDS));
  });

  it('keep the words they are given, also none', () => {
    expect(causeOf('operator.revoked', 'agent is compromised')).toEqual({
      code: 'operator.revoked',
      note: 'agent is compromised',
    });
    expect(causeOf('operator.revoked', '').note).toBe('');
  });
});
