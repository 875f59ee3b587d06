import { describe, expect, it } from '@jest/globals';
import type { UseRecord } from '../../../../src/core/ledger/record.ts';
import { isReasonOfCase, recordedCase, recordedSuiteText } from '../../../../src/tools/policy/compare/recorded-case.ts';
import type { RecordedWith } from '../../../../src/tools/policy/compare/recorded-case.ts';
import { examplePolicies, mustCases, planner } from '../cases/folder.ts';
import { must } from '../../../builders/must.ts';
import { useRecord } from '../../../builders/ledger-record.ts';

const record: UseRecord = useRecord({
  at: Date.UTC(2026, 0, 2, 3, 4, 5),
  decisionId: '019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55',
  task: '0198f7a2-4b7e-7000-8000-3f6b8e0d1c2a',
  agent: planner,
  credential: 'task-token',
  action: 'payments.create',
  decision: 'deny',
  reason: 'policy.forbidden',
  policyIds: ['payments-limit'],
  policySet: 'sha-256:x',
  policyGeneration: 1,
  tokenUse: 2,
  reuse: ['other-node', 'after-end'],
  jtiDigest: 'd',
  method: 'POST',
  traceId: '1'.repeat(32),
  spanId: '2'.repeat(16),
});

const approval = { name: 'approval', value: 'finance', by: 'spiffe://acme.test/ns/finance/sa/approvals' };

const task: NonNullable<RecordedWith['task']> = {
  purpose: 'pay',
  detailsJson: '[{"type":"urn:remit:task","locations":["https://payments.acme.test"],"actions":["payments.*"]}]',
  createdAtMs: record.at - 90_500,
  risk: 'medium',
  context: { claimed: { model: 'm-1' }, attested: [{ ...approval, kind: 'writer' }] },
  subject: 'ann',
  subjectAttributes: { groups: ['finance'] },
  agent: planner,
};

function made(change: Partial<UseRecord> = {}, known: RecordedWith = {}) {
  return must(recordedCase({ ...record, ...change }, known));
}

describe('recordedCase', () => {
  it('makes the content of the recorded arguments, if none that is required is missing', async () => {
    const { catalog } = await examplePolicies();
    const { item, notes } = made({ args: { amount: 250 } }, { task, catalog });
    expect(item['call']).toEqual({
      method: 'POST',
      url: 'https://payments.acme.test/v1/payments',
      headers: { 'content-type': 'application/json' },
      body: '{"amount":250}',
    });
    expect(notes).toEqual(
      expect.arrayContaining([
        'query, headers and body are made of the recorded arguments; other content is not recorded',
        'to be added, if they were sent: currency',
      ]),
    );
    const digest = { bytes: 300, 'sha-256': 'x' };
    expect(made({ args: { amount: digest } }, { task, catalog }).item['call']).toEqual({
      method: 'POST',
      url: 'https://payments.acme.test/v1/payments',
    });
  });

  it('makes a case from record and task, with notes on what is missing', async () => {
    const { catalog } = await examplePolicies();
    const text = recordedSuiteText([made({}, { task, catalog, history: { actions: ['payments.list'], labels: [] } })]);
    expect(text).toMatch(
      /^cases:\n {2}# query, headers and body are not recorded\n {2}# to be added, if they were sent: amount, currency\n {2}# the context is that of the task now\n {2}- name: /,
    );
    expect(mustCases(text)).toMatchObject([
      {
        name: 'decision 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55',
        attempt: {
          kind: 'call',
          method: 'POST',
          url: 'https://payments.acme.test/v1/payments',
          headers: [],
          body: null,
        },
        circumstances: {
          agent: planner,
          nowMs: record.at,
          task: {
            purpose: 'pay',
            ageSeconds: 90,
            risk: 'medium',
            state: 'active',
            claimed: { model: 'm-1' },
            attested: [approval],
            subject: 'ann',
            subjectAttributes: { groups: ['finance'] },
            details: [{ actions: ['payments.*'] }],
          },
          credential: { kind: 'task-token', uses: 2, reuse: ['other-node'] },
          history: { actions: ['payments.list'], labels: [] },
        },
        expected: { decision: 'deny', reason: 'policy.forbidden', policies: ['payments-limit'] },
      },
    ]);
  });

  it('keeps the task state that caused the denial', () => {
    expect(made({ reason: 'task.suspended', policyIds: [] }, { task }).item).toMatchObject({
      task: { state: 'suspended' },
    });
    expect(made({ reason: 'task.exhausted', policyIds: [] }, { task }).item['task']).not.toHaveProperty('state');
  });

  it('makes a case without a task', () => {
    const { item, notes } = made({
      credential: 'workload-identity',
      tokenUse: null,
      reuse: [],
      decision: 'allow',
      reason: null,
    });
    expect(mustCases(recordedSuiteText([{ item, notes }]))[0]?.circumstances.credential.kind).toBe('workload-identity');
    expect(notes).toEqual([
      'query, headers and body are not recorded',
      'purpose and grant of the task are not known',
      'what the task was allowed before is not known',
    ]);
  });

  it('expects of an observed use what enforcing would have decided: what passed is no example of what is permitted', () => {
    const { item } = made({
      decision: 'allow',
      reason: null,
      policyIds: [],
      mode: 'observe',
      entry: 'legacy',
      would: { decision: 'deny', reason: 'policy.forbidden', detail: null, policyIds: ['payments-limit'] },
    });
    expect(item).toMatchObject({ expect: 'deny', reason: 'policy.forbidden', policies: ['payments-limit'] });
  });

  it('makes one suite from several cases, and an empty suite from none', () => {
    const text = recordedSuiteText([
      made({ decisionId: 'a' }),
      made({ decisionId: 'b' }, { task: { ...task, context: null } }),
    ]);
    expect(mustCases(text).map(({ name, line }) => [name, line])).toEqual([
      ['decision a', 5],
      ['decision b', 23],
    ]);
    expect(text).toContain('  # the context of the task is not known\n');
    expect(mustCases(recordedSuiteText([]))).toEqual([]);
  });

  it('escapes unprintable characters without changing the value', () => {
    const purpose = 'pay\u202e\u001b[31m\n\u{e0041}"x"';
    const text = recordedSuiteText([made({}, { task: { ...task, purpose } })]);
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(mustCases(text)[0]?.circumstances.task.purpose).toBe(purpose);
  });

  it.each([
    [null, true],
    ['policy.forbidden', true],
    ['action.unknown', true],
    ['task.suspended', true],
    ['task.exhausted', false],
    ['token.expired', false],
    ['internal', false],
  ] as const)('knows whether a case can come to %s', (reason, expected) => {
    expect(isReasonOfCase(reason)).toBe(expected);
  });

  it('names the agent of the task behind a hop, and the caller of a stolen token', () => {
    const agent = 'spiffe://acme.test/ns/edge/sa/hop';
    expect(made({ agent }, { task }).item['agent']).toBe(planner);
    expect(made({ agent, reason: 'token.binding' }, { task }).item['agent']).toBe(agent);
    expect(made({ agent }).item['agent']).toBe(agent);
  });

  it.each([
    ['caller', { agent: null }, 'the caller of the recorded call was not known'],
    ['request', { host: '' }, 'the recorded call could not be read'],
  ])('makes nothing without a %s', (_name, change, problem) => {
    expect(recordedCase({ ...record, ...change })).toEqual({ problem });
  });
});
