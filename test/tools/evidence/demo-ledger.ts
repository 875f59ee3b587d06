import type { ReasonCode } from '../../../src/core/decision/reasons.ts';
import type { LedgerRecord, WouldBe } from '../../../src/core/ledger/record.ts';
import { setHashOf } from '../../../src/core/policy/loading/set-hash.ts';
import { keepPolicies } from '../../../src/core/ledger/log/kept-policies.ts';
import { diskLedger, type DiskLedger, START_MS } from '../../cli/ledgers.ts';
import { folderWith } from '../../builders/policy-folder.ts';
import { must } from '../../builders/must.ts';
import { encoded, useRecord } from '../../builders/ledger-record.ts';

const planner = 'spiffe://acme.test/ns/agents/sa/planner';
const thief = 'spiffe://acme.test/ns/agents/sa/thief';
const task = '019b76da-a800-7000-8000-000000000001';
const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
/** Its policy set. */
export const source = folderWith(
  '@id("pay") permit (principal, action == Remit::Action::"payments.create", resource) when { context.risk == "high" };',
);

/** The hash of its policy set. */
export const policySet = setHashOf(source);

const decided = { decision: 'allow', reason: null, detail: null, policyIds: ['pay'], policySet } as const;

const use = (
  second: number,
  change: Partial<Extract<LedgerRecord, { kind: 'use' }>>,
): Extract<LedgerRecord, { kind: 'use' }> =>
  useRecord({
    at: START_MS + second * 1_000,
    decisionId: `019b76da-a800-7000-8000-0000000001${String(second).padStart(2, '0')}`,
    task,
    agent: planner,
    credential: 'task-token',
    action: 'payments.create',
    policyGeneration: 1,
    tokenUse: second,
    reuse: ['first'],
    jtiDigest: 'digest',
    method: 'POST',
    ...decided,
    ...span,
    ...change,
  });

/** The record that its policy set took effect. */
export const policyLoad: LedgerRecord = {
  kind: 'policy',
  at: START_MS,
  task: null,
  policySet,
  policies: 1,
  actions: 20,
  origin: {
    kind: 'bundle',
    from: 'https://policies.acme.test/b.jws',
    name: 'prod',
    signers: ['k-1'],
    version: '3',
    serial: 7,
    issuedAt: 1,
  },
  by: 'remit',
  isTextKept: true,
  textsGivenUp: [],
};

/** The demo in short: an intent, payments, one above the limit, a thief, a bypass, and an operator who ends the task. */
const records: readonly LedgerRecord[] = [
  policyLoad,
  {
    kind: 'intent',
    decisionId: '019b76da-a800-7000-8000-000000000101',
    at: START_MS + 1_000,
    task,
    agent: planner,
    subject: planner,
    parent: null,
    purpose: 'pay the invoices of may',
    intentHash: 'sha-256:x',
    details: [],
    claimed: {},
    deadline: START_MS + 600_000,
    error: null,
    ...decided,
    ...span,
  },
  {
    kind: 'token',
    at: START_MS + 1_500,
    task,
    agent: planner,
    delegate: null,
    jtiDigest: 'digest',
    audience: 'https://payments.acme.test',
    expires: START_MS + 300_000,
    binding: 'x5t#S256',
    ...span,
  },
  use(2, { args: { amount: 250 } }),
  use(3, { args: { amount: 300 }, path: '/v1/payments/|`<b>' }),
  use(4, { args: { amount: 900 }, decision: 'deny', reason: 'policy.forbidden', policyIds: [] }),
  use(5, { agent: thief, decision: 'deny', reason: 'token.binding', reuse: ['other-identity'], policyIds: [] }),
  {
    kind: 'event',
    at: START_MS + 5_001,
    task,
    event: 'binding-violation',
    cause: 'binding.violation',
    note: 'a token was presented by another workload',
    by: 'remit',
    details: {},
  },
  {
    kind: 'finding',
    at: START_MS + 6_000,
    finding: 'bypass',
    count: 1,
    decisionId: null,
    task: null,
    agent: planner,
    action: null,
    details: {},
  },
  {
    kind: 'end',
    at: START_MS + 7_000,
    task,
    state: 'revoked',
    cause: 'operator.revoked',
    note: 'stop it',
    by: 'operator Ada Lovelace (account root)',
  },
];

/** Observed uses: one that would be allowed, one that would be denied, and one that was denied all the same. */
export const observedUses: readonly LedgerRecord[] = [
  use(8, { mode: 'observe', entry: 'legacy', args: { amount: 7_000 }, would: wouldBe(null, ['pay']) }),
  use(9, { mode: 'observe', entry: 'legacy', policyIds: [], args: { amount: 9_000 }, would: wouldBe('token.missing') }),
  use(10, {
    mode: 'observe',
    entry: 'legacy',
    decision: 'deny',
    reason: 'task.revoked',
    policyIds: [],
    would: wouldBe('task.revoked'),
  }),
];

function wouldBe(reason: ReasonCode | null, policyIds: readonly string[] = []): WouldBe {
  return { decision: reason === null ? 'allow' : 'deny', reason, detail: null, policyIds };
}

/** A closed ledger like that of the demo, in its own folder, with the texts of its policies, and further records after it. @param load what differs in the record of its policy set */
export async function demoLedger(
  folder: string,
  policies = source,
  more: readonly LedgerRecord[] = [],
  load: Partial<Extract<LedgerRecord, { kind: 'policy' }>> = {},
): Promise<DiskLedger> {
  const hash = setHashOf(policies);
  const ledger = diskLedger(folder, 0, { isClosed: false });
  for (const record of [...records, ...more]) {
    const loaded = record.kind === 'policy' ? { ...record, ...load } : record;
    const own = 'policySet' in loaded ? { ...loaded, policySet: hash } : loaded;
    const failure = ledger.log.append([{ bytes: encoded(own).bytes, outbox: null }], 'f'.repeat(32));
    if (failure !== null) throw new Error(failure.detail);
  }
  ledger.log.close();
  if (load.isTextKept !== false) must(await keepPolicies(ledger.folder, { hash, source: policies }));
  return ledger;
}
