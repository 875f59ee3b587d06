/** Ledgers of a task that was delegated, in which payment p-77 was made. */
import { keepPolicies } from '../../../src/core/ledger/log/kept-policies.ts';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import { setHashOf } from '../../../src/core/policy/loading/set-hash.ts';
import type { SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import { encoded, useRecord } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { folderWith } from '../../builders/policy-folder.ts';
import { diskLedger, START_MS } from '../ledgers.ts';
import type { DiskLedger } from '../ledgers.ts';

export const planner = 'spiffe://acme.test/ns/agents/sa/planner' as SpiffeId;
export const reporter = 'spiffe://acme.test/ns/agents/sa/reporter' as SpiffeId;
export const thief = 'spiffe://acme.test/ns/agents/sa/thief' as SpiffeId;

/** Task number `n`. */
export const taskId = (n: number): string => `019b76da-a800-7000-8000-00000000000${n}`;
/** Decision number `n`. */
export const decision = (n: number): string => `019b76da-a800-7000-8000-0000000001${String(n).padStart(2, '0')}`;
export const at = (second: number): number => START_MS + second * 1_000;

const PAY = `@id("pay")
@until("2030-01-01")
permit (principal, action == Remit::Action::"payments.create", resource)
when { context.args.amount <= 500 };`;

/** The policies of the set, with one that decides nothing here. */
export const policies = folderWith(`@id("other") forbid (principal, action, resource) when { false };\n\n${PAY}`);
export const policySet = setHashOf(policies);

const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };

type Of<Kind extends LedgerRecord['kind']> = Extract<LedgerRecord, { kind: Kind }>;

/** An allowed payment with the reference p-77, by the reporter in task 2. */
export const payment = (second: number, change: Partial<Of<'use'>> = {}): Of<'use'> =>
  useRecord({
    at: at(second),
    decisionId: decision(second),
    task: taskId(2),
    agent: reporter,
    credential: 'task-token',
    action: 'payments.create',
    args: { amount: 480, reference: 'p-77' },
    policyIds: ['pay'],
    policySet,
    policyGeneration: 1,
    tokenUse: 1,
    reuse: ['first'],
    jtiDigest: 'token-2',
    method: 'POST',
    ...span,
    ...change,
  });

const intent = (n: number, change: Partial<Of<'intent'>>): Of<'intent'> => ({
  kind: 'intent',
  at: at(n),
  task: taskId(n),
  agent: planner,
  subject: 'alice@acme.test',
  parent: null,
  purpose: 'settle the invoices of May',
  intentHash: `sha-256:${n}`,
  details: [
    {
      type: 'urn:remit:task',
      locations: ['https://payments.acme.test'],
      actions: ['payments.create'],
      constraints: { max_calls: 3 },
    },
  ],
  claimed: {},
  deadline: at(900),
  decision: 'allow',
  error: null,
  reason: null,
  detail: null,
  decisionId: decision(90 + n),
  policyIds: ['pay'],
  policySet,
  ...span,
  ...change,
});

const token = (second: number, change: Partial<Of<'token'>>): Of<'token'> => ({
  kind: 'token',
  at: at(second),
  task: taskId(1),
  agent: planner,
  delegate: null,
  jtiDigest: 'token-1',
  audience: 'https://payments.acme.test',
  expires: at(second + 300),
  binding: 'x',
  ...span,
  ...change,
});

/** What came before the payment: the set in force, the planner's task, its token for the delegate, and the reporter's part. */
export const before: readonly LedgerRecord[] = [
  {
    kind: 'policy',
    at: at(0),
    task: null,
    policySet,
    policies: 2,
    actions: 9,
    origin: { kind: 'folder', folder: '/etc/remit/policies' },
    by: 'uid 0',
    isTextKept: true,
    textsGivenUp: [],
  },
  intent(1, {}),
  token(1, {}),
  token(2, { jtiDigest: 'token-for-reporter', delegate: reporter }),
  intent(2, { at: at(3), agent: reporter, parent: taskId(1) }),
  token(3, { task: taskId(2), agent: reporter, jtiDigest: 'token-2' }),
];

const outcome = (second: number, n: number, status: number): Of<'outcome'> => ({
  kind: 'outcome',
  at: at(second),
  decisionId: decision(n),
  known: true,
  task: taskId(2),
  agent: reporter,
  action: 'payments.create',
  decision: 'allow',
  status,
  details: 'via_upstream',
  flags: [],
  durationMs: 5,
  upstreamMs: 4,
  requestBytes: 1,
  responseBytes: 1,
  attempts: 1,
  upstreamCluster: 'payments',
});

/** What came after it: its outcome, the attempt of a thief, and the end of the planner's task. */
export const after: readonly LedgerRecord[] = [
  outcome(11, 10, 201),
  payment(12, {
    agent: thief,
    args: { amount: 1, reference: 'p-1' },
    decision: 'deny',
    reason: 'token.binding',
    detail: 'claim `client_id` is not the caller',
    policyIds: [],
    policySet: null,
    tokenUse: 2,
    reuse: ['other-identity', 'other-node'],
  }),
  {
    kind: 'event',
    at: at(12),
    task: taskId(2),
    event: 'binding-violation',
    cause: 'binding.violation',
    note: '',
    by: thief,
    details: {},
  },
  {
    kind: 'end',
    at: at(20),
    task: taskId(1),
    state: 'completed',
    cause: 'agent.completed',
    note: '',
    by: planner,
  },
];

/** A closed and signed ledger of these records, with the texts of the policies. */
export async function whyLedger(folder: string, records: readonly LedgerRecord[]): Promise<DiskLedger> {
  const ledger = diskLedger(folder, 0, { isClosed: false });
  for (const record of records)
    must(ledger.log.append([{ bytes: encoded(record).bytes, outbox: null }], 'f'.repeat(32)));
  must(ledger.log.checkpoint());
  ledger.log.close();
  must(await keepPolicies(ledger.folder, { hash: policySet, source: policies }));
  return ledger;
}
