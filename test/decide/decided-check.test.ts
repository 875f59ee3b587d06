import { describe, expect, it } from '@jest/globals';
import type { Facts } from '../../src/decide/facts.ts';
import { deny } from '../../src/decision/decision.ts';
import type { Decision } from '../../src/decision/decision.ts';
import type { ReasonCode } from '../../src/decision/reasons.ts';
import { reuseOf } from '../../src/decide/decided-check.ts';

const facts = (caller: string, reuse: Facts['reuse'] = ['same-trace']): Facts =>
  ({
    caller: { id: `spiffe://acme.test/${caller}` },
    credential: { kind: 'task-token', clientId: 'spiffe://acme.test/planner' },
    reuse,
  }) as unknown as Facts;

const allow: Decision = { ...deny('internal', ''), kind: 'allow' as never };

describe('reuseOf', () => {
  it.each<readonly [string, Decision, Facts, Facts['reuse']]>([
    ['leaves an allowed use as it was', allow, facts('planner'), ['same-trace']],
    ['leaves a denial by policy as it was', deny('policy.forbidden', ''), facts('planner'), ['same-trace']],
    ['names a thief', deny('token.binding', ''), facts('thief'), ['other-identity', 'same-trace']],
    [
      'names no thief who is the agent with another certificate',
      deny('token.binding', ''),
      facts('planner'),
      ['same-trace'],
    ],
    ['is empty without a verified token', deny('token.expired', ''), facts('planner', []), []],
  ])('%s', (_name, decision, known, expected) => {
    expect(reuseOf({ decision, facts: known })).toEqual(expected);
  });

  it.each<ReasonCode>(['task.completed', 'task.cancelled', 'task.revoked', 'task.expired', 'token.revoked'])(
    'names a use after the end: %s',
    (reason) => {
      expect(reuseOf({ decision: deny(reason, ''), facts: facts('planner', ['first']) })).toEqual([
        'after-end',
        'first',
      ]);
    },
  );

  it.each<ReasonCode>(['task.suspended', 'task.exhausted', 'task.state-unavailable'])('names no end: %s', (reason) => {
    expect(reuseOf({ decision: deny(reason, ''), facts: facts('planner') })).toEqual(['same-trace']);
  });
});
