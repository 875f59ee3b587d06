import { describe, expect, it } from '@jest/globals';
import { endCauseOf } from '../../src/telemetry/end-cause.ts';

const agent = 'spiffe://acme.test/ns/agents/sa/planner';

describe('endCauseOf', () => {
  it.each([
    ['completed by the agent', agent, 'agent'],
    ['revoked by the agent', agent, 'agent'],
    ['cancelled by an operator', agent, 'operator'],
    ['whatever an operator typed', 'operator', 'operator'],
    ['it is part of task `t-1`, which is `cancelled`: whatever', 'operator', 'parent'],
    ['deadline reached', 'remit', 'deadline'],
    ['idle limit reached', 'remit', 'idle'],
    ['signal session-revoked', 'https://transmitter.acme.test', 'signal'],
    ['the context changed: model: the policies no longer grant the task', agent, 'context'],
    ['the token was presented by spiffe://acme.test/thief', 'remit', 'binding-violation'],
    ['something new', 'remit', 'other'],
  ])('takes `%s` by %s for %s', (cause, by, expected) => {
    expect(endCauseOf({ cause, by })).toBe(expected);
  });
});
