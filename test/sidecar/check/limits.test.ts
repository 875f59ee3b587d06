import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { canonicalJson } from '../../../src/core/ledger/canonical-json.ts';
import { asSent } from '../../../src/core/ledger/committed-use.ts';
import { encodedRecord } from '../../../src/core/ledger/encoded-record.ts';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import { useFrom } from '../../../src/core/ledger/recorded-use.ts';
import { LedgerWriter } from '../../../src/core/ledger/writer.ts';
import type { ObserveEntry } from '../../../src/core/policy/enforcement.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import type { SettledUse } from '../../../src/core/state/settling.ts';
import { isLendable } from '../../../src/core/state/share-counter.ts';
import type { Store } from '../../../src/core/state/store.ts';
import type { EndedSpan, SpanAttributeValue } from '../../../src/core/telemetry/spans/ended-span.ts';
import { jtiDigestOf } from '../../../src/core/token/jti-digest.ts';
import type { Answer } from '../../../src/sidecar/check/answer.ts';
import type { CheckServices } from '../../../src/sidecar/check/services.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { httpCall } from '../../builders/http-call.ts';
import { must, mustFind } from '../../builders/must.ts';
import { exampleCatalog, folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { agent, audience, es256Key, issuer, mint, nowMs, soundClaims } from '../../builders/tokens.ts';
import { answersTo, checkServices, ports } from './check-services.ts';

const folder = testFolders();

const key = es256Key();
const WINDOW = 86_400_000;
const ends = new Date((Math.floor(nowMs / WINDOW) + 1) * WINDOW).toISOString().replace('.000Z', 'Z');

const LIMITS = `
limits:
  - id: lists
    agents: ['spiffe://acme.test/ns/agents/*']
    actions: [payments.list]
    per: [agent]
    window: 1d
    calls: 3
  - id: paid
    agents: ['*']
    actions: [payments.create]
    per: [user, server]
    window: 1d
    amount: { argument: amount, limit: 100, currency: { argument: currency, value: EUR } }
  - id: payees
    agents: ['*']
    actions: [payments.create]
    per: []
    window: 1h
    distinct: { argument: currency, limit: 1 }
`;

let policies: PolicySet;
/** The same, with payments of high risk. */
let risky: PolicySet;
let store: Store;
let ledger: LedgerWriter;

beforeAll(async () => {
  const all = 'accepts: [task-token, workload-identity]';
  const catalog = exampleCatalog
    .replace('path: /v1/payments, risk: low', `path: /v1/payments, risk: low, ${all}`)
    .replace('path: /v1/payments\n        risk: high\n', `path: /v1/payments\n        risk: medium\n        ${all}\n`);
  const permit = '@id("all") permit (principal, action, resource);';
  policies = await mustLoad(folderWith(permit, { catalog, limits: LIMITS }));
  risky = await mustLoad(
    folderWith(permit, { catalog: catalog.replace('risk: medium', 'risk: high'), limits: LIMITS }),
  );
});
beforeEach(() => {
  store = mustOpen(join(folder(), 'state.db'), { nowMs: ports.nowMs });
  for (const n of [1, 2]) {
    const task = taskNumber(n, { ...taskTimes, id: idOf(n), issuer });
    must(
      store.insertTask(task, { ...tokenNumber(n), jtiDigest: jtiDigestOf(jtiOf(n)), expiresAtMs: nowMs + 290_000 }, []),
    );
  }
  ledger = new LedgerWriter(store);
});
afterEach(async () => {
  await ledger.close();
  store.close();
});

const taskTimes = { deadlineMs: nowMs + 600_000, createdAtMs: nowMs - 10_000 };
const idOf = (n: number): string => `${soundClaims.txn.slice(0, -1)}${n}`;
const jtiOf = (n: number): string => `${soundClaims.jti.slice(0, -1)}${n}`;

const servicesWith = (over: Partial<CheckServices> = {}): CheckServices =>
  checkServices({ store, ledger, key, policies }, over);

/** A call with the token of a task; `null` shows the identity alone. */
function callOf(task: number | null, body: object | null = null): HttpCall {
  const actions = ['payments.list', 'payments.create'];
  const headers = new Map<string, readonly string[]>(body === null ? [] : [['content-type', ['application/json']]]);
  if (task !== null) {
    const token = mint(key, {
      txn: idOf(task),
      jti: jtiOf(task),
      authorization_details: [{ type: 'urn:remit:task', locations: [audience], actions }],
      cnf: { 'x5t#S256': 'c'.repeat(43) },
    });
    headers.set('authorization', [`Bearer ${token}`]);
  }
  const text = body === null ? null : Buffer.from(JSON.stringify(body));
  return httpCall({ method: body === null ? 'GET' : 'POST', path: '/v1/payments', headers, body: text });
}

const words = (answers: readonly Answer[]) =>
  answers.map(({ decision }) => (isDeny(decision) ? decision.reason : decision.kind));

const pay = (task: number | null, amount: unknown, currency: unknown = 'EUR') => callOf(task, { amount, currency });

function attributesOf(span: EndedSpan): Readonly<Record<string, SpanAttributeValue>> {
  const attributes: Record<string, SpanAttributeValue> = {};
  span.attributes((name, value) => (attributes[name] = value));
  return attributes;
}

/** Services whose records and spans are kept. */
function recording(ledger: Partial<CheckServices['ledger']> = {}) {
  const records: LedgerRecord[] = [];
  const spans: EndedSpan[] = [];
  let isRecorded = true;
  const services = servicesWith({
    ledger: {
      append: (record) => records.push(record) > 0 && isRecorded,
      durable: async (record) => records.push(record) > 0 && isRecorded,
      ...ledger,
    },
    spans: { samplesAllow: () => true, add: (span) => void spans.push(span) },
  });
  return {
    services,
    /** What records have of limits, once they were written and read. */
    written: () =>
      records.map(
        (record) => must(useFrom(JSON.parse(Buffer.from(must(encodedRecord(record)).bytes).toString('utf8')))).limits,
      ),
    left: () =>
      spans.map((span) => [attributesOf(span)['remit.limits'], attributesOf(span)['remit.limits.left']] as const),
    refuseRecords: () => void (isRecorded = false),
  };
}

const watched: ObserveEntry = {
  id: 'watched',
  agents: [agent],
  servers: ['payments'],
  untilMs: nowMs + 1_000_000,
  owner: 'us',
  because: 'CHG-1',
  place: { file: 'enforcement.yaml', line: 2, column: 5 },
};

/** The counters of a payment, with what it left of `paid`. */
const leftOf = (paid: number) => [
  { id: 'paid', counts: 'amount EUR', left: paid },
  { id: 'payees', counts: 'different currency', left: 0 },
];

describe('limits over all tasks, at a check', () => {
  it('count every credential of a caller, over all its tasks', async () => {
    const services = servicesWith();
    const answers = await answersTo(services, [callOf(1), callOf(null), callOf(2), callOf(1), callOf(null), callOf(2)]);
    expect(words(answers)).toEqual(['allow', 'allow', 'allow', 'limit.exceeded', 'limit.exceeded', 'limit.exceeded']);
    // Another agent has a counter of its own.
    const other = 'spiffe://acme.test/ns/agents/sa/other';
    expect(words(await answersTo(services, [callOf(null)], other))).toEqual(['allow']);
  });

  it('tell a verified caller which limit, what it counts, and when its window ends', async () => {
    const services = servicesWith();
    await answersTo(services, [callOf(1), callOf(1), callOf(1)]);
    const [answer] = await answersTo(services, [callOf(2)]);
    expect(answer).toMatchObject({
      decision: { reason: 'limit.exceeded' },
      clientFacts: { limit: { id: 'lists', counts: 'calls', max: 3, used: 3, ends } },
    });
    const untold = servicesWith({ denialDetails: 'none' });
    expect((await answersTo(untold, [callOf(2)]))[0]).not.toHaveProperty('clientFacts');
  });

  it('are in the record and the span of a use, with what it left of each, and of a denial with what the limit had left that refused', async () => {
    const { services, written, left } = recording();
    await answersTo(services, [pay(1, 60), pay(1, 41), pay(2, 15)]);
    expect(written()).toEqual([
      [
        { id: 'paid', counts: 'amount EUR', left: 40 },
        { id: 'payees', counts: 'different currency', left: 0 },
      ],
      [
        { id: 'paid', counts: 'amount EUR', left: 40 },
        { id: 'payees', counts: 'different currency' },
      ],
      [
        { id: 'paid', counts: 'amount EUR', left: 25 },
        { id: 'payees', counts: 'different currency', left: 0 },
      ],
    ]);
    // A denial may be answered before the allow of the same turn.
    const both = ['paid', 'payees'];
    expect(new Set(left())).toEqual(
      new Set([
        [both, ['paid, amount EUR: 40 left', 'payees, different currency: 0 left']],
        [both, ['paid, amount EUR: 40 left']],
        [both, ['paid, amount EUR: 25 left', 'payees, different currency: 0 left']],
      ]),
    );
  });

  it('are in the record of a use of high risk with what it left of each, here and at a sidecar, whose link is to what it sent', async () => {
    const { services, written } = recording();
    expect(words(await answersTo({ ...services, policies: () => risky }, [pay(1, 60)]))).toEqual(['allow']);
    expect(written()).toEqual([leftOf(40)]);
    const links: LedgerRecord[] = [];
    const at = recording({ append: (record) => links.push(record) > 0 });
    const origin = `remit.acme.test/tools-1/${'0a'.repeat(16)}`;
    const sidecar = { origin, keep: async () => null };
    expect(words(await answersTo({ ...at.services, sidecar, policies: () => risky }, [pay(1, 15)]))).toEqual(['allow']);
    const [committed] = must(store.recordsOf(idOf(1), 9)).map(({ bytes }) => bytes);
    const record = JSON.parse(Buffer.from(mustFind(committed)).toString('utf8'));
    expect(record.limits).toEqual(leftOf(25));
    const sent = must(canonicalJson(asSent(record)));
    const digest = createHash('sha256').update(sent).digest('base64url');
    expect([links, sent.includes('"left"')]).toMatchObject([[{ kind: 'settled', digest }], false]);
    expect(at.left()).toEqual([
      [
        ['paid', 'payees'],
        ['paid, amount EUR: 25 left', 'payees, different currency: 0 left'],
      ],
    ]);
  });

  it('are in the record of a use that was settled from a share with what is left of the share, and of a use that was taken back with nothing', async () => {
    const { services, written, left, refuseRecords } = recording();
    const { settling } = services;
    const shared = {
      ...services,
      settling: {
        ...settling,
        settleNow: ({ decisionId, key: of, jtiDigest, spends }: SettledUse) => ({
          decisionId,
          key: of,
          jtiDigest,
          spends,
          sharesOf: { life: 1, untilMs: Infinity, left: [7] },
        }),
      },
    };
    // Without a task, since a task's first use of an action is settled by the state.
    expect(words(await answersTo(shared, [callOf(null)]))).toEqual(['allow']);
    refuseRecords();
    expect(words(await answersTo(services, [callOf(1)]))).toEqual(['ledger.unavailable']);
    expect(written()).toEqual([
      [{ id: 'lists', counts: 'calls', share: 7 }],
      [{ id: 'lists', counts: 'calls', left: 2 }],
      [{ id: 'lists', counts: 'calls' }],
    ]);
    // The allow that was not recorded is a span all the same.
    expect(left()).toEqual([
      [['lists'], ['lists, calls: 7 left of what its process was lent']],
      [['lists'], undefined],
      [['lists'], ['lists, calls: 2 left']],
    ]);
  });

  it.each(['deny', 'suspend', 'stop'] as const)(
    'are lent of an observed call only if they deny: %s',
    async (effect) => {
      const limits = policies.limits.map((limit) => ({ ...limit, effect }));
      const observed = { ...policies, limits, observed: [watched] };
      const settled: SettledUse[] = [];
      const { settling } = directAuthority(store);
      const services = servicesWith({
        policies: () => observed,
        settling: {
          settle: (use) => {
            settled.push(use);
            return settling.settle(use);
          },
          giveBack: (use) => settling.giveBack(use),
        },
      });
      await answersTo(services, [callOf(1)]);
      expect(settled.flatMap(({ spends }) => spends.map(isLendable))).toEqual([effect === 'deny']);
    },
  );

  it('sum amounts of one currency, and let no other pass by', async () => {
    const services = servicesWith();
    expect(words(await answersTo(services, [pay(1, 60), pay(2, 41), pay(null, 40)]))).toEqual([
      'allow',
      'limit.exceeded',
      'allow',
    ]);
    expect((await answersTo(services, [pay(1, 1)]))[0]).toMatchObject({
      clientFacts: { limit: { id: 'paid', counts: 'amount EUR', max: 100, used: 100 } },
    });
    for (const wrong of [pay(1, 1, 'USD'), callOf(1, { amount: 1 }), pay(1, -1)])
      expect(words(await answersTo(services, [wrong]))).toEqual(['action.arguments']);
  });

  it('take nothing of a call that is denied, and give back nothing else', async () => {
    const services = servicesWith();
    await answersTo(services, [pay(1, 60)]);
    expect(words(await answersTo(services, [pay(1, 99), pay(1, 'x'), pay(1, 40)]))).toEqual([
      'limit.exceeded',
      'action.arguments',
      'allow',
    ]);
    expect(must(store.limitUses({ limit: 'paid' }))).toMatchObject([
      { who: JSON.stringify([agent, 'payments']), used: 100 },
    ]);
  });

  it('are counted while a call is observed, which passes, and suspends and stops nothing', async () => {
    const stopping = policies.limits.map((limit) => ({ ...limit, effect: 'stop' as const }));
    const observed = { ...policies, limits: stopping, observed: [watched] };
    const services = servicesWith({ policies: () => observed });
    const answers = await answersTo(services, [callOf(1), callOf(1), callOf(1), callOf(1)]);
    expect(words(answers)).toEqual(['allow', 'allow', 'allow', 'allow']);
    expect(answers[3]?.decision).toMatchObject({ observed: { reason: 'limit.exceeded' } });
    expect(must(store.limitUses({ limit: 'lists' }))).toMatchObject([{ used: 3 }]);
    expect(must(store.ordersInForce()).list).toEqual([]);
    // The same, enforced.
    const enforced = servicesWith({ policies: () => ({ ...policies, limits: stopping }) });
    expect(words(await answersTo(enforced, [callOf(1)]))).toEqual(['limit.exceeded']);
    expect(must(store.ordersInForce()).list).toMatchObject([{ kind: 'agent', what: agent, because: 'limit lists' }]);
    expect(words(await answersTo(enforced, [callOf(null)]))).toEqual(['stopped.agent']);
  });
});
