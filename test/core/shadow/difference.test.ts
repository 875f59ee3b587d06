import { describe, expect, it } from '@jest/globals';
import { deny } from '../../../src/core/decision/decision.ts';
import type { Decision } from '../../../src/core/decision/decision.ts';
import { differenceOf, isOfPolicies } from '../../../src/core/shadow/difference.ts';

const allowBy = (id: string): Decision => ({ kind: 'allow', policyIds: [id], observed: null });
const forbiddenBy = (id: string): Decision => deny('policy.forbidden', '', { policyIds: [id], advice: null });
const unknown = deny('action.unknown', '');

describe('differenceOf', () => {
  it.each([
    [
      'an allow that is none',
      allowBy('p'),
      forbiddenBy('f'),
      ['allow-to-deny', null, 'policy.forbidden', ['p'], ['f']],
    ],
    ['a denial that is none', unknown, allowBy('p'), ['deny-to-allow', 'action.unknown', null, [], ['p']]],
    ['another reason', unknown, forbiddenBy('f'), ['other-reason', 'action.unknown', 'policy.forbidden', [], ['f']]],
  ])('tells %s', (_name, former, other, [change, reason, otherwise, formerIds, policyIds]) => {
    expect(differenceOf(former, other)).toEqual({ change, reason, otherwise, formerIds, policyIds });
  });

  it.each([
    ['allows by other policies', allowBy('p'), allowBy('q')],
    ['denials of one reason by other policies', forbiddenBy('f'), forbiddenBy('g')],
  ])('sees none between %s', (_name, former, other) => {
    expect(differenceOf(former, other)).toBeNull();
  });
});

describe('isOfPolicies', () => {
  it.each([
    [null, true],
    ['policy.not-permitted', true],
    ['action.unknown', true],
    ['token.missing', true],
    ['token.expired', false],
    ['task.suspended', false],
    ['identity.missing', false],
    ['internal', false],
  ] as const)('is asked of %s', (reason, expected) => {
    expect(isOfPolicies(reason)).toBe(expected);
  });
});
