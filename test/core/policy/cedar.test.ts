import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../src/core/policy/cedar.ts';

describe(freshCedar, () => {
  it('gives each instance a memory of its own', () => {
    const [first, second] = [freshCedar(), freshCedar()];
    const policies = { staticPolicies: { p: 'permit (principal, action, resource);' } };
    expect(first.preparsePolicySet('set', policies)).toMatchObject({ type: 'success' });
    const question = {
      principal: { type: 'W', id: '' },
      action: { type: 'Action', id: '' },
      resource: { type: 'W', id: '' },
      context: {},
      entities: [],
      preparsedPolicySetId: 'set',
    };
    expect(first.statefulIsAuthorized(question)).toMatchObject({ type: 'success' });
    expect(second.statefulIsAuthorized(question)).toMatchObject({ type: 'failure' });
  });
});
