import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { IntentRecord } from '../../../../src/core/ledger/record.ts';
import { settleBindingViolation } from '../../../../src/core/task/binding-violation.ts';
import { newMetrics } from '../../../../src/core/telemetry/metrics/metrics.ts';
import { recordMetrics } from '../../../../src/core/telemetry/metrics/record-metrics.ts';
import { Connection } from '../../../../src/authority/state/sqlite/connection.ts';
import { insertRecords } from '../../../../src/authority/state/sqlite/tables/outbox-table.ts';
import { createState, stateFormat } from '../../../../src/authority/state/sqlite/schema.ts';
import { openSqlite } from '../../../../src/core/sqlite/sqlite-file.ts';
import { directAuthority } from '../../../builders/direct-authority.ts';
import { Reports } from '../../../../src/core/state/reports.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { encoded, endRecord } from '../../../builders/ledger-record.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustOpen } from '../../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../../builders/task.ts';
import { must } from '../../../builders/must.ts';

const folder = testFolders();

const open = () => {
  const metrics = newMetrics();
  const store = mustOpen(join(folder(), 'state.db'), { nowMs: () => 50_000, onRecords: recordMetrics(metrics) });
  return { store, body: () => metrics.scrape('text').body };
};

const ended = (state: string, cause: string): string =>
  `\nremit_task_ends_total{state="${state}",cause="${cause}"} 1\n`;

const intent: IntentRecord = {
  kind: 'intent',
  at: 1,
  task: null,
  agent: taskNumber(1).agent,
  subject: null,
  parent: null,
  purpose: 'pay',
  intentHash: null,
  details: [],
  claimed: null,
  deadline: null,
  decision: 'allow',
  decisionId: '019ab77e-5d3c-7a41-9f60-000000000001',
  detail: null,
  error: null,
  reason: null,
  policyIds: [],
  policySet: null,
  traceId: '1'.repeat(32),
  spanId: '2'.repeat(16),
};

describe('recordMetrics', () => {
  it('counts ends of tasks written by the store itself, by state and cause', () => {
    const { store, body } = open();
    const idle = taskNumber(2, { idleMs: 10 });
    const [whole, part] = [taskNumber(3), taskNumber(4, { parentId: taskNumber(3).id })];
    [taskNumber(1, { deadlineMs: 40_000 }), idle, whole, part].forEach((task, n) =>
      expect(store.insertTask(task, tokenNumber(n), [])).toBeNull(),
    );
    store.endExpired();
    store.applyTaskEvent(whole, { kind: 'cancel', cause: causeOf('operator.cancelled', 'enough of it') }, 'operator');
    for (const line of [
      ended('expired', 'deadline'),
      ended('expired', 'idle'),
      ended('cancelled', 'operator'),
      ended('cancelled', 'parent'),
    ]) {
      expect(body()).toContain(line);
    }
    store.close();
  });

  it('counts a stolen token, and the end that follows', async () => {
    const { store, body } = open();
    const task = taskNumber(1);
    store.insertTask(task, tokenNumber(1), []);
    const reports = new Reports(directAuthority(store), { after, log: () => undefined });
    const record = settleBindingViolation(
      reports,
      {
        issuer: task.issuer,
        taskId: task.id,
        issued: { jtiDigest: tokenNumber(1).jtiDigest, revokedAtMs: null },
        presentedBy: task.agent,
        nowMs: 50_000,
      },
      'revoke-task',
    );
    await reports.flush();
    if (record !== null) store.appendRecords([encoded(record)]);
    expect(body()).toContain(ended('revoked', 'binding'));
    expect(body()).toContain('\nremit_binding_violations_total 1\n');
    store.close();
  });

  it('counts intents by decision, and those that were refused after a stop', () => {
    const { store, body } = open();
    const refused = (reason: IntentRecord['reason']) =>
      encoded({ ...intent, decision: 'deny', error: 'access_denied', reason });
    store.appendRecords([encoded(intent), refused('task.stopped'), refused('task.stopped'), refused(null)]);
    expect(body()).toContain('\nremit_intents_total{decision="allow"} 1\n');
    expect(body()).toContain('\nremit_intents_total{decision="deny"} 3\n');
    expect(body()).toContain('\nremit_intents_after_stop_total 2\n');
    store.close();
  });

  it('counts nothing of a transaction that was rolled back', () => {
    const metrics = newMetrics();
    const db = must(
      openSqlite(join(folder(), 'state.db'), {
        format: stateFormat,
        access: 'create',
        maxBytes: 1e9,
        create: (empty) => createState(empty, randomBytes),
      }),
    );
    const connection = new Connection(db, { nowMs: () => 1, monotonicMs: () => 1, onRecords: recordMetrics(metrics) });
    const failed = connection.write([], () => {
      insertRecords(connection, [endRecord(1)]);
      connection.statement('INSERT INTO clock VALUES (2, 0, NULL, NULL)').run();
    });
    expect(isStoreFailure(failed)).toBe(true);
    connection.write([], () => insertRecords(connection, [endRecord(2)]));
    expect(metrics.scrape('text').body).toContain('\nremit_ledger_records_total{kind="end"} 1\n');
    connection.close();
  });
});

// Issue 42, point 4.
it.each(['attest', 'stop-agent', 'stop-user'])('counts a signal with the effect `%s` by that', (effect) => {
  const { store, body } = open();
  const signal = { kind: 'event', at: 1, task: null, event: 'signal', cause: 'signal.session-revoked' } as const;
  must(store.appendRecords([encoded({ ...signal, note: '', by: 'https://idp.acme.test', details: { effect } })]));
  expect(body()).toContain(`remit_signals_total{effect="${effect}"} 1`);
  store.close();
});
