import { expect, it } from '@jest/globals';
import { scopesSupported } from '../../../src/authority/issuer/metadata.ts';

const actions = (count: number) => Array.from({ length: count }, (_, n) => ({ id: `a.${n}` }));

it('scopesSupported are the ids of actions, at most as many as an intent can have', () => {
  expect(scopesSupported(actions(2))).toEqual({ scopes_supported: ['a.0', 'a.1'] });
  expect(scopesSupported(actions(64)).scopes_supported).toHaveLength(64);
  for (const count of [0, 65, 10_000]) expect(scopesSupported(actions(count))).toEqual({});
});
