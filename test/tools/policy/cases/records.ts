import type { EventRecord, IntentRecord } from '../../../../src/core/ledger/record.ts';
import type { PlacedUse } from '../../../../src/core/ledger/recorded-use.ts';
import type { TimelineEntry } from '../../../../src/core/ledger/timeline.ts';
import type { RecordedTask } from '../../../../src/tools/policy/compare/recorded-task.ts';
import type { Task } from '../../../../src/core/task/task.ts';
import { planner } from './folder.ts';
import { useRecord } from '../../../builders/ledger-record.ts';

/** 15 January 2026, 12:00 UTC. */
export const NOW = Date.UTC(2026, 0, 15, 12);

/** A task created 10 seconds before `NOW`, as its id tells. */
export const TASK_ID = `0${(NOW - 10_000).toString(16)}`.replace(/^(.{8})(.{4})$/, '$1-$2-7000-8000-000000000001');

/** An allowed use of `payments.list` by the planner, as record 10. */
export const useOf = (change: Partial<PlacedUse> = {}): PlacedUse => ({
  seq: 10,
  ...useRecord({
    at: NOW,
    decisionId: '019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55',
    task: TASK_ID,
    agent: planner,
    credential: 'task-token',
    action: 'payments.list',
    policyIds: ['payments-read'],
    policySet: 'sha-256:other',
    policyGeneration: 1,
    tokenUse: 1,
    reuse: ['first'],
    jtiDigest: 'd',
    traceId: '1'.repeat(32),
    spanId: '2'.repeat(16),
  }),
  ...change,
});

const details = (servers: readonly string[]) =>
  servers.map((server) => ({
    type: 'urn:remit:task',
    locations: [`https://${server}.acme.test`],
    actions: [`${server}.*`],
  }));

/** The intent of the task, as record 1. */
export const intentOf = (change: Partial<IntentRecord> = {}): TimelineEntry => ({
  kind: 'intent',
  decisionId: '019ab77e-5d3c-7a41-9f60-000000000001',
  detail: null,
  seq: 1,
  at: NOW - 9_990,
  task: TASK_ID,
  agent: planner,
  subject: planner,
  parent: null,
  purpose: 'pay',
  intentHash: 'sha-256:x',
  details: details(['payments', 'files', 'tickets']),
  claimed: {},
  deadline: NOW + 1_000_000,
  decision: 'allow',
  error: null,
  reason: null,
  policyIds: [],
  policySet: null,
  traceId: '1'.repeat(32),
  spanId: '2'.repeat(16),
  ...change,
});

/** An event of the task. */
export const eventOf = (
  seq: number | null,
  event: EventRecord['event'],
  of: EventRecord['details'] = {},
): TimelineEntry => ({
  kind: 'event',
  seq,
  at: NOW,
  task: TASK_ID,
  event,
  cause: null,
  note: '',
  by: 'operator',
  details: of,
});

/** The stored task. */
export const storedTask = (change: Partial<Task> = {}): Task => ({
  id: TASK_ID,
  issuer: 'https://issuer.acme.test',
  agent: planner,
  subject: planner,
  parentId: null,
  purpose: 'pay',
  intentHash: 'sha-256:x',
  state: 'active',
  createdAtMs: NOW - 10_000,
  deadlineMs: NOW + 1_000_000,
  idleMs: null,
  lastUsedMs: NOW,
  endedAtMs: null,
  cause: null,
  issuance: { traceId: '1'.repeat(32), spanId: '2'.repeat(16) },
  detailsJson: JSON.stringify(details(['payments', 'files', 'tickets'])),
  claimed: {},
  attested: [],
  subjectAttributes: {},
  contextRules: {},
  risk: 'low',
  generation: 1,
  ...change,
});

/** The task with its records. */
export const recordedTask = (change: Partial<RecordedTask> = {}): RecordedTask => ({
  stored: storedTask(),
  records: [intentOf()],
  isCut: false,
  hasParts: () => false,
  ...change,
});
