import { dirname } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { explainCommand } from '../../../src/cli/explain/explain.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { observedUse } from '../../tools/learn/learning.ts';
import { ran } from '../ledgers.ts';
import { recordedUses } from '../recorded-uses.ts';

const folder = testFolders();

const [passed, revoked, limited, counted] = [
  '019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55',
  '019ab77e-5d3c-7a41-9f60-2f0b8c1d7e56',
  '019ab77e-5d3c-7a41-9f60-2f0b8c1d7e57',
  '019ab77e-5d3c-7a41-9f60-2f0b8c1d7e58',
];
const overLimit = {
  decision: 'deny',
  reason: 'limit.exceeded',
  detail: 'limit `a-day` of calls: 200 of 200 used, until 2026-01-16T00:00:00Z',
  policyIds: [],
} as const;

const would = (reason: 'action.unknown' | 'task.revoked') =>
  ({ decision: 'deny', reason, detail: 'because', policyIds: [] }) as const;

let state: string;
beforeAll(() => {
  state = recordedUses(folder(), 'sha-256:set');
  const log = mustOpenLog(settingsIn(dirname(state)));
  const records = [
    observedUse({ decisionId: passed, entry: 'legacy', would: would('action.unknown') }),
    observedUse({
      decisionId: revoked,
      entry: 'legacy',
      decision: 'deny',
      reason: 'task.revoked',
      would: would('task.revoked'),
    }),
    observedUse({
      decisionId: limited,
      ...overLimit,
      entry: 'legacy',
      would: overLimit,
      limits: [{ id: 'a-day', left: 0 }],
    }),
    observedUse({
      decisionId: counted,
      would: { decision: 'allow', reason: null, detail: null, policyIds: ['lists'] },
      limits: [
        { id: 'paid', counts: 'amount EUR', left: 12.5 },
        { id: 'calls', counts: 'calls', share: 7 },
        { id: 'payees', counts: 'different account' },
      ],
    }),
  ];
  log.append(
    records.map((record) => ({ bytes: encoded(record).bytes, outbox: null })),
    'f'.repeat(32),
  );
  log.close();
});

const explain = (id: string, ...more: readonly string[]) => ran(explainCommand.run, id, '--state', state, ...more);

describe('remit explain', () => {
  it('explains of a call that passed as observed what enforcing would have decided, and says that it passed', async () => {
    const { exit, out } = await explain(passed);
    expect(exit).toBe(0);
    expect(out).toContain(
      'it passed: its calls are only observed, by the entry `legacy` of `enforcement.yaml`. Enforced it would be:',
    );
    expect(out).toMatch(/^ {2}denied, action\.unknown: /m);
    expect(out).toContain('the cause: because');
    const json = JSON.parse((await explain(passed, '--json')).out) as object;
    expect(json).toMatchObject({ decision: 'deny', reason: 'action.unknown', hasPassed: true });
  });

  it('says of a call that a limit denied which it was, and where its counters are', async () => {
    const { out } = await explain(limited);
    expect(out).toMatch(/^ {2}denied, limit\.exceeded: /m);
    expect(out).toContain('the cause: limit `a-day` of calls: 200 of 200 used, until 2026-01-16T00:00:00Z');
    expect(out).toMatch(/^ {2}remit limits$/m);
    // As earlier versions recorded it.
    expect(out).toMatch(/^ {2}limit `a-day`: 0 left$/m);
  });

  it('says of an allowed call what the limits that counted it had left', async () => {
    const { out } = await explain(counted);
    expect(out).toContain(
      [
        '  allowed',
        '  by the policy `lists`',
        '  limit `paid`, amount EUR: 12.5 left',
        '  limit `calls`, calls: 7 left of what its process was lent',
        '  limit `payees`, different account',
        '',
      ].join('\n'),
    );
  });

  it('says of a call that was denied although observed that it was denied', async () => {
    const { out } = await explain(revoked);
    expect(out).toMatch(/^ {2}denied, task\.revoked: /m);
    expect(out).not.toContain('it passed');
  });
});
