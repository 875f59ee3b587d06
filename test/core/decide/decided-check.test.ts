import { describe, expect, it } from '@jest/globals';
import type { CallFacts } from '../../../src/core/decide/facts.ts';
import { deny } from '../../../src/core/decision/decision.ts';
import type { Decision } from '../../../src/core/decision/decision.ts';
import type { ReasonCode } from '../../../src/core/decision/reasons.ts';
import { reuseOf, withOtherCertificate } from '../../../src/core/decide/decided-check.ts';

const facts = (caller: string, reuse: CallFacts['reuse'] = ['same-trace']): CallFacts =>
  ({
    caller: { id: `spiffe://acme.test/${caller}` },
    credential: { kind: 'task-token', clientId: 'spiffe://acme.test/planner' },
    reuse,
  }) as unknown as CallFacts;

const withCertificates = (caller: string, { bound, shown }: { bound: string; shown: string | null }): CallFacts =>
  ({
    caller: { id: `spiffe://acme.test/${caller}`, certificateSha256: shown },
    credential: {
      kind: 'task-token',
      clientId: 'spiffe://acme.test/planner',
      delegate: null,
      confirmation: { kind: 'x5t#S256', thumbprint: bound },
    },
    reuse: ['same-trace'],
  }) as unknown as CallFacts;

const allow: Decision = { ...deny('internal', ''), kind: 'allow' as never, observed: null };

describe('reuseOf', () => {
  it.each<readonly [string, Decision, CallFacts, CallFacts['reuse']]>([
    ['leaves an allowed use as it was', allow, facts('planner'), ['same-trace']],
    ['leaves a denial by policy as it was', deny('policy.forbidden', ''), facts('planner'), ['same-trace']],
    ['names a thief', deny('token.binding', ''), facts('thief'), ['other-identity', 'same-trace']],
    [
      'names no thief who is the agent with another certificate',
      deny('token.binding', ''),
      facts('planner'),
      ['same-trace'],
    ],
    [
      'names a former certificate of the agent',
      deny('token.binding', ''),
      withCertificates('planner', { bound: 'former', shown: 'renewed' }),
      ['other-certificate', 'same-trace'],
    ],
    [
      'names the thief, whatever certificate he shows',
      deny('token.binding', ''),
      withCertificates('thief', { bound: 'former', shown: 'renewed' }),
      ['other-identity', 'same-trace'],
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

// Issue 39, point 1: the agent's proxy kept connections that were opened with its former certificate.
describe('withOtherCertificate', () => {
  it.each<readonly [string, boolean, Decision, CallFacts]>([
    [
      'another certificate of the agent',
      true,
      deny('token.binding', ''),
      withCertificates('planner', { bound: 'a', shown: 'b' }),
    ],
    ['the same certificate', false, deny('token.binding', ''), withCertificates('planner', { bound: 'a', shown: 'a' })],
    ['no certificate', false, deny('token.binding', ''), withCertificates('planner', { bound: 'a', shown: null })],
    ['another workload', false, deny('token.binding', ''), withCertificates('thief', { bound: 'a', shown: 'b' })],
    ['another reason', false, deny('token.expired', ''), withCertificates('planner', { bound: 'a', shown: 'b' })],
    ['an allowed use', false, allow, withCertificates('planner', { bound: 'a', shown: 'b' })],
  ])('%s: %s', (_name, expected, decision, known) => {
    expect(withOtherCertificate({ decision, facts: known })).toBe(expected);
  });
});
