import type { SpiffeId } from '../../src/core/identity/spiffe-id.ts';
import type { IssuedToken } from '../../src/core/state/store.ts';
import { type CauseCode, causeOf } from '../../src/core/task/cause.ts';
import type { Task, TaskEvent } from '../../src/core/task/task.ts';

/** The issuer of every task here. */
export const issuer = 'https://issuer.acme.test';

const DETAILS = JSON.stringify([
  { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.create'] },
]);

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
  detailsJson: DETAILS,
  claimed: {},
  attested: [],
  subjectAttributes: {},
  contextRules: {},
  risk: 'low',
  generation: 1,
  ...change,
});

/** Token number `n`: issued at `n`, valid for five minutes. */
export const tokenNumber = (n: number): IssuedToken => ({
  jtiDigest: `digest-${n}`,
  audience: 'https://payments.acme.test',
  issuedAtMs: n,
  expiresAtMs: n + 300_000,
  generation: 1,
  boundTo: 'c'.repeat(43),
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

/** Whether the answer to a settlement says that a budget has too little left. */
export const isExhausted = (answer: unknown): boolean =>
  typeof answer === 'object' && answer !== null && 'problem' in answer && answer.problem === 'exhausted';
