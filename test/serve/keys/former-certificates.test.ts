import { describe, expect, it } from '@jest/globals';
import { deny, type Decision } from '../../../src/core/decision/decision.ts';
import { formerCertificates } from '../../../src/serve/keys/former-certificates.ts';
import type { FinishedCheck } from '../../../src/core/telemetry/finished-check.ts';

const PLANNER = 'spiffe://acme.test/ns/agents/sa/planner';
const ALLOWED = { kind: 'allow', policyIds: [], observed: null } as Decision;

const checkOf = (decision: Decision, { caller = PLANNER, shown = 'renewed' } = {}): FinishedCheck =>
  ({
    decision,
    facts: {
      caller: { id: caller, certificateSha256: shown },
      credential: {
        kind: 'task-token',
        clientId: PLANNER,
        delegate: null,
        confirmation: { kind: 'x5t#S256', thumbprint: 'former' },
      },
    },
  }) as unknown as FinishedCheck;

const setUp = (binding = 'certificate') => {
  const lines: string[] = [];
  const observe = formerCertificates({
    config: { extAuthz: { binding } },
    log: (line: string) => lines.push(line),
  } as unknown as Parameters<typeof formerCertificates>[0]);
  const denied = (times: number, caller?: string): void => {
    for (let n = 0; n < times; n += 1) observe(checkOf(deny('token.binding', ''), { caller }));
  };
  return { lines, observe, denied };
};

// Issue 39, point 1.
describe('formerCertificates', () => {
  it('tells an agent once that is denied again and again for its certificate alone', () => {
    const { lines, denied } = setUp();
    denied(19);
    expect(lines).toEqual([]);
    denied(200);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^warning: `spiffe:\/\/acme\.test\/ns\/agents\/sa\/planner` was denied 20 times in a row .* `extAuthz\.binding: spiffe-id`$/,
    );
  });

  it('begins anew after an allowed call, so that renewals in the life of an agent do not add up', () => {
    const { lines, observe, denied } = setUp();
    for (let renewal = 0; renewal < 10; renewal += 1) {
      denied(10);
      observe(checkOf(ALLOWED));
    }
    expect(lines).toEqual([]);
  });

  it('counts no thief', () => {
    const { lines, denied } = setUp();
    denied(100, 'spiffe://acme.test/ns/agents/sa/thief');
    expect(lines).toEqual([]);
  });

  it('looks at nothing if tokens are not bound to certificates', () => {
    const { lines, denied } = setUp('spiffe-id');
    denied(100);
    expect(lines).toEqual([]);
  });
});
