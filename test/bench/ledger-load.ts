import { randomBytes } from 'node:crypto';
import { uuidV7 } from '../../src/core/decision/uuid.ts';
import type { SpiffeId } from '../../src/core/identity/spiffe-id.ts';
import type { EncodedRecord } from '../../src/core/ledger/encoded-record.ts';
import { encoded } from '../builders/ledger-record.ts';
import { taskNumber } from '../builders/task.ts';

/** What the records of a load can be found by; equal for equal records. */
export interface Found {
  readonly task: string;
  readonly decisionId: string;
  readonly traceId: string;
}

const TASKS = 64;
/** Uses without an outcome yet. */
const UNDER_WAY = 100;
const agents = Array.from({ length: 8 }, (_, n) => `spiffe://acme.test/ns/agents/sa/planner-${n}` as SpiffeId);
const actions = ['payments.read', 'payments.list', 'payments.create', 'files.read'];

/** Records as of a busy sidecar, uses and outcomes in turn: 64 tasks, each use with its own id and trace. */
export class LedgerLoad {
  readonly #tasks = Array.from({ length: TASKS }, (_, n) => uuidV7(Date.now() - n, randomBytes(16)));
  readonly #underWay: Found[] = [];
  #made = 0;

  /** The next records, and what the uses among them can be found by. */
  next(count: number): { readonly records: readonly EncodedRecord[]; readonly found: readonly Found[] } {
    const records: EncodedRecord[] = [];
    const found: Found[] = [];
    while (records.length < count) {
      const use = { task: this.#tasks[this.#made % TASKS] ?? '', decisionId: uuidV7(Date.now(), randomBytes(16)) };
      const placed = { ...use, traceId: randomBytes(16).toString('hex') };
      found.push(placed);
      records.push(this.#use(placed));
      this.#underWay.push(placed);
      const over = this.#underWay.length > UNDER_WAY ? this.#underWay.shift() : undefined;
      if (over !== undefined && records.length < count) records.push(this.#outcome(over));
      this.#made++;
    }
    return { records, found };
  }

  #use({ task, decisionId, traceId }: Found): EncodedRecord {
    const n = this.#made;
    return encoded({
      action: actions[n % actions.length] ?? '',
      agent: agents[n % agents.length] ?? null,
      at: Date.now(),
      credential: 'task-token',
      decision: 'allow',
      decisionId,
      host: 'payments.acme.test',
      jtiDigest: randomBytes(32).toString('base64url'),
      kind: 'use',
      refusedCaller: null,
      detail: null,
      method: 'GET',
      path: `/v1/payments/${n}`,
      policyGeneration: 1,
      policyIds: ['payments-read'],
      policySet: 'sha-256:qk2M0nE9pYQbWq5a3dXbG7l5m8U3m7J2iVnS4kqk0b8',
      reason: null,
      reuse: ['same-trace'],
      spanId: randomBytes(8).toString('hex'),
      task,
      tokenUse: n,
      traceId,
    });
  }

  #outcome({ task, decisionId }: Found): EncodedRecord {
    const n = this.#made;
    return encoded({
      action: actions[n % actions.length] ?? '',
      agent: agents[n % agents.length] ?? null,
      at: Date.now(),
      attempts: 1,
      decision: 'allow',
      decisionId,
      details: 'via_upstream',
      durationMs: 3,
      flags: [],
      kind: 'outcome',
      known: true,
      requestBytes: 0,
      responseBytes: n,
      status: 200,
      task,
      upstreamCluster: 'payments',
      upstreamMs: 2,
    });
  }
}

/** An agent without records: a filter by it scans everything. */
export const nobody = taskNumber(1).agent;
