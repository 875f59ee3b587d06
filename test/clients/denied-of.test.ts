import { expect, it } from '@jest/globals';
import { deniedOf } from './agent-domain.ts';

const own = (reason: string) => ({ reason, task: 'own' });

it('counts what an agent was denied, and neither a late denial of the agent before it nor what nobody decided (issue 37, found)', () => {
  const denials = [
    { reason: 'task.suspended', task: 'of the agent before' },
    { reason: 'token.missing', task: null },
    own('check.deadline'),
    own('policy.forbidden'),
    own('policy.forbidden'),
  ];
  expect(deniedOf(denials, new Set(['own']))).toEqual(['token.missing', 'policy.forbidden', 'policy.forbidden']);
});
