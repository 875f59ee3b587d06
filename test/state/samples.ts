import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { encodedRecord } from '../../src/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../src/ledger/encoded-record.ts';
import type { LedgerRecord } from '../../src/ledger/record.ts';
import type { ClockSources } from '../../src/state/clock-floor.ts';
import { openStore } from '../../src/state/sqlite/sqlite-store.ts';
import type { StoreOptions } from '../../src/state/sqlite/sqlite-store.ts';
import { isStoreFailure } from '../../src/sqlite/store-failure.ts';
import type { IssuedToken, Store } from '../../src/state/store.ts';
import { type CauseCode, causeOf } from '../../src/task/cause.ts';
import type { Task, TaskEvent } from '../../src/task/task.ts';

export const issuer = 'https://issuer.acme.test';

/** Task number `n`: created at `n`, with a deadline at 100,000. */
export const taskNumber = (n: number, change: Partial<Task> = {}): Task => ({
  id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`,
  issuer,
  agent: 'spiffe://acme.test/ns/agents/sa/planner' as SpiffeId,
  subject: 'spiffe://acme.test/ns/agents/sa/planner',
  parentId: null,
  purpose: 'pay the invoices of may',
  intentHash: 'sha-256:x',
  state: 'active',
  createdAtMs: n,
  deadlineMs: 100_000,
  idleMs: null,
  lastUsedMs: n,
  endedAtMs: null,
  cause: null,
  issuance: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) },
  detailsJson: '[]',
  claimed: {},
  attested: [],
  subjectAttributes: {},
  contextRules: {},
  risk: 'low',
  generation: 1,
  ...change,
});

export const tokenNumber = (n: number): IssuedToken => ({
  jtiDigest: `digest-${n}`,
  audience: 'https://payments.acme.test',
  issuedAtMs: n,
  expiresAtMs: n + 300_000,
  generation: 1,
  boundTo: 'c'.repeat(43),
});

export const encoded = (record: LedgerRecord): EncodedRecord => {
  const result = encodedRecord(record);
  if ('problem' in result) throw new Error(result.problem);
  return result;
};

export const endRecord = (n: number, note = ''): EncodedRecord =>
  encoded({
    kind: 'end',
    at: n,
    task: taskNumber(n).id,
    state: 'completed',
    cause: 'operator.completed',
    note,
    by: 'operator',
  });

const byOperators = {
  suspend: 'operator.suspended',
  resume: 'operator.resumed',
  complete: 'operator.completed',
  cancel: 'operator.cancelled',
  revoke: 'operator.revoked',
  expire: 'deadline',
} as const satisfies Record<TaskEvent['kind'], CauseCode>;

/** What an operator does to a task; it expires by its deadline. */
export const byOperator = <K extends TaskEvent['kind']>(kind: K, note = '') => ({
  kind,
  cause: causeOf(byOperators[kind], note),
});

/** Clocks that agree: what passes on the wall clock passes on the monotonic one. */
export const agreeing = (nowMs: () => number = () => 1_000): ClockSources => ({ nowMs, monotonicMs: nowMs });

export const mustOpen = (path: string, options: Partial<StoreOptions> = {}): Store => {
  const store = openStore(path, { ...agreeing(options.nowMs), randomBytes, ...options });
  if (isStoreFailure(store)) throw new Error(store.detail);
  return store;
};

/** A folder of its own for each test, removed after all. */
export const scratch = (): { readonly folder: () => string; readonly remove: () => void } => {
  const root = mkdtempSync(join(tmpdir(), 'remit-test-'));
  chmodSync(root, 0o700);
  return {
    folder: () => mkdtempSync(join(root, 'case-')),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
};

/** The record of a use of task number `n` at an instant. */
export const allowedUse = (n: number, at: number, decision: 'allow' | 'deny' = 'allow'): EncodedRecord =>
  encoded({
    kind: 'use',
    refusedCaller: null,
    detail: null,
    at,
    decisionId: `use-${n}`,
    task: taskNumber(n).id,
    agent: taskNumber(n).agent,
    credential: 'task-token',
    action: 'payments.read',
    decision,
    reason: decision === 'allow' ? null : 'policy.forbidden',
    policyIds: [],
    policySet: null,
    policyGeneration: null,
    tokenUse: 1,
    reuse: ['first'],
    jtiDigest: `digest-${n}`,
    traceId: 'a'.repeat(32),
    spanId: 'b'.repeat(16),
    host: 'payments.acme.test',
    method: 'GET',
    path: '/v1/payments',
  });
