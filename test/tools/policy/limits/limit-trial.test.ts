import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { JsonValue } from '../../../../src/core/ledger/canonical-json.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { LimitTrial } from '../../../../src/tools/policy/limits/limit-trial.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const PAYER = 'spiffe://acme.test/ns/agents/sa/payer';
const OTHER = 'spiffe://acme.test/ns/agents/sa/other';
const DAY = Date.UTC(2026, 10, 3);
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const CATALOG = `servers:
  payments:
    hosts: [payments.acme.test]
    audience: https://payments.acme.test
    routes:
      - action: payments.create
        method: POST
        path: '/v1/accounts/{account}/payments'
        risk: high
        args:
          amount: { from: body, type: long, required: true, record: true }
          price: { from: body, type: decimal, record: true }
          currency: { from: body, record: true }
      - { action: payments.list, method: GET, path: /v1/payments, risk: low }
`;

type Record = { readonly [name: string]: JsonValue };
let next = 0;

const use = (change: Record = {}): Record => ({
  kind: 'use',
  at: DAY,
  decisionId: `d${(next += 1)}`,
  task: 't1',
  agent: PAYER,
  credential: 'task-token',
  action: 'payments.create',
  args: { amount: 10, price: '1.5', currency: 'EUR' },
  decision: 'allow',
  reason: null,
  policyIds: ['p'],
  policySet: null,
  tokenUse: 1,
  reuse: [],
  jtiDigest: null,
  host: 'payments.acme.test',
  method: 'POST',
  path: '/v1/accounts/a%201/payments',
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  ...change,
});

const intent = (task: string, change: Record = {}): Record => ({
  kind: 'intent',
  at: DAY,
  decisionId: `i-${task}`,
  decision: 'allow',
  reason: null,
  task,
  agent: PAYER,
  subject: PAYER,
  deadline: DAY + DAY_MS,
  ...change,
});

const sets = new Map<string, PolicySet>();
const ENTRIES = {
  calls: 'actions: [payments.create], per: [agent], window: 1d, calls: 3',
  all: 'per: [], window: 1d, calls: 3',
  minute: 'per: [agent], window: 1m, calls: 1',
  amount:
    'actions: [payments.create], per: [agent], window: 1d, amount: { argument: amount, limit: 25, currency: { argument: currency, value: EUR } }',
  price: "actions: [payments.create], per: [agent], window: 1d, amount: { argument: price, limit: '3.0' }",
  distinct: 'actions: [payments.create], per: [agent], window: 1d, distinct: { argument: account, limit: 1 }',
  user: 'per: [user], window: 1d, calls: 1',
  tasks: 'per: [agent], window: 1d, tasks: 2',
  open: 'per: [agent], openTasks: 1',
} as const;
beforeAll(async () => {
  for (const [id, entry] of Object.entries(ENTRIES)) {
    const limits = `limits:\n  - { id: ${id}, agents: ['spiffe://acme.test/*'], ${entry} }\n`;
    sets.set(
      id,
      await mustLoad(folderWith('@id("p") permit (principal, action, resource);', { catalog: CATALOG, limits })),
    );
  }
});

function tried(
  id: keyof typeof ENTRIES,
  records: readonly Record[],
  subjects: Readonly<{ [task: string]: string }> = {},
) {
  const set = sets.get(id);
  if (set === undefined) throw new Error(`no set ${id}`);
  const trial = new LimitTrial(set, (task) => subjects[task] ?? null);
  for (const record of records) expect(trial.add(record)).toBeNull();
  return trial.report();
}

const times = (count: number, change: (n: number) => Record = () => ({})): readonly Record[] =>
  Array.from({ length: count }, (_, n) => use(change(n)));
const keysOf = (report: ReturnType<typeof tried>): readonly string[] =>
  report.limits.flatMap(({ keys }) =>
    keys.map(({ who, windows, denied, most }) => `${who}: ${denied} in ${windows}, most ${most}`),
  );
const of = (...values: readonly string[]): string => JSON.stringify(values);

describe('LimitTrial', () => {
  it.each<[string, Parameters<typeof tried>, readonly string[]]>([
    ['calls, to the last', ['calls', times(3)], [`${of(PAYER)}: 0 in 0, most 3`]],
    ['calls above the limit', ['calls', times(5)], [`${of(PAYER)}: 2 in 1, most 3`]],
    [
      'each agent by itself, those that were denied first',
      ['calls', [...times(3), ...times(4, () => ({ agent: OTHER }))]],
      [`${of(OTHER)}: 1 in 1, most 3`, `${of(PAYER)}: 0 in 0, most 3`],
    ],
    ['all together', ['all', [...times(2), ...times(2, () => ({ agent: OTHER }))]], [`${of()}: 1 in 1, most 3`]],
    [
      'each window anew',
      ['minute', times(6, (n) => ({ at: DAY + Math.floor(n / 2) * MINUTE_MS }))],
      [`${of(PAYER)}: 3 in 3, most 1`],
    ],
    [
      'only calls that were allowed, or denied by a limit',
      [
        'calls',
        [
          ...times(2),
          use({ decision: 'deny', reason: 'policy.forbidden' }),
          use({
            mode: 'observe',
            would: { decision: 'deny', reason: 'policy.forbidden', detail: null, policyIds: [] },
          }),
          use({ mode: 'observe', would: { decision: 'allow', reason: null, detail: null, policyIds: [] } }),
          use({ decision: 'deny', reason: 'limit.exceeded' }),
        ],
      ],
      [`${of(PAYER)}: 1 in 1, most 3`],
    ],
    [
      'no other agents, actions and servers',
      ['calls', [use({ agent: 'spiffe://evil.test/a' }), use({ action: 'x' }), use({ action: 'payments.list' })]],
      [],
    ],
    [
      'no allow that was withdrawn, in its window alone',
      [
        'calls',
        [
          use({ decisionId: 'w' }),
          ...times(2),
          use({ decision: 'deny', reason: 'task.revoked', withdraws: 'w' }),
          ...times(1),
          use({ decision: 'deny', reason: 'task.revoked', withdraws: 'w' }),
          use(),
        ],
      ],
      [`${of(PAYER)}: 1 in 1, most 3`],
    ],
    [
      'nothing as denied that was withdrawn',
      [
        'calls',
        [...times(3), use({ decisionId: 'x' }), use({ decision: 'deny', reason: 'check.deadline', withdraws: 'x' })],
      ],
      [`${of(PAYER)}: 0 in 0, most 3`],
    ],
    [
      'what was denied beside what was withdrawn',
      [
        'calls',
        [
          ...times(4),
          use({ decisionId: 'y' }),
          use({ decision: 'deny', reason: 'check.deadline', withdraws: 'y' }),
          use({ decision: 'deny', reason: 'check.deadline', withdraws: 'y' }),
        ],
      ],
      [`${of(PAYER)}: 1 in 1, most 3`],
    ],
    [
      'once a use that was withdrawn since a limit denied it',
      [
        'calls',
        [...times(3), use({ decisionId: 'z' }), use({ decision: 'deny', reason: 'limit.exceeded', withdraws: 'z' })],
      ],
      [`${of(PAYER)}: 1 in 1, most 3`],
    ],
    [
      'no window whose only denial was withdrawn in the next',
      [
        'minute',
        [
          use(),
          use({ decisionId: 'v' }),
          use({ at: DAY + MINUTE_MS }),
          use({ at: DAY + MINUTE_MS, decision: 'deny', reason: 'check.deadline', withdraws: 'v' }),
          use({ at: DAY + MINUTE_MS }),
        ],
      ],
      [`${of(PAYER)}: 1 in 1, most 1`],
    ],
    ['amounts', ['amount', times(4)], [`${of(PAYER)}: 2 in 1, most 20`]],
    ['decimals in ten-thousandths', ['price', times(3)], [`${of(PAYER)}: 1 in 1, most 30000`]],
    [
      'different values, of the path too',
      ['distinct', times(4, (n) => ({ path: `/v1/accounts/${n % 2 === 0 ? 'a' : 'b'}/payments` }))],
      [`${of(PAYER)}: 2 in 1, most 1`],
    ],
    [
      'users of tasks that records or the ledger know',
      [
        'user',
        [
          intent('t1', { subject: 'ann' }),
          use(),
          use({ task: 't2', agent: OTHER }),
          use({ task: null, credential: 'workload-identity' }),
        ],
        { t2: 'ann' },
      ],
      [`${of('ann')}: 1 in 1, most 1`, `${of(PAYER)}: 0 in 0, most 1`],
    ],
    [
      'declared tasks',
      [
        'tasks',
        [
          intent('a'),
          intent('b'),
          intent('c'),
          intent('d', { decision: 'deny', reason: 'policy.forbidden', task: null }),
        ],
      ],
      [`${of(PAYER)}: 1 in 1, most 2`],
    ],
    [
      'open tasks, until they end or their deadline is over',
      [
        'open',
        [
          intent('a'),
          intent('b'),
          { kind: 'end', at: DAY + 1, task: 'a' },
          intent('c', { at: DAY + 2, deadline: DAY + 10 }),
          intent('d', { at: DAY + 11 }),
        ],
      ],
      [`${of(PAYER)}: 1 in 0, most 1`],
    ],
  ])('counts %s', (_name, args, expected) => {
    expect(keysOf(tried(...args))).toEqual(expected);
  });

  it('names the first that would have been denied, and counts', () => {
    const records = times(5, (n) => ({ at: DAY + n }));
    const report = tried('calls', records);
    expect(report.limits).toMatchObject([
      { limit: 'calls', measure: 'calls', counts: 'calls', max: 3, windowMs: DAY_MS },
    ]);
    expect(report.limits[0]?.keys[0]?.first).toEqual({ atMs: DAY + 3, decisionId: records[3]?.['decisionId'] });
    expect([report.counted, report.denied, report.left]).toEqual([5, 2, 0]);
  });

  it('counts a use that was withdrawn as not taken, also if it was the first that would have been denied', () => {
    const withdrawing = (id: string) => use({ at: DAY + 9, decision: 'deny', reason: 'check.deadline', withdraws: id });
    const records = times(6, (n) => ({ at: DAY + n, decisionId: `n${n}` }));
    const [first, both, all] = [['n3'], ['n4', 'n3'], ['n3', 'n4', 'n5', 'n0']].map((ids) =>
      tried('calls', [...records, ...ids.map(withdrawing)]),
    );
    const firstOf = (report = first) => report?.limits[0]?.keys[0]?.first;
    expect([first?.counted, first?.denied, firstOf()]).toEqual([5, 2, { atMs: DAY + 4, decisionId: 'n4' }]);
    expect([both?.counted, both?.denied, firstOf(both)]).toEqual([4, 1, { atMs: DAY + 5, decisionId: 'n5' }]);
    expect([all?.counted, all?.denied, firstOf(all)]).toEqual([2, 0, null]);
  });

  it('keeps the first that would have been denied once it can be withdrawn no more', () => {
    const records = times(2_000, (n) => ({ at: DAY + n, decisionId: `n${n}` }));
    const withdrawals = ['n3', 'n1999'].map((id) =>
      use({ at: DAY + 3_000, decision: 'deny', reason: 'check.deadline', withdraws: id }),
    );
    const report = tried('calls', [...records, ...withdrawals]);
    expect([report.counted, report.denied]).toEqual([1_999, 1_996]);
    expect(report.limits[0]?.keys[0]?.first).toEqual({ atMs: DAY + 3, decisionId: 'n3' });
  });

  it('says what records lack, of those agents alone whom the limit covers', () => {
    const lacking = [
      use({ args: {} }),
      use({ args: { amount: 10 } }),
      use({ args: { amount: 10 }, agent: 'spiffe://evil.test/a' }),
    ];
    expect(tried('amount', lacking)).toMatchObject({
      untried: [
        { limit: 'amount', action: 'payments.create', lacks: '`currency`', count: 2 },
        { limit: 'amount', action: 'payments.create', lacks: '`amount`', count: 1 },
      ],
      counted: 0,
    });
    expect(tried('user', [use({ credential: 'external-token', task: null })]).untried).toEqual([
      { limit: 'user', action: 'payments.create', lacks: 'the user', count: 1 },
    ]);
  });

  it('counts any sequence of calls as a count by hand does, and never more than the maximum', () => {
    const call = fc.record({
      agent: fc.constantFrom(PAYER, OTHER),
      amount: fc.nat({ max: 12 }),
      after: fc.nat({ max: DAY_MS / 3 }),
    });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
        const used = new Map<string, number>();
        const [denied, most] = [new Map<string, number>(), new Map<string, number>()];
        let at = DAY;
        const records = calls.map(({ agent, amount, after }) => {
          at += after;
          const key = `${agent} ${Math.floor(at / DAY_MS)}`;
          const sum = (used.get(key) ?? 0) + amount;
          if (sum > 25) denied.set(agent, (denied.get(agent) ?? 0) + 1);
          else {
            used.set(key, sum);
            most.set(agent, Math.max(most.get(agent) ?? 0, sum));
          }
          return use({ at, agent, args: { amount, price: '1.5', currency: 'EUR' } });
        });
        for (const key of tried('amount', records).limits.flatMap(({ keys }) => keys)) {
          const [agent = ''] = JSON.parse(key.who) as readonly string[];
          expect([key.denied, key.most]).toEqual([denied.get(agent) ?? 0, most.get(agent) ?? 0]);
          expect(key.most).toBeLessThanOrEqual(25);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('reports a record that it cannot read', () => {
    const set = sets.get('calls');
    if (set === undefined) throw new Error('no set');
    const trial = new LimitTrial(set, () => null);
    expect([trial.add({ kind: 'use' }), trial.add({ kind: 'intent', at: 'x' }), trial.add({ kind: 'token' })]).toEqual([
      'foreign',
      'foreign',
      null,
    ]);
  });
});
