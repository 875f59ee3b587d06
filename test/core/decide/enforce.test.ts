import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { enforce, WHILE_OBSERVED } from '../../../src/core/decide/enforce.ts';
import { deny, isDeny } from '../../../src/core/decision/decision.ts';
import type { Decision, Deny } from '../../../src/core/decision/decision.ts';
import { reasons } from '../../../src/core/decision/reasons.ts';
import type { ReasonCode } from '../../../src/core/decision/reasons.ts';
import type { ObserveEntry } from '../../../src/core/policy/enforcement.ts';

const entry: ObserveEntry = {
  id: 'legacy',
  agents: ['*'],
  servers: ['tools'],
  untilMs: 1,
  owner: 'us',
  because: 'CHG-1',
  place: { file: 'enforcement.yaml', line: 2, column: 5 },
};
// Safe: the keys of the table of reasons.
const codes = Object.keys(reasons) as ReasonCode[];
const allow = { ...deny('internal', ''), kind: 'allow', policyIds: ['p'], observed: null } as unknown as Decision;

/** What is denied also while observing, as the contract has it. */
const HARD: readonly (readonly [string, Deny])[] = [
  ...(['task.completed', 'task.cancelled', 'task.expired', 'task.unknown'] as const).map(
    (code) => ['ended', deny(code, '')] as const,
  ),
  ['ended', { ...deny('token.expired', ''), isOfRemit: true }],
  ['revoked', deny('task.revoked', '')],
  ['revoked', deny('token.revoked', '')],
  ['suspended', deny('task.suspended', '')],
  ['stopped', deny('task.stopped', '')],
  ...(['stopped.all', 'stopped.agent', 'stopped.server', 'stopped.action', 'stopped.user'] as const).map(
    (code) => ['stopped by an operator', deny(code, '')] as const,
  ),
  ['stolen', { ...deny('token.binding', ''), isOfRemit: true }],
  ...(['token.signature', 'token.malformed', 'token.algorithm', 'token.lifetime'] as const).map(
    (code) => ['forged', { ...deny(code, ''), isOfRemit: true } as const] as const,
  ),
  ['replayed', { ...deny('token.proof', ''), isOfRemit: true }],
  ['replayed', { ...deny('token.proof-nonce', ''), isOfRemit: true }],
  ['not to be judged, among several tokens', { ...deny('request.not-canonical', ''), isOfRemit: true }],
  ['replayed', deny('task.replayed', '')],
  ['always forbidden', deny('policy.forbidden', '', { isAlways: true })],
];

describe('enforce', () => {
  it.each(HARD.map(([what, denial]) => [what, denial.reason, denial] as const))(
    'denies also while observing what is %s: `%s`',
    (_what, _reason, denial) => {
      expect(enforce(denial, entry)).toBe(denial);
    },
  );

  it.each(codes.filter((code) => !HARD.some(([, { reason }]) => reason === code)))(
    'lets `%s` pass while observing, and says what it would be',
    (code) => {
      const denial = deny(code, 'why');
      expect(enforce(denial, entry)).toEqual({ kind: 'allow', policyIds: [], observed: denial });
    },
  );

  it.each([
    'token.signature',
    'token.malformed',
    'token.algorithm',
    'token.lifetime',
    'token.expired',
    'token.binding',
    'token.proof',
    'token.proof-nonce',
    'request.not-canonical',
  ] as const)('lets `%s` of a token of somebody else pass', (code) => {
    expect(enforce(deny(code, ''), entry)).toMatchObject({ kind: 'allow', policyIds: [] });
  });

  // Issue 39, point 1: that is no theft.
  it('lets a token pass that its own agent presents with another certificate', () => {
    const other = { ...deny('token.binding', ''), isOfRemit: true, isOtherCertificate: true } as const;
    expect(enforce(other, entry)).toMatchObject({ kind: 'allow', observed: other });
  });

  it('lets a forbid without `@always` pass', () => {
    expect(enforce(deny('policy.forbidden', ''), entry)).toMatchObject({ kind: 'allow' });
  });

  it('has a row for every reason', () => {
    expect(Object.keys(WHILE_OBSERVED).toSorted()).toEqual(codes.toSorted());
  });

  it('changes nothing without an entry, and no allow: for random decisions', () => {
    const denials = fc.record({ code: fc.constantFrom(...codes), isAlways: fc.boolean(), isOfRemit: fc.boolean() });
    fc.assert(
      fc.property(fc.option(denials), fc.boolean(), (denial, isObserved) => {
        const decision: Decision =
          denial === null
            ? allow
            : {
                ...deny(denial.code, '', denial.isAlways ? { isAlways: true } : {}),
                ...(denial.isOfRemit ? { isOfRemit: true } : {}),
              };
        const answer = enforce(decision, isObserved ? entry : null);
        if (!isObserved || !isDeny(decision)) expect(answer).toBe(decision);
        else if (isDeny(answer)) expect(answer).toBe(decision);
        else expect(answer).toEqual({ kind: 'allow', policyIds: [], observed: decision });
      }),
    );
  });
});
