import { encodedRecord } from '../../src/core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../src/core/ledger/encoded-record.ts';
import type { LedgerRecord, UseRecord } from '../../src/core/ledger/record.ts';
import { taskNumber } from './task.ts';
import { must } from './must.ts';

/** A record as a ledger takes it; throws where it is none. */
export const encoded = (record: LedgerRecord): EncodedRecord => must(encodedRecord(record));

/** The record of task number `n` completed at `n`. */
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

/** The record of an allowed use in no task, with what a test says of it. */
export const useRecord = (change: Partial<UseRecord>): UseRecord => ({
  kind: 'use',
  refusedCaller: null,
  detail: null,
  at: 1,
  decisionId: 'd',
  task: null,
  agent: null,
  credential: null,
  action: null,
  decision: 'allow',
  reason: null,
  policyIds: [],
  policySet: null,
  policyGeneration: null,
  tokenUse: null,
  reuse: [],
  jtiDigest: null,
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  host: 'payments.acme.test',
  method: 'GET',
  path: '/v1/payments',
  ...change,
});

/** The record of a use of task number `n` at an instant. */
export const allowedUse = (
  n: number,
  at: number,
  decision: 'allow' | 'deny' = 'allow',
  decisionId = `use-${n}`,
): EncodedRecord =>
  encoded(
    useRecord({
      at,
      decisionId,
      task: taskNumber(n).id,
      agent: taskNumber(n).agent,
      credential: 'task-token',
      action: 'payments.read',
      decision,
      reason: decision === 'allow' ? null : 'policy.forbidden',
      tokenUse: 1,
      reuse: ['first'],
      jtiDigest: `digest-${n}`,
    }),
  );
