import { describe, expect, it } from '@jest/globals';
import { engineCode, freshCedar, useEngineCode } from '../../src/policy/cedar.ts';

describe(freshCedar, () => {
  it('compiles the code of the engine once, and gives each instance a memory of its own', () => {
    expect(engineCode()).toBeNull();
    const [first, code] = [freshCedar(), engineCode()];
    const second = freshCedar();
    expect(code).not.toBeNull();
    expect(engineCode()).toBe(code);
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

  it('keeps the code it has where another thread sends some', () => {
    freshCedar();
    const code = engineCode();
    useEngineCode({});
    expect(engineCode()).toBe(code);
  });
});
