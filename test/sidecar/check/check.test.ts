import { authorizationHandler } from '../../../src/sidecar/envoy/authorization.ts';
import { envoyCheckRequestType, readAsEnvoy } from '../envoy/protos.ts';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import * as fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import type { CheckSignal } from '../../../src/sidecar/check/asked-check.ts';
import { checksWith } from '../../../src/sidecar/check/check.ts';
import type { Answer } from '../../../src/sidecar/check/answer.ts';
import type { CheckServices, SidecarRecords, UseLedger } from '../../../src/sidecar/check/services.ts';
import { deny, isDeny } from '../../../src/core/decision/decision.ts';
import type { ObserveEntry } from '../../../src/core/policy/enforcement.ts';
import { checkResponseFrom } from '../../../src/sidecar/envoy/check/response.ts';
import { jtiDigestOf } from '../../../src/core/token/jti-digest.ts';
import type { RefusedCall } from '../../../src/sidecar/envoy/check/refusal.ts';
import { checkMetrics } from '../../../src/core/telemetry/metrics/check-metrics.ts';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import type { FinishedCheck } from '../../../src/core/telemetry/finished-check.ts';
import type { SettledRecord, UseRecord } from '../../../src/core/ledger/record.ts';
import { LedgerWriter } from '../../../src/core/ledger/writer.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { Fault } from '../../../src/core/runtime/collections/map-isolated.ts';
import { Reports } from '../../../src/core/state/reports.ts';
import { Shares } from '../../../src/core/state/shares.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { Orders } from '../../../src/core/order/orders.ts';
import { storeFailure } from '../../../src/core/runtime/store-failure.ts';
import type { AnsweredCall } from '../../../src/sidecar/outcome/unsent-calls.ts';
import type { SettledUse, Settlement, Settling } from '../../../src/core/state/settling.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import type { Store } from '../../../src/core/state/store.ts';
import type { TaskHistory } from '../../../src/core/task/history.ts';
import { decisionLine } from '../../../src/core/telemetry/decision-log.ts';
import type { SpanAttributeValue, EndedSpan } from '../../../src/core/telemetry/spans/ended-span.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { HeldTimers } from '../../core/identity/held-timers.ts';
import { exampleCatalog, folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { agent, audience, es256Key, issuer, jwksOf, mint, nowMs, ringOf, soundClaims } from '../../builders/tokens.ts';
import { must, mustFind } from '../../builders/must.ts';
import { httpCall } from '../../builders/http-call.ts';
import { spentIn } from '../../core/state/state-file.ts';
import { until } from '../../until.ts';
import { answersTo, checkServices, ports, quiet } from './check-services.ts';

const folder = testFolders();

const key = es256Key();
const task = taskNumber(1, { id: soundClaims.txn, issuer, deadlineMs: nowMs + 600_000, createdAtMs: nowMs - 10_000 });
const jtiDigest = jtiDigestOf(soundClaims.jti);

/** The action of each use: reading has the label `customer-data`, creating is of high risk. */
const uses = {
  list: { method: 'GET', path: '/v1/payments', headers: new Map(), body: null },
  read: { method: 'GET', path: '/v1/payments/p-1', headers: new Map(), body: null },
  create: {
    method: 'POST',
    path: '/v1/payments',
    headers: new Map([['content-type', ['application/json']]]),
    body: Buffer.from('{"amount":1}'),
  },
} as const;

const POLICIES = `
@id("all") permit (principal, action, resource);
@id("stays") forbid (principal, action == Remit::Action::"payments.create", resource)
when { context has task && context.task.labels.contains("customer-data") };`;

let policies: PolicySet;
/** The same, where creating needs no task token. */
let openPolicies: PolicySet;
let store: Store;
let ledger: LedgerWriter;
let timers: HeldTimers;
let file: string;

beforeAll(async () => {
  const plain = "path: '/v1/payments/{id}', risk: low";
  const catalog = exampleCatalog.replace(plain, `${plain}, labels: [customer-data]`);
  policies = await mustLoad(folderWith(POLICIES, { catalog }));
  const create = 'path: /v1/payments\n        risk: high\n';
  const accepting = catalog.replace(create, `${create}        accepts: [task-token, workload-identity]\n`);
  openPolicies = await mustLoad(folderWith('@id("all") permit (principal, action, resource);', { catalog: accepting }));
});
beforeEach(() => {
  file = join(folder(), 'state.db');
  timers = new HeldTimers();
  store = mustOpen(file, { nowMs: ports.nowMs });
  const inserted = store.insertTask(task, { ...tokenNumber(1), jtiDigest, expiresAtMs: nowMs + 290_000 }, []);
  expect(inserted).toBeNull();
  ledger = new LedgerWriter(store);
});
afterEach(async () => {
  await ledger.close();
  store.close();
});

const servicesWith = (over: Partial<CheckServices> = {}): CheckServices =>
  checkServices(
    { store, ledger, key, policies },
    { reports: new Reports(directAuthority(store), { after: timers.after, log: () => undefined }), ...over },
  );

type Constraints = Readonly<Record<string, unknown>>;

const callOf = (
  { method, path, headers, body }: (typeof uses)[keyof typeof uses],
  constraints?: Constraints,
): HttpCall => {
  const actions = ['payments.list', 'payments.read', 'payments.create'];
  const detail = { type: 'urn:remit:task', locations: [audience], actions };
  const granted = constraints === undefined ? detail : { ...detail, constraints };
  const token = mint(key, { authorization_details: [granted], cnf: { 'x5t#S256': 'c'.repeat(43) } });
  return httpCall({ method, path, headers: new Map([...headers, ['authorization', [`Bearer ${token}`]]]), body });
};

const withoutToken = (call: HttpCall): HttpCall => ({ ...call, headers: new Map() });

const peer = { principal: agent, certificate: '', xfcc: [] };
const askedCall = { deadlineMs: Infinity, signal: { aborted: false }, traceparent: null };

const check = async (services: CheckServices, use: keyof typeof uses, constraints?: Constraints): Promise<Answer> => {
  const [answer] = await answersTo(services, [callOf(uses[use], constraints)]);
  if (answer === undefined) throw new Error('no answer');
  return answer;
};

/** A settling that waits until `open` is called, so that a test can act between a decision and its settlement. */
function gate(): { readonly settling: Settling; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { settling } = directAuthority(store);
  return {
    settling: {
      ...settling,
      settle: async (use) => {
        await promise;
        return settling.settle(use);
      },
    },
    open: () => resolve(),
  };
}

const history = (): TaskHistory => {
  const state = mustFind(store.useStateOf(issuer, task.id, jtiDigest));
  return state.history;
};

describe('clocks of a check', () => {
  it.each<[string, keyof typeof uses, number]>([
    ['of a check that takes nothing', 'list', 3],
    ['of several checks in one turn', 'list', 8],
  ])('%s are read once and passed on (issue 14, point 9)', async (_name, use, count) => {
    const read = { wall: 0, floor: 0 };
    const counting = { ...ports, nowMs: () => ((read.wall += 1), nowMs) };
    const { states, settling } = directAuthority(store);
    // The first use adds its action to the history, so that the later ones take nothing.
    expect((await check(servicesWith(), use)).decision.kind).toBe('allow');
    const watched = { ...states, clocks: () => ((read.floor += 1), states.clocks()) };
    const checks = checksWith(servicesWith({ ports: counting, states: watched, settling }));
    const asked = { facts: { peer, call: callOf(uses[use]), ...quiet }, call: askedCall };
    const answers = checks.answers(Array.from({ length: count }, () => asked));
    expect(answers).toMatchObject(Array.from({ length: count }, () => ({ decision: { kind: 'allow' } })));
    expect(read).toEqual({ wall: 0, floor: count });
  });
});

describe('what a check holds the event loop for', () => {
  it.each([
    ['read', 'policies'],
    ['answer', 'ledger'],
    ['report', 'onChecked'],
  ] as const)('is reported with the stage `%s` and the decision id (issue 37, point 1)', async (stage, part) => {
    const clock = { nowMs: 0 };
    const held: unknown[] = [];
    const { states, settling } = directAuthority(store);
    const slow = <T>(of: typeof part, value: T): T => {
      clock.nowMs += of === part ? 80 : 0;
      return value;
    };
    const services = servicesWith({
      ports: { ...ports, monotonicMs: () => clock.nowMs },
      states: { ...states, clocks: () => ({ ...states.clocks(), monotonicMs: clock.nowMs }) },
      settling,
      policies: () => slow('policies', policies),
      ledger: { append: () => slow('ledger', true), durable: async () => true },
      onChecked: () => slow('onChecked', undefined),
      loop: { held: (...told) => told[1] >= 80 && held.push(told) },
    });
    const [answer] = await answersTo(services, [withoutToken(callOf(uses.list))]);
    expect(held).toContainEqual([stage, expect.any(Number), answer?.decisionId]);
  });
});

describe('a refused caller', () => {
  const stranger = 'spiffe://other.test/ns/agents/sa/planner';

  it('is recorded with the action of its route, and nothing else of its call is read (issue 37, point 1)', async () => {
    const seen: unknown[] = [];
    const services = servicesWith({ onChecked: ({ facts }) => seen.push(facts) });
    const headers = new Map([['x-api-key', ['hunter2']]]);
    const call = { ...callOf(uses.create), headers, body: Buffer.from('no JSON') };
    const [answer] = await answersTo(services, [call], stranger);
    expect(answer?.decision).toMatchObject({ reason: 'identity.untrusted-domain' });
    expect(seen).toMatchObject([
      { call: { body: null }, action: { id: 'payments.create', args: new Map() }, secrets: [], passing: [] },
    ]);
  });

  it('has no action if the message would name it', async () => {
    const seen: unknown[] = [];
    const services = servicesWith({ onChecked: ({ facts }) => seen.push(facts.action) });
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'create_ticket' } };
    const headers = new Map([['content-type', ['application/json']]]);
    const body = Buffer.from(JSON.stringify(message));
    const call = httpCall({ method: 'POST', host: 'tickets.acme.test', path: '/mcp', headers, body });
    const [answer] = await answersTo(services, [call], stranger);
    expect(seen).toMatchObject([{ reason: 'action.unknown' }]);
    expect(answer?.form).toMatchObject({ kind: 'json-rpc-error', id: null, status: 'reason' });
  });
});

/** The reason of the second of two calls, and the facts that its caller gets. */
const factsFor = async (over: Partial<CheckServices>, call: HttpCall, principal?: string) => {
  const answer = (await answersTo(servicesWith(over), [call, call], principal)).at(-1);
  return { reason: answer?.decision.kind === 'deny' ? answer.decision.reason : null, clientFacts: answer?.clientFacts };
};

describe('a check that is decided too late (issue 37, point 14)', () => {
  const refusedAs = '01990000-0000-7000-8000-00000000abcf';
  type Signal = { aborted: boolean; refusedAs?: string };

  /** Answers one use whose settlement takes until its client has stopped waiting. */
  const lateAnswer = async (use: keyof typeof uses, over: Partial<CheckServices>, stop: (signal: Signal) => void) => {
    const signal: Signal = { aborted: false };
    const { settling } = directAuthority(store);
    const records: UseRecord[] = [];
    const told: unknown[] = [];
    const services = servicesWith({
      settling: {
        ...settling,
        settle: async (one) => {
          const settled = await settling.settle(one);
          stop(signal);
          return settled;
        },
      },
      ledger: noting(ledger, records),
      onChecked: ({ decisionId, decision }) => void told.push([decisionId, isDeny(decision) && decision.reason]),
      ...over,
    });
    const call = { deadlineMs: Infinity, signal, traceparent: null };
    const checks = checksWith(services);
    const [answer] = checks.answers([{ facts: { peer, call: callOf(uses[use], { max_calls: 3 }), ...quiet }, call }]);
    if (answer === undefined || answer instanceof Fault) throw new Error('no answer');
    const { decision, decisionId } = await answer;
    return { reason: isDeny(decision) ? decision.reason : 'allow', decisionId, records, told };
  };
  const passed = (signal: Signal): void => void Object.assign(signal, { aborted: true, refusedAs });

  it.each(['read', 'create'] as const)(
    'has the id and the reason that its client got in record and log: %s',
    async (use) => {
      const { reason, decisionId, records, told } = await lateAnswer(use, {}, passed);
      expect([reason, decisionId]).toEqual(['check.deadline', refusedAs]);
      expect(told).toEqual([[refusedAs, 'check.deadline']]);
      expect(records).toMatchObject([
        {
          kind: 'use',
          decision: 'deny',
          reason: 'check.deadline',
          decisionId: refusedAs,
          withdraws: expect.any(String),
        },
      ]);
    },
  );

  it('has one reason, also if it would have been denied for another', async () => {
    for (let n = 0; n < 3; n += 1) await check(servicesWith(), 'read', { max_calls: 3 });
    const { reason, decisionId, records } = await lateAnswer('read', {}, passed);
    expect([reason, decisionId]).toEqual(['check.deadline', refusedAs]);
    expect(records).toMatchObject([{ decision: 'deny', reason: 'check.deadline', decisionId: refusedAs }]);
  });

  it('is withdrawn if Envoy has given up without an answer', async () => {
    const { reason, records } = await lateAnswer('read', {}, (signal) => (signal.aborted = true));
    expect(reason).toBe('check.deadline');
    expect(records).toMatchObject([{ decision: 'deny', reason: 'check.deadline', withdraws: expect.any(String) }]);
  });

  /** Answers one use with a budget, and gives what its call has to undo if it is not sent, and what was given back once that is done. */
  async function undone(
    over: (settled: Settlement, signal: Signal) => Settlement,
  ): Promise<readonly [answer: Answer, calls: readonly AnsweredCall[], given: () => readonly unknown[]]> {
    const calls: AnsweredCall[] = [];
    const given: unknown[] = [];
    const { settling } = directAuthority(store);
    const signal: Signal = { aborted: false };
    const services = servicesWith({
      outcomes: { answered: () => undefined, decided: (call) => void calls.push(call) },
      settling: {
        settle: async (one) => over(await settling.settle(one), signal),
        giveBack: async (one) => {
          given.push(one);
          return settling.giveBack(one);
        },
      },
    });
    const call = { deadlineMs: Infinity, signal, traceparent: null };
    const facts = { peer, call: callOf(uses.read, { max_calls: 3 }), ...quiet, callName: '1.2 192.0.2.1 7' };
    const [answer] = checksWith(services).answers([{ facts, call }]);
    if (answer === undefined || answer instanceof Fault) throw new Error('no answer');
    const answered = await answer;
    return [answered, calls, () => given];
  }

  it.each<[string, (settled: Settlement, signal: Signal) => Settlement, string]>([
    ['decided too late', (settled, signal) => (passed(signal), settled), refusedAs],
    ['of which it is unknown whether it counts', () => storeFailure('busy', 'no answer'), ''],
    ['that was allowed', (settled) => settled, ''],
  ])('gives the budget of a use back %s, once its call is known not to have been sent', async (_what, over, id) => {
    const [answer, calls, given] = await undone(over);
    const decisionId = id === '' ? answer.decisionId : id;
    expect(calls).toMatchObject([{ decisionId, callName: '1.2 192.0.2.1 7', undo: expect.any(Function) }]);
    expect(given()).toEqual([]);
    for (const { undo } of calls) undo?.();
    expect(given()).toEqual([
      {
        decisionId: expect.any(String),
        key: { issuer, id: task.id },
        jtiDigest,
        spends: [{ kind: 'calls', limit: 3 }],
      },
    ]);
  });

  it('is `check.deadline`, not `overloaded`, if its time was over before it was decided', async () => {
    const call = { deadlineMs: -1, signal: { aborted: false }, traceparent: null };
    const [answer] = checksWith(servicesWith()).answers([{ facts: { peer, call: callOf(uses.list), ...quiet }, call }]);
    expect(answer).toMatchObject({ decision: { kind: 'deny', reason: 'check.deadline' } });
  });
});

describe('a use with a budget', () => {
  it('is answered at once within a share, and put back into it if its call was not sent', async () => {
    const shares = new Shares(directAuthority(store).settling, { ports, clocks: () => store.clocks(), after });
    const calls: AnsweredCall[] = [];
    const services = servicesWith({
      settling: shares,
      outcomes: { answered: () => undefined, decided: (call) => void calls.push(call) },
    });
    const answerNow = () => {
      const call = { deadlineMs: Infinity, signal: { aborted: false }, traceparent: null };
      const facts = { peer, call: callOf(uses.list, { max_calls: 90 }), ...quiet };
      return checksWith(services).answers([{ facts, call }])[0];
    };
    // The first answer adds to the history of the task; the others take from its budget alone.
    for (let n = 0; n < 20; n += 1) expect(await answerNow()).toMatchObject({ decision: { kind: 'allow' } });
    await until(() => spentIn(file, task.id) > 20, { what: 'calls are lent' });
    expect(answerNow()).toMatchObject({ decision: { kind: 'allow' } });
    const spent = spentIn(file, task.id);
    calls.at(-1)?.undo?.();
    await shares.close();
    expect(spentIn(file, task.id)).toBe(20);
    expect(spent).toBeGreaterThan(21);
  });
});

describe('the facts that a denied caller gets', () => {
  const once = callOf(uses.list, { max_calls: 1 });
  const dear = callOf(uses.create, { max_calls: 20, max_amount: { argument: 'amount', limit: 1 } });
  const misspelt: HttpCall = { ...callOf(uses.list), path: '/v1/paymets', segments: ['v1', 'paymets'] };

  it.each<[string, HttpCall, string, object]>([
    ['the budget of calls', once, 'task.exhausted', { action: 'payments.list', budget: { limit: 1, used: 1 } }],
    ['the budget of an amount', dear, 'task.exhausted', { action: 'payments.create', budget: { limit: 1, used: 1 } }],
    [
      'the budget of a decimal, in its own unit (issue 37, point 19)',
      callOf(uses.create, { max_amount: { argument: 'amount', limit: '1.25' } }),
      'task.exhausted',
      { action: 'payments.create', budget: { limit: 1.25, used: 1 } },
    ],
    ['the nearest action', misspelt, 'action.unknown', { nearest: 'payments.list' }],
  ])('is %s, if the token is verified and its own', async (_name, call, reason, clientFacts) => {
    expect(await factsFor({}, call)).toEqual({ reason, clientFacts });
  });

  it.each<[string, Partial<CheckServices>, HttpCall, string, string]>([
    ['the operator switched it off', { denialDetails: 'none' }, once, agent, 'task.exhausted'],
    ['there is no token', {}, withoutToken(misspelt), agent, 'token.missing'],
    ['the token belongs to another workload', {}, misspelt, 'spiffe://acme.test/other', 'token.binding'],
    ['the caller has no identity', {}, misspelt, '', 'identity.missing'],
  ])('is nothing if %s', async (_name, over, call, principal, reason) => {
    expect(await factsFor(over, call, principal)).toEqual({ reason, clientFacts: undefined });
  });
});

describe('two concurrent uses of one task', () => {
  it('denies the second by the history entry of the first, and records the final decision', async () => {
    const held = gate();
    const create = check(servicesWith({ settling: held.settling }), 'create');
    expect((await check(servicesWith(), 'read')).decision).toMatchObject({ kind: 'allow' });
    held.open();
    expect((await create).decision).toMatchObject({ kind: 'deny', reason: 'policy.forbidden', policyIds: ['stays'] });
    expect(history()).toEqual({ version: 1, actions: ['payments.read'], labels: ['customer-data'] });
    // The catalog marks the amount `record: true`.
    expect((await recorded()).map(({ action, decision, args }) => [action, decision, args])).toEqual([
      ['payments.read', 'allow', undefined],
      ['payments.create', 'deny', { amount: 1 }],
    ]);
  });

  it('allows both in the other order, since nothing was read before', async () => {
    const held = gate();
    const read = check(servicesWith({ settling: held.settling }), 'read');
    expect((await check(servicesWith(), 'create')).decision.kind).toBe('allow');
    held.open();
    expect((await read).decision.kind).toBe('allow');
    expect(history()).toMatchObject({ version: 2, actions: ['payments.create', 'payments.read'] });
  });

  it('counts the second use once although it is decided twice', async () => {
    const constraints = { max_calls: 2 };
    const held = gate();
    const list = check(servicesWith({ settling: held.settling }), 'list', constraints);
    await check(servicesWith(), 'read', constraints);
    held.open();
    expect((await list).decision.kind).toBe('allow');
    expect((await check(servicesWith(), 'list', constraints)).decision).toMatchObject({ reason: 'task.exhausted' });
  });

  it('denies the second if the task ends in between', async () => {
    const held = gate();
    const list = check(servicesWith({ settling: held.settling }), 'list');
    await check(servicesWith(), 'read');
    store.applyTaskEvent(task, { kind: 'complete', cause: causeOf('agent.completed', '') }, agent);
    held.open();
    expect((await list).decision).toMatchObject({ kind: 'deny', reason: 'task.completed' });
    expect(history().actions).toEqual(['payments.read']);
  });

  it('denies a use whose task ends while its settlement is being written', async () => {
    const { settling } = directAuthority(store);
    const ending: Settling = {
      ...settling,
      settle: async (use) => {
        const settlement = await settling.settle(use);
        store.applyTaskEvent(task, { kind: 'complete', cause: causeOf('agent.completed', '') }, agent);
        return settlement;
      },
    };
    expect((await check(servicesWith({ settling: ending }), 'list')).decision).toMatchObject({
      kind: 'deny',
      reason: 'task.completed',
    });
    const decided = (await recorded()).filter(({ kind }) => kind === 'use');
    expect(decided.map(({ decision, reason }) => [decision, reason ?? null])).toEqual([
      ['allow', null],
      ['deny', 'task.completed'],
    ]);
  });

  it.each<[string, number, string, number]>([
    // An agent that calls six tools at once, each for the first time: one in six was refused before.
    ['allows a use whose history changed five times meanwhile, and spends once', 5, 'allow', 5],
    ['denies and spends nothing if it changes each time', Infinity, 'task.state-unavailable', 32],
  ])('%s', async (_name, changes, expected, others) => {
    let changed = 0;
    const { settling } = directAuthority(store);
    const crowded: Settling = {
      ...settling,
      settle: (use) => {
        if (changed < changes) {
          changed += 1;
          const { version } = history();
          store.spend(task, jtiDigest, [], { version, action: `other.${changed}`, labels: [] });
        }
        return settling.settle(use);
      },
    };
    const constraints = { max_calls: 1 };
    const { decision } = await check(servicesWith({ settling: crowded }), 'list', constraints);
    expect(isDeny(decision) ? decision.reason : decision.kind).toBe(expected);
    expect(history().actions.filter((action) => action.startsWith('other.'))).toHaveLength(others);
    const later = (await check(servicesWith(), 'list', constraints)).decision;
    expect(isDeny(later) ? later.reason : later.kind).toBe(expected === 'allow' ? 'task.exhausted' : 'allow');
  });
});

/** The records of the task, once all of them are in the outbox. */
async function recorded(): Promise<readonly Readonly<Record<string, unknown>>[]> {
  await ledger.flush();
  const records = must(store.recordsOf(task.id, 20));
  return records.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')));
}

/** The records in the outbox, whatever their task. */
const waitingRecords = (): readonly Readonly<Record<string, unknown>>[] =>
  must(store.outbox(0, 20)).map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')));

/** The decisions of checks that are made in one turn. */
async function together(services: CheckServices, constraints?: Constraints): Promise<readonly string[]> {
  const answers = await answersTo(services, [callOf(uses.list, constraints), callOf(uses.read, constraints)]);
  return answers.map(({ decision }) => (isDeny(decision) ? decision.reason : decision.kind));
}

const ORIGIN = `remit.acme.test/tools-1/${'0a'.repeat(16)}`;
const SIDECAR: SidecarRecords = {
  origin: ORIGIN,
  keep: async (decisionId, record) => store.keepRecord(decisionId, record),
};

/** Keeps a record, and its answer is lost. */
const keepUnheard: SidecarRecords['keep'] = async (...sent) => (
  store.keepRecord(...sent),
  storeFailure('busy', 'no answer')
);

describe('checks when the state may lag', () => {
  it('settle a use of high risk with its record, and leave a link to it in their own log', async () => {
    const own: UseRecord[] = [];
    const links: SettledRecord[] = [];
    const services = servicesWith({ sidecar: SIDECAR, ledger: noting(ledger, own, links) });
    const { decisionId, decision } = await check(services, 'create');
    expect(decision.kind).toBe('allow');
    const sent = must(store.recordsOf(task.id, 9)).map(({ bytes }) => Buffer.from(bytes).toString('utf8'));
    expect(sent.map((text) => JSON.parse(text))).toMatchObject([
      { kind: 'use', decision: 'allow', decisionId, origin: ORIGIN },
    ]);
    const digest = createHash('sha256').update(mustFind(sent[0])).digest('base64url');
    expect(own).toEqual([]);
    expect(links).toEqual([{ kind: 'settled', at: nowMs, task: task.id, decisionId, digest }]);
  });

  it('deny a use of high risk under another id if nobody knows whether its record is committed', async () => {
    const { settling: within } = directAuthority(store);
    const settling: Settling = {
      ...within,
      settle: async (use) => (await within.settle(use), storeFailure('busy', 'no answer')),
    };
    const own: UseRecord[] = [];
    const services = servicesWith({ sidecar: SIDECAR, settling, ledger: noting(ledger, own) });
    const { decisionId, decision } = await check(services, 'create');
    expect(decision).toMatchObject({ reason: 'task.state-unavailable' });
    const [sent] = await recorded();
    expect(sent).toMatchObject({ kind: 'use', decision: 'allow' });
    expect(own).toMatchObject([{ kind: 'use', decision: 'deny', decisionId, withdraws: sent?.['decisionId'] }]);
    expect(decisionId).not.toBe(sent?.['decisionId']);
  });

  it('have the record of a use of high risk without a task token committed too, and leave a link to it', async () => {
    const own: UseRecord[] = [];
    const links: SettledRecord[] = [];
    const policy = { policies: () => openPolicies, ledger: noting(ledger, own, links) };
    const call = httpCall({ ...uses.create });
    const [answer] = await answersTo(servicesWith({ ...policy, sidecar: SIDECAR }), [call]);
    expect(answer?.decision.kind).toBe('allow');
    const sent = waitingRecords();
    expect(sent).toMatchObject([
      { kind: 'use', decisionId: answer?.decisionId, task: null, credential: 'workload-identity', origin: ORIGIN },
    ]);
    expect(own).toEqual([]);
    expect(links).toMatchObject([{ kind: 'settled', decisionId: answer?.decisionId, task: null }]);
  });

  it('deny it under another id if nobody knows whether its record is committed', async () => {
    const own: UseRecord[] = [];
    const policy = { policies: () => openPolicies, ledger: noting(ledger, own) };
    const [answer] = await answersTo(servicesWith({ ...policy, sidecar: { origin: ORIGIN, keep: keepUnheard } }), [
      httpCall({ ...uses.create }),
    ]);
    expect(answer?.decision).toMatchObject({ reason: 'ledger.unavailable' });
    const [sent] = waitingRecords();
    expect(own).toMatchObject([{ decision: 'deny', decisionId: answer?.decisionId, withdraws: sent?.['decisionId'] }]);
  });

  it('record the denial of a use of high risk that was not settled, and nothing else', async () => {
    const { settling: within } = directAuthority(store);
    const settling: Settling = { ...within, settle: async () => ({ problem: 'exhausted', budget: null }) };
    const own: UseRecord[] = [];
    const services = servicesWith({ sidecar: SIDECAR, settling, ledger: noting(ledger, own) });
    const { decisionId } = await check(services, 'create');
    expect(own).toMatchObject([{ kind: 'use', decision: 'deny', decisionId, reason: 'task.exhausted' }]);
    expect(own[0]).not.toHaveProperty('withdraws');
    expect(own[0]).not.toHaveProperty('origin');
  });

  it('settle a use of high risk or decided by the history, although it takes nothing', async () => {
    for (const use of ['list', 'create'] as const)
      expect((await check(servicesWith(), use)).decision.kind).toBe('allow');
    const settled: SettledUse[] = [];
    const { settling: within } = directAuthority(store);
    const settling: Settling = { ...within, settle: (use) => (settled.push(use), within.settle(use)) };
    expect((await check(servicesWith({ settling }), 'create')).decision.kind).toBe('allow');
    expect(settled).toEqual([]);
    const lagging = servicesWith({ settling, sidecar: SIDECAR });
    expect((await check(lagging, 'list')).decision.kind).toBe('allow');
    expect(settled).toEqual([]);
    expect((await check(lagging, 'create')).decision.kind).toBe('allow');
    expect(settled).toMatchObject([{ spends: [], entry: { version: 2, action: '', labels: [] } }]);
    expect(history().version).toBe(2);
  });

  it.each([
    { name: 'is enforced and can match', policy: ['payments.list', ''], isSettled: true },
    { name: 'can match other uses alone', policy: ['payments.read', ''], isSettled: false },
    { name: 'is in shadow', policy: ['payments.list', '@shadow("true")'], isSettled: false },
  ])(
    'settle a use of low risk that takes nothing: a policy that reads the history $name',
    async ({ policy, isSettled }) => {
      const [action, shadow] = policy;
      const reading = `@id("reads") ${shadow} forbid (principal, action == Remit::Action::"${action}", resource)
when { context has task && context.task.labels.contains("other") };`;
      const set = await mustLoad(folderWith(`@id("all") permit (principal, action, resource);\n${reading}`));
      expect((await check(servicesWith(), 'list')).decision.kind).toBe('allow');
      const settled: SettledUse[] = [];
      const { settling: within } = directAuthority(store);
      const settling: Settling = { ...within, settle: (use) => (settled.push(use), within.settle(use)) };
      const lagging = servicesWith({ settling, sidecar: SIDECAR, policies: () => set });
      expect((await check(lagging, 'list')).decision.kind).toBe('allow');
      expect(settled).toHaveLength(isSettled ? 1 : 0);
    },
  );

  it('deny a use whose history has changed elsewhere since it was decided', async () => {
    expect((await check(servicesWith(), 'create')).decision.kind).toBe('allow');
    const { states, settling } = directAuthority(store);
    const old = mustFind(states.of(task, jtiDigest));
    expect((await check(servicesWith(), 'read')).decision.kind).toBe('allow');
    let looks = 0;
    const late = {
      ...states,
      of: (...at: Parameters<typeof states.of>) => ((looks += 1) === 1 ? old : states.of(...at)),
    };
    expect((await check(servicesWith({ states: late, settling, sidecar: SIDECAR }), 'create')).decision).toMatchObject({
      reason: 'policy.forbidden',
    });
  });

  it('wait for tasks that are not known here, all of a turn at once', async () => {
    const { states } = directAuthority(store);
    const opening = Promise.withResolvers<void>();
    const opens: string[] = [];
    let isOpen = false;
    const remote = {
      ...states,
      of: (...at: Parameters<typeof states.of>) => (isOpen ? states.of(...at) : storeFailure('busy', 'not known')),
      open: (_key: unknown, digest: string) => (isOpen ? null : (opens.push(digest), opening.promise)),
    };
    const answers = answersTo(servicesWith({ states: remote }), [callOf(uses.list), callOf(uses.read)]);
    expect(opens).toEqual([jtiDigest, jtiDigest]);
    isOpen = true;
    opening.resolve();
    expect((await answers).map(({ decision }) => decision.kind)).toEqual(['allow', 'allow']);
  });
});

describe('checks of one turn', () => {
  it('are settled in order', async () => {
    expect(await together(servicesWith(), { max_calls: 1 })).toEqual(['allow', 'task.exhausted']);
    expect(history().actions).toEqual(['payments.list']);
  });

  it('are denied, recorded as denied, and take nothing if their settlement cannot be written', async () => {
    const { settling } = directAuthority(store);
    const failing: Settling = { ...settling, settle: async () => storeFailure('full', 'the disk is full') };
    const denied = ['task.state-unavailable', 'task.state-unavailable'];
    expect(await together(servicesWith({ settling: failing }), { max_calls: 2 })).toEqual(denied);
    expect(history().actions).toEqual([]);
    expect(await together(servicesWith(), { max_calls: 2 })).toEqual(['allow', 'allow']);
    expect((await recorded()).map(({ decision }) => decision)).toEqual(['deny', 'deny', 'allow', 'allow']);
  });
});

const authorized = (from: HttpCall, headers: readonly (readonly [string, string])[]): HttpCall => ({
  ...from,
  headers: new Map([...from.headers, ...headers.map(([name, value]) => [name, [value]] as const)]),
});

describe('background writes of checks of one turn', () => {
  const another = taskNumber(2, { ...task, id: '0198f7a2-4b7e-7000-8000-3f6b8e0d1c2b' });
  const stolen = { ...soundClaims, jti: '0198f7a2-4b7e-7c1d-9a52-3f6b8e0d1c2b', txn: another.id };
  const thief = 'spiffe://acme.test/ns/agents/sa/thief';
  const call = { deadlineMs: Infinity, signal: { aborted: false }, traceparent: null };

  const ask = async (services: CheckServices, asked: readonly (readonly [HttpCall, string])[]) => {
    const answers = checksWith(services).answers(
      asked.map(([made, principal]) => ({
        facts: { peer: { principal, certificate: '', xfcc: [] }, call: made, ...quiet },
        call,
      })),
    );
    const said: string[] = [];
    for (const answer of answers) {
      if (answer instanceof Fault) throw answer.error;
      const { decision } = await answer;
      said.push(isDeny(decision) ? decision.reason : decision.kind);
    }
    return said;
  };

  it.each([
    ['the inventory of secrets', 'INSERT ON static_secrets'],
    ['the revocation of a stolen token', 'UPDATE OF revoked_ms ON tokens'],
  ])('deny no other check if %s cannot be written, and keep a stolen token refused', async (_name, on) => {
    const token = { ...tokenNumber(2), jtiDigest: jtiDigestOf(stolen.jti), expiresAtMs: nowMs + 290_000 };
    expect(store.insertTask(another, token, [])).toBeNull();
    const beside = new DatabaseSync(file);
    beside.exec(`CREATE TRIGGER broken BEFORE ${on} BEGIN SELECT RAISE(ABORT, 'broken'); END`);
    const services = servicesWith();
    const withStolen = authorized(callOf(uses.list), [['authorization', `Bearer ${mint(key, stolen)}`]]);
    const withSecret = authorized(callOf(uses.list), [['x-api-key', 'hunter2hunter2']]);
    const first = await ask(services, [
      [callOf(uses.read), agent],
      [withSecret, agent],
      [withStolen, thief],
      [withStolen, agent],
      [callOf(uses.list), agent],
    ]);
    expect(first).toEqual(['allow', 'token.static-secret', 'token.binding', 'token.revoked', 'allow']);
    timers.fire();
    timers.fire();
    expect(await ask(services, [[withStolen, agent]])).toEqual(['token.revoked']);
    await ledger.flush();
    const eventsOf = (): readonly unknown[] => {
      const records = must(store.recordsOf(another.id, 20));
      return records
        .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
        .filter(({ kind }) => kind === 'event')
        .map(({ event, details }) => [event, details.revocation]);
    };
    const isTokenBroken = on.includes('tokens');
    const pending = ['binding-violation', 'pending'];
    const revoked = ['token-revoked', undefined];
    expect(eventsOf()).toEqual(expect.arrayContaining(isTokenBroken ? [pending] : [pending, revoked]));
    expect(eventsOf()).toHaveLength(isTokenBroken ? 1 : 2);
    beside.exec('DROP TRIGGER broken');
    beside.close();
    timers.fire();
    expect(eventsOf()).toEqual(expect.arrayContaining([pending, revoked]));
    expect(store.staticSecrets(10)).toHaveLength(1);
  });
});

describe('a task token that has expired', () => {
  const other = taskNumber(2, { ...task, id: '0198f7a2-4b7e-7000-8000-3f6b8e0d1c2b' });
  const expired = {
    jti: '0198f7a2-4b7e-7c1d-9a52-3f6b8e0d1c2b',
    txn: other.id,
    iat: nowMs / 1000 - 600,
    exp: nowMs / 1000 - 300,
  };
  const thief = 'spiffe://acme.test/other';

  /** What is in the record of its task once it was presented. */
  const eventsAfter = async (principals: readonly string[]): Promise<readonly unknown[]> => {
    const token = { ...tokenNumber(2), jtiDigest: jtiDigestOf(expired.jti), expiresAtMs: nowMs - 300_000 };
    expect(store.insertTask(other, token, [])).toBeNull();
    const presented = authorized(callOf(uses.list), [['authorization', `Bearer ${mint(key, expired)}`]]);
    const services = servicesWith();
    for (const principal of principals) {
      const [answer] = await answersTo(services, [presented], principal);
      expect(answer?.decision).toMatchObject({ reason: 'token.expired' });
    }
    timers.fire();
    await ledger.flush();
    return must(store.recordsOf(other.id, 20))
      .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
      .filter(({ kind }) => kind === 'event')
      .map(({ event, by }) => [event, by]);
  };

  it('is a binding violation of its task if another workload presents it, once (issue 37)', async () => {
    const events = await eventsAfter([thief, thief]);
    expect(events).toHaveLength(2);
    expect(events).toEqual(
      expect.arrayContaining([
        ['binding-violation', thief],
        ['token-revoked', 'remit'],
      ]),
    );
  });

  it('is none if its own agent does', async () => {
    expect(await eventsAfter([agent])).toEqual([]);
  });
});

/** A ledger that writes a record durably while its task is suspended. */
const suspendedMeanwhile = (writer: UseLedger): UseLedger => ({
  append: (record) => writer.append(record),
  durable: (record) => {
    store.applyTaskEvent(task, { kind: 'suspend', cause: causeOf('operator.suspended', '') }, 'operator');
    return writer.durable(record);
  },
});

/** Services whose orders a test changes, and a ledger during whose durable write everything is stopped. */
const stoppedMeanwhile = (writer: UseLedger): Pick<CheckServices, 'states' | 'ledger'> => {
  let orders = Orders.none;
  const states = { ...directAuthority(store).states, orders: () => orders };
  const durable: UseLedger['durable'] = (record) => {
    orders = Orders.of([stopOrder({ kind: 'all', what: '' })]);
    return writer.durable(record);
  };
  return { states, ledger: { append: (record) => writer.append(record), durable } };
};

/** The keys of the services below, and a ledger that writes a record durably while the key of its token is revoked. */
const revocable = ringOf([key]);
const revokedMeanwhile = (writer: UseLedger): UseLedger => ({
  append: (record) => writer.append(record),
  durable: (record) => {
    revocable.announce(issuer, { keys: [] });
    return writer.durable(record);
  },
});

/** A ledger that notes the records it was given. */
const noting = (writer: UseLedger, records: UseRecord[], links: SettledRecord[] = []): UseLedger => ({
  append: (record) => {
    if (record.kind === 'use') records.push(record);
    if (record.kind === 'settled') links.push(record);
    return writer.append(record);
  },
  durable: (record) => {
    if (record.kind === 'use') records.push(record);
    return writer.durable(record);
  },
});

const attributesOf = (span: EndedSpan | undefined): Readonly<Record<string, SpanAttributeValue>> => {
  const attributes: Record<string, SpanAttributeValue> = {};
  span?.attributes((name, value) => (attributes[name] = value));
  return attributes;
};

describe('a use that is denied after it was settled', () => {
  const constraints = { max_calls: 1 };
  it.each<[string, keyof typeof uses, () => UseLedger, string]>([
    ['cannot be recorded', 'read', () => new LedgerWriter(store, { limits: { maxQueued: 0 } }), 'ledger.unavailable'],
    [
      'cannot be written to disk before the answer',
      'create',
      () => new LedgerWriter(store, { limits: { maxQueued: 0 } }),
      'ledger.unavailable',
    ],
    ['finds its task suspended once it is on disk', 'create', () => suspendedMeanwhile(ledger), 'task.suspended'],
  ])('stays spent and in the history if it %s', async (_name, use, writer, reason) => {
    const recorded: UseRecord[] = [];
    const spans: EndedSpan[] = [];
    const services = servicesWith({
      ledger: noting(writer(), recorded),
      spans: { samplesAllow: () => true, add: (span) => void spans.push(span) },
    });
    const answer = await check(services, use, constraints);
    expect(answer.decision).toMatchObject({ reason });
    // The allow keeps its id. The denial that was answered, recorded and traced afterwards has its own id and names that of the allow.
    const { decisionId } = answer;
    const allowedId = recorded[0]?.decisionId;
    expect(decisionId).not.toBe(allowedId);
    expect(recorded.map(({ decision, ...it }) => [decision, it.decisionId, it.withdraws])).toEqual([
      ['allow', allowedId, undefined],
      ['deny', decisionId, allowedId],
    ]);
    const [denied, allowed] = spans;
    expect(attributesOf(denied)).toMatchObject({
      'remit.decision.id': decisionId,
      'remit.decision.withdraws': allowedId,
    });
    expect(attributesOf(allowed)).toMatchObject({ 'remit.decision.id': allowedId, 'remit.decision': 'allow' });
    expect(denied?.links.filter(({ kind }) => kind === 'withdraws').map(({ to }) => to.spanId)).toEqual([
      allowed?.spanId,
    ]);
    expect(denied?.spanId).not.toBe(allowed?.spanId);
    expect(history().actions).toEqual([`payments.${use}`]);
    // A suspended task continues with a token of its next generation.
    store.applyTaskEvent(task, { kind: 'resume', cause: causeOf('operator.resumed', '') }, 'operator');
    const generation = reason === 'task.suspended' ? 2 : 1;
    const further = { ...tokenNumber(2), expiresAtMs: nowMs + 290_000, generation };
    expect(store.insertToken(task, further, [])).toBeNull();
    expect(store.spend(task, further.jtiDigest, [{ kind: 'calls', limit: 1 }])).toBe('exhausted');
  });
});

it('a use is denied whose key is revoked while it waits for the disk', async () => {
  revocable.announce(issuer, jwksOf(key));
  const services = servicesWith({ ledger: revokedMeanwhile(ledger), keys: revocable });
  expect((await check(services, 'create', {})).decision).toMatchObject({
    reason: 'token.signature',
    detail: 'the key of the token was revoked while the use was decided',
  });
});

// Issue 42, point 2.
it('a use is denied that is stopped while it waits for the disk', async () => {
  const services = servicesWith(stoppedMeanwhile(ledger));
  expect((await check(services, 'create', {})).decision).toMatchObject({ reason: 'stopped.all' });
});

it('a use is denied if it is not known any more, once it is on disk, whether it is stopped', async () => {
  let orders = Orders.none;
  const durable: UseLedger['durable'] = (record) => {
    orders = orders.staleBecause(storeFailure('busy', 'the lease is over'));
    return ledger.durable(record);
  };
  const states = { ...directAuthority(store).states, orders: () => orders };
  const services = servicesWith({ states, ledger: { append: (record) => ledger.append(record), durable } });
  expect((await check(services, 'create', {})).decision).toMatchObject({
    reason: 'task.state-unavailable',
    detail: 'the lease is over',
  });
});

const withToken = (claims: Readonly<Record<string, unknown>>): HttpCall =>
  httpCall({ headers: new Map([['authorization', [`Bearer ${mint(key, claims)}`]]]) });

describe('resourceMetadataUrl of an answer', () => {
  const metadata = {
    resourceMetadataUrl: (id: string, port: number | null) =>
      `https://issuer.test/${id}${port === null ? '' : `:${port}`}`,
  };
  it.each<[string, HttpCall, string | null]>([
    ['no token', httpCall(), 'https://issuer.test/payments'],
    ['no token, on a route that no server has', httpCall({ path: '/none' }), 'https://issuer.test/payments'],
    ['no token, on the root', httpCall({ path: '/', segments: [] }), 'https://issuer.test/payments'],
    ['no token, as GET with a body', httpCall({ body: Buffer.from('x') }), 'https://issuer.test/payments'],
    ['a token of another server', withToken({ aud: 'https://files.acme.test' }), 'https://issuer.test/payments'],
    ['a token of another issuer', withToken({ iss: 'https://other.test' }), 'https://issuer.test/payments'],
    ['no token, at a port', httpCall({ port: 8_443 }), 'https://issuer.test/payments:8443'],
    ['a token at a host of no server', httpCall({ host: 'nobody.acme.test' }), null],
  ])('names the called server for a call with %s', async (_name, call, url) => {
    const [answer] = await answersTo(servicesWith(metadata), [call]);
    expect([answer?.decision.kind, answer?.resourceMetadataUrl]).toEqual(['deny', url]);
  });

  it('is absent if a call is allowed', async () => {
    expect(await check(servicesWith(metadata), 'list')).toMatchObject({
      decision: { kind: 'allow' },
      resourceMetadataUrl: null,
    });
  });
});

describe('telemetry, records and answers of a call', () => {
  it('contain no credential from its path, query or host, whatever the decision', async () => {
    const call = { deadlineMs: Infinity, signal: { aborted: false }, traceparent: null };
    const peer = { principal: agent, certificate: '', xfcc: [] };
    const short = mint(key, {});
    const long = mint(key, { exp: 9e9 });
    const github = `ghp_${'aB3'.repeat(12)}`;
    const secret = fc.constantFrom(short, long, github, `sk-${'c4'.repeat(20)}`);
    const piece = fc.oneof(secret, fc.constantFrom('v1', 'payments', 'p-1', 'x'.repeat(180)));
    const asked = fc.record({
      pieces: fc.array(piece, { minLength: 1, maxLength: 6 }),
      query: fc.oneof(
        fc.constant(''),
        secret.map((one) => `api_key=${one}&x=1`),
        secret,
      ),
      route: fc.constantFrom('', '/v1/payments'),
      host: fc.constantFrom('payments.acme.test', 'nobody.acme.test', 'sk-' + 'c4'.repeat(20)),
    });
    await fc.assert(
      fc.asyncProperty(asked, async ({ pieces, query, route, host }) => {
        const told: string[] = [];
        const records: UseRecord[] = [];
        const services = servicesWith({
          ledger: noting(ledger, records),
          spans: { samplesAllow: () => true, add: (span) => void told.push(JSON.stringify(attributesOf(span))) },
          onChecked: (check) => void told.push(decisionLine(check), JSON.stringify(check.decided)),
          reports: { seen: (seen) => void told.push(JSON.stringify(seen)), revoke: () => undefined },
        });
        const path = `${route}/${pieces.join('/')}`;
        const made = { ...callOf(uses.read), host, path, segments: path.slice(1).split('/'), query };
        const checks = checksWith(services);
        for (const answer of checks.answers([{ facts: { peer, call: made, ...quiet }, call }])) {
          if (answer instanceof Fault) throw answer.error;
          const { decision, ...rest } = await answer;
          told.push(
            checkResponseFrom({ decision, ...rest }, { helpUrl: null }).toString('latin1'),
            JSON.stringify(decision),
          );
        }
        checks.afterwards();
        const all = [...told, JSON.stringify(records)].join('\n');
        expect(told.length).toBeGreaterThan(4);
        for (const one of [...short.split('.').slice(1), ...long.split('.').slice(1), github, 'c4'.repeat(20)])
          expect(all).not.toContain(one);
      }),
      { numRuns: 150 },
    );
  });
});

const fault = (): never => {
  throw new Error('a bug');
};
const bytesOf = (answer: Answer): string => checkResponseFrom(answer, { helpUrl: null }).toString('latin1');

// Issue 41, point 2.
/** A header as Envoy sends it. */
const raw = (key: string, value: string) => ({ key, raw_value: Buffer.from(value) });

/** A request of the agent, as Envoy sends it. */
const checkRequestTo = (host: string) =>
  envoyCheckRequestType.serialize({
    attributes: {
      source: { principal: agent },
      request: {
        http: {
          method: 'GET',
          path: '/v1/payments',
          host,
          scheme: 'http',
          header_map: { headers: [raw(':path', '/v1/payments'), raw(':authority', host), raw(':method', 'GET')] },
        },
      },
    },
  });

/** A request of the agent with other headers and metadata than can be read, as Envoy sends it. */
const unreadableRequest = (parts: {
  readonly headers?: readonly object[];
  readonly values?: number;
  readonly host?: string;
  /** A `~` is sent as a byte that is not UTF-8. */
  readonly path?: string;
  readonly source?: object;
}): Buffer => {
  const { headers = [], values = 0, host = 'payments.acme.test', path = '/v1/payments' } = parts;
  const { source = { principal: agent } } = parts;
  const pseudo = [raw(':path', path), raw(':authority', host), raw(':method', 'GET')];
  const fields = Object.fromEntries(Array.from({ length: values }, (_, n) => [`k${n}`, { stringValue: 'v' }]));
  const message = envoyCheckRequestType.serialize({
    attributes: {
      source,
      request: {
        http: {
          method: 'GET',
          path,
          host,
          scheme: 'http',
          header_map: { headers: [...pseudo, ...headers] },
        },
      },
      ...(values === 0 ? {} : { metadata_context: { filter_metadata: { 'envoy.filters.http.mcp': { fields } } } }),
    },
  });
  return Buffer.from(message.map((byte) => (byte === 0x7e ? 0xfc : byte)));
};

const secretive = (call: HttpCall): HttpCall => ({
  ...call,
  headers: new Map([...call.headers, ['x-api-key', ['AKIAIOSFODNN7EXAMPLE']]]),
});
const end = (): void => {
  expect(store.applyTaskEvent(task, { kind: 'cancel', cause: causeOf('agent.cancelled', '') }, agent)).not.toBeNull();
};
const refusedAt = (call: HttpCall) => ({
  ...deny('request.body-incomplete', 'a part of the body was sent to the check'),
  seen: { peer, host: 'payments.acme.test', authorization: call.headers.get('authorization') ?? [] },
});

/** The answer to a check of a call that is refused without being decided, since too many wait. */
const undecided = (services: CheckServices, call: HttpCall): Answer | null =>
  checksWith(services).passing(
    { facts: { peer, call, ...quiet }, call: askedCall },
    { why: deny('overloaded', 'the check was refused without being decided') },
  );

describe('an observed call', () => {
  const untilMs = nowMs + 1;
  const entry: ObserveEntry = {
    id: 'legacy',
    agents: [agent],
    servers: ['payments', 'old.acme.test'],
    untilMs,
    owner: 'us',
    because: 'CHG-1',
    place: { file: 'enforcement.yaml', line: 2, column: 5 },
  };
  const forbidding = `@id("all") permit (principal, action, resource);
@id("no-read") forbid (principal, action == Remit::Action::"payments.read", resource);
@always("true") @id("never") forbid (principal, action == Remit::Action::"payments.create", resource);`;

  /** Services under a set that observes, with the records that they make. */
  const observing = async (of: Partial<ObserveEntry> = {}, over: Partial<CheckServices> = {}, text = POLICIES) => {
    const set = { ...(await mustLoad(folderWith(text))), observed: [{ ...entry, ...of }] };
    const records: UseRecord[] = [];
    return { records, services: servicesWith({ policies: () => set, ledger: noting(ledger, records), ...over }) };
  };
  const forged = (): HttpCall => {
    const headers = new Map([['authorization', [`Bearer ${mint(es256Key())}`]]]);
    return { ...callOf(uses.list), headers };
  };

  it('passes without a token, is recorded as what it would be, and keeps the headers of its caller', async () => {
    const { services, records } = await observing();
    const headers = new Map([['authorization', ['Bearer of-the-upstream']]]);
    const [plain, bearing] = await answersTo(services, [
      withoutToken(callOf(uses.list)),
      { ...callOf(uses.list), headers },
    ]);
    expect(plain?.decision).toMatchObject({ kind: 'allow', policyIds: [], observed: { reason: 'token.missing' } });
    expect(bearing?.decision).toMatchObject({ kind: 'allow', observed: { reason: 'token.malformed' } });
    for (const answer of [plain, bearing])
      expect(bytesOf(mustFind(answer))).not.toMatch(/authorization|dpop|forwarded/);
    expect(records).toMatchObject([
      {
        decision: 'allow',
        reason: null,
        policyIds: [],
        action: 'payments.list',
        mode: 'observe',
        entry: 'legacy',
        would: { decision: 'deny', reason: 'token.missing', policyIds: [] },
      },
      { mode: 'observe', would: { reason: 'token.malformed' } },
    ]);
    for (const record of records) expect(record).not.toHaveProperty('shape');
  });

  it('is denied from the end of its entry on', async () => {
    const { services, records } = await observing({ untilMs: nowMs });
    const [answer] = await answersTo(services, [withoutToken(callOf(uses.list))]);
    expect(answer?.decision).toMatchObject({ kind: 'deny', reason: 'token.missing' });
    expect(records[0]).not.toHaveProperty('mode');
  });

  it('that would be allowed is allowed, by its policies', async () => {
    const { services, records } = await observing();
    expect((await check(services, 'list')).decision).toEqual({ kind: 'allow', policyIds: ['all'], observed: null });
    expect(records).toMatchObject([
      { decision: 'allow', policyIds: ['all'], would: { decision: 'allow', reason: null, policyIds: ['all'] } },
    ]);
  });

  it('that the catalog does not know is recorded with its shape, and no value', async () => {
    const { services, records } = await observing();
    const secret = 'AKIAIOSFODNN7EXAMPLE';
    const call = httpCall({
      method: 'POST',
      host: 'old.acme.test',
      path: `/v1/${secret}`,
      query: `page=hunter2&${secret}=1`,
      headers: new Map([['x-api-key', ['hunter2']]]),
      body: Buffer.from(JSON.stringify({ iban: 'hunter2', [secret]: { pin: secret } })),
    });
    const lines: string[] = [];
    const [answer] = await answersTo({ ...services, onChecked: (told) => lines.push(decisionLine(told)) }, [call]);
    expect(answer?.decision).toMatchObject({ kind: 'allow', observed: { reason: 'token.static-secret' } });
    expect(records).toMatchObject([
      {
        action: null,
        shape: { protocol: 'http', query: expect.arrayContaining(['page']), members: { iban: 'string' } },
      },
    ]);
    for (const text of [JSON.stringify(records), ...lines, bytesOf(mustFind(answer))])
      expect(text).not.toMatch(/AKIAIOSFODNN7EXAMPLE|hunter2/);
  });

  it.each<[string, () => Promise<Answer>]>([
    [
      'stolen',
      async () =>
        mustFind(
          (
            await answersTo(
              (await observing({ agents: ['*'] })).services,
              [callOf(uses.list)],
              'spiffe://acme.test/thief',
            )
          )[0],
        ),
    ],
    ['forged', async () => mustFind((await answersTo((await observing()).services, [forged()]))[0])],
    [
      'ended',
      async () => {
        store.applyTaskEvent(task, { kind: 'complete', cause: causeOf('agent.completed', '') }, agent);
        return check((await observing()).services, 'list');
      },
    ],
    [
      'replayed',
      async () => {
        const { services } = await observing();
        await check(services, 'list', { single_use: true });
        return check(services, 'list', { single_use: true });
      },
    ],
    [
      'replayed, and denied by policies',
      async () => {
        const { services } = await observing({}, {}, forbidding);
        expect((await check(services, 'list', { single_use: true })).decision.kind).toBe('allow');
        return check(services, 'read', { single_use: true });
      },
    ],
    [
      'replayed at an action that the catalog lacks',
      async () => {
        const { services } = await observing();
        expect((await check(services, 'list', { single_use: true })).decision.kind).toBe('allow');
        const [answer] = await answersTo(services, [
          { ...callOf(uses.list, { single_use: true }), host: 'old.acme.test' },
        ]);
        return mustFind(answer);
      },
    ],
    [
      'of a task that ends while its use is settled',
      async () => {
        const { services } = await observing();
        return check({ ...services, settling: { ...services.settling, settle: async () => 'ended' } }, 'read');
      },
    ],
    [
      'of a stopped task whose token has expired',
      async () => {
        end();
        const { services } = await observing({ untilMs: nowMs + 3_600_000 });
        const later = { ...services.states, clocks: () => ({ ...services.states.clocks(), wallMs: nowMs + 400_000 }) };
        const answer = await check({ ...services, states: later }, 'list');
        expect(answer.decision).toMatchObject({ reason: 'task.cancelled' });
        return answer;
      },
    ],
    ['always forbidden', async () => check((await observing({}, {}, forbidding)).services, 'create')],
    [
      'always forbidden without a token',
      async () =>
        mustFind(
          (await answersTo((await observing({}, {}, forbidding)).services, [withoutToken(callOf(uses.create))]))[0],
        ),
    ],
  ])('is denied if it is %s', async (_name, answered) => {
    expect((await answered()).decision.kind).toBe('deny');
  });

  // Issue 41, point 2: what is asked of the state takes nothing.
  it.each([
    ['before its token was used', false],
    ['if the state cannot say whether its token was used', true],
  ])('with a token for a single use that policies deny passes %s, and takes nothing', async (_when, isFailing) => {
    const failing: Settling = {
      ...directAuthority(store).settling,
      settle: async () => storeFailure('busy', 'no answer'),
    };
    const { services } = await observing({}, isFailing ? { settling: failing } : {}, forbidding);
    for (let n = 0; n < 2; n += 1)
      expect((await check(services, 'read', { single_use: true })).decision).toMatchObject({
        kind: 'allow',
        observed: { reason: 'policy.forbidden' },
      });
    const { services: whole } = await observing({}, {}, forbidding);
    expect((await check(whole, 'list', { single_use: true })).decision).toMatchObject({ observed: null });
  });

  // Issue 41: a bundle that was not renewed in time must not be an outage of what is observed.
  describe.each(['policy.expired', 'policy.stale'] as const)('under a set that is %s', (reason) => {
    const lapsed = async (of: Partial<ObserveEntry> = {}, text = POLICIES, over: Partial<CheckServices> = {}) => {
      const set = { ...(await mustLoad(folderWith(text))), observed: [{ ...entry, ...of }] };
      return observing(of, { policies: () => deny(reason, 'no longer'), lastPolicies: () => set, ...over }, text);
    };

    it('passes, and is recorded with its action and why it would be denied', async () => {
      const { services, records } = await lapsed();
      expect((await check(services, 'list')).decision).toMatchObject({
        kind: 'allow',
        policyIds: [],
        observed: { reason },
      });
      const [plain] = await answersTo(services, [withoutToken(callOf(uses.list))]);
      expect(plain?.decision).toMatchObject({ kind: 'allow' });
      expect(records[0]).toMatchObject({
        mode: 'observe',
        would: { reason },
        action: 'payments.list',
        policySet: null,
      });
      expect(checksWith(services).isObserving()).toBe(true);
    });

    it.each<[string, () => Promise<Answer | undefined>]>([
      [
        'by another agent',
        async () => check((await lapsed({ agents: ['spiffe://acme.test/other'] })).services, 'list'),
      ],
      ['after the end of its entry', async () => check((await lapsed({ untilMs: nowMs })).services, 'list')],
      ['with a forged token', async () => (await answersTo((await lapsed()).services, [forged()]))[0]],
      [
        'with an ended token',
        async () => {
          end();
          return check((await lapsed()).services, 'list');
        },
      ],
      ['that is always forbidden', async () => check((await lapsed({}, forbidding)).services, 'create')],
      [
        'of a stopped agent',
        async () => {
          const stopped = Orders.of([stopOrder({ kind: 'agent', what: agent })]);
          const states = { ...directAuthority(store).states, orders: () => stopped };
          return check((await lapsed({}, POLICIES, { states })).services, 'list');
        },
      ],
    ])('is denied %s', async (_what, answered) => {
      expect((await answered())?.decision.kind).toBe('deny');
    });
  });

  // Issue 42, point 2.
  describe('that is stopped', () => {
    const stopped = Orders.of([stopOrder({ kind: 'agent', what: agent })]);
    const states = () => ({ ...directAuthority(store).states, orders: () => stopped });

    it.each<[string, (call: HttpCall) => HttpCall]>([
      ['with a task token', (call) => call],
      ['without a token', withoutToken],
      ['at a host that the catalog lacks', (call) => ({ ...call, host: 'old.acme.test' })],
    ])('is denied, %s', async (_how, call) => {
      const { services, records } = await observing({}, { states: states() });
      const [answer] = await answersTo(services, [call(callOf(uses.list))]);
      expect(answer?.decision).toMatchObject({ kind: 'deny', reason: 'stopped.agent' });
      expect(records).toMatchObject([{ decision: 'deny', reason: 'stopped.agent' }]);
    });

    it('is denied above the rate of its agent, and if its request could not be read', async () => {
      const { services } = await observing({}, { states: states(), admits: () => false });
      expect((await check(services, 'list')).decision).toMatchObject({ reason: 'stopped.agent' });
      const why = deny('request.body-incomplete', 'a part of the body was sent to the check');
      const seen = { peer, host: 'payments.acme.test', authorization: [] };
      const [answer] = checksWith(services).answers([{ facts: { ...why, seen }, call: askedCall }]);
      expect(answer).toMatchObject({ decision: { kind: 'deny', reason: 'stopped.agent' } });
    });

    it('is denied if its check threw, or was not made', async () => {
      const { services } = await observing({}, { states: states() });
      const asked = { facts: { peer, call: withoutToken(callOf(uses.list)), ...quiet }, call: askedCall };
      expect(checksWith(services).passing(asked)).toBeNull();
      const { services: free } = await observing();
      expect(checksWith(free).passing(asked)).toMatchObject({ decision: { kind: 'allow' } });
    });

    it('is denied if that happens while it waits for the disk, also if it cannot be recorded', async () => {
      const { services } = await observing({}, stoppedMeanwhile(ledger));
      expect((await check(services, 'create')).decision).toMatchObject({ reason: 'stopped.all' });
      const failing = stoppedMeanwhile({ append: () => false, durable: async () => false });
      const { services: full } = await observing({}, failing);
      expect((await check(full, 'create')).decision).toMatchObject({ reason: 'stopped.all' });
    });
  });

  // Issue 41, point 7.
  describe('by an emergency', () => {
    const emergency = observeOrder({ agents: [agent], servers: ['payments'], madeAtMs: nowMs - 1_000, untilMs });
    const running = Orders.of([emergency]);
    const states = () => ({ ...directAuthority(store).states, orders: () => running });
    /** Services under a set of which nothing is observed but by the emergency. */
    const inEmergency = async (over: Partial<CheckServices> = {}, text = POLICIES) => {
      const set = await mustLoad(folderWith(text));
      const records: UseRecord[] = [];
      const services = servicesWith({
        policies: () => set,
        ledger: noting(ledger, records),
        states: states(),
        ...over,
      });
      return { records, services };
    };

    it('passes, and is recorded with the id of the order', async () => {
      const { services, records } = await inEmergency();
      const [answer] = await answersTo(services, [withoutToken(callOf(uses.list))]);
      expect(answer?.decision).toMatchObject({ kind: 'allow', observed: { reason: 'token.missing' } });
      expect(records).toMatchObject([
        { decision: 'allow', mode: 'observe', entry: emergency.id, would: { reason: 'token.missing' } },
      ]);
    });

    it('passes also above the rate of its agent, and if its check threw', async () => {
      const { services } = await inEmergency({ admits: () => false });
      expect((await check(services, 'list')).decision).toMatchObject({ observed: { reason: 'overloaded' } });
      const asked = { facts: { peer, call: withoutToken(callOf(uses.list)), ...quiet }, call: askedCall };
      expect(checksWith(services).passing(asked)).toMatchObject({ decision: { kind: 'allow' } });
      expect(checksWith(services).isObserving()).toBe(true);
    });

    it('frees no token that is ended, revoked, stolen, forged or replayed, no stop, and nothing that is always forbidden', async () => {
      const denied = async (over: Partial<CheckServices>, calls: readonly HttpCall[], by = agent) => {
        const { services } = await inEmergency(over, forbidding);
        return (await answersTo(services, calls, by)).map(({ decision }) => decision.kind);
      };
      const again = await inEmergency();
      expect((await check(again.services, 'list', { single_use: true })).decision.kind).toBe('allow');
      expect((await check(again.services, 'list', { single_use: true })).decision.kind).toBe('deny');
      expect(await denied({}, [forged()])).toEqual(['deny']);
      expect(await denied({}, [withoutToken(callOf(uses.create))])).toEqual(['deny']);
      const stopping = Orders.of([emergency, stopOrder({ kind: 'agent', what: agent })]);
      const stoppedStates = { ...directAuthority(store).states, orders: () => stopping };
      expect(await denied({ states: stoppedStates }, [withoutToken(callOf(uses.list))])).toEqual(['deny']);
      store.applyTaskEvent(task, { kind: 'revoke', cause: causeOf('operator.revoked', '') }, 'operator');
      expect(await denied({}, [callOf(uses.list)])).toEqual(['deny']);
    });

    it('is denied if the emergency ends while the call waits', async () => {
      let orders = running;
      const { services, records } = await inEmergency({
        states: { ...directAuthority(store).states, orders: () => orders },
        settling: {
          ...directAuthority(store).settling,
          settle: async () => {
            orders = Orders.none;
            return storeFailure('full', 'the disk is full');
          },
        },
      });
      const answer = await check(services, 'read');
      expect(answer.decision).toMatchObject({ kind: 'deny', reason: 'task.state-unavailable' });
      expect(records.map(({ decision, mode }) => [decision, mode])).toEqual([
        ['allow', 'observe'],
        ['deny', undefined],
      ]);
    });
  });

  // Something else that is wrong with a call must not let its token pass.
  it.each<[string, (services: CheckServices) => Parameters<ReturnType<typeof checksWith>['answers']>[0][number]]>([
    [
      'beside a static secret',
      () => ({ facts: { peer, call: secretive(callOf(uses.list)), ...quiet }, call: askedCall }),
    ],
    [
      'after its deadline',
      () => ({ facts: { peer, call: callOf(uses.list), ...quiet }, call: { ...askedCall, deadlineMs: -1 } }),
    ],
    ['in a request that cannot be read', () => ({ facts: refusedAt(callOf(uses.list)), call: askedCall })],
    [
      'without a verified caller',
      () => ({ facts: { peer: { ...peer, principal: '' }, call: callOf(uses.list), ...quiet }, call: askedCall }),
    ],
  ])('with an ended token is denied %s, with a live token it passes', async (_name, askedOf) => {
    const { services } = await observing({ agents: _name.includes('caller') ? null : [agent] });
    const answered = async () => {
      const [answer] = checksWith(services).answers([askedOf(services)]);
      if (answer === undefined || answer instanceof Fault) throw new Error('no answer');
      return (await answer).decision;
    };
    expect(await answered()).toMatchObject({ kind: 'allow', observed: { kind: 'deny' } });
    end();
    expect(await answered()).toMatchObject({ kind: 'deny', reason: 'task.cancelled' });
  });

  it('with two tokens is denied if either of them names an issuer of Remit', async () => {
    const { services } = await observing();
    const [token = ''] = callOf(uses.list).headers.get('authorization') ?? [];
    const bearing = (...values: readonly string[]): HttpCall => ({
      ...callOf(uses.list),
      headers: new Map([['authorization', values]]),
    });
    const answers = await answersTo(services, [
      bearing('Bearer of-the-upstream', token),
      bearing(`Bearer of-the-upstream, ${token}`),
      bearing('Bearer of-the-upstream', 'Basic dXNlcjpw'),
    ]);
    expect(answers.map(({ decision }) => decision.kind)).toEqual(['deny', 'deny', 'allow']);
  });

  /** Answers a use whose settlement fails after something happened meanwhile. */
  const answeredAfter = async (
    meanwhile: () => void,
    { keys, ...over }: Partial<CheckServices> = {},
    signal: CheckSignal = askedCall.signal,
  ) => {
    const { services, records } = await observing({}, over);
    const settle = async () => {
      meanwhile();
      return storeFailure('busy', 'no answer');
    };
    const waiting = { ...services, keys: keys ?? services.keys, settling: { ...services.settling, settle } };
    const facts = { peer, call: callOf(uses.read), ...quiet };
    const [answer] = checksWith(waiting).answers([{ facts, call: { ...askedCall, signal } }]);
    if (answer === undefined || answer instanceof Fault) throw new Error('no answer');
    return { decision: (await answer).decision, records };
  };

  it('is denied if its token ends, or its key is revoked, while it waits for a state that fails', async () => {
    expect((await answeredAfter(() => undefined)).decision).toMatchObject({
      observed: { reason: 'task.state-unavailable' },
    });
    const ring = ringOf([key]);
    let isHeld = true;
    const keys: CheckServices['keys'] = {
      kindOf: (name) => ring.kindOf(name),
      keyFor: (...asked) => ring.keyFor(...asked),
      isHeld: () => isHeld,
    };
    expect((await answeredAfter(() => (isHeld = false), { keys })).decision).toMatchObject({
      kind: 'deny',
      reason: 'token.signature',
    });
    expect((await answeredAfter(end)).decision).toMatchObject({ kind: 'deny', reason: 'task.cancelled' });
  });

  it.each<[string, { readonly isPassed?: true }, string]>([
    ['that passed', { isPassed: true }, 'allow'],
    ['that was refused', {}, 'deny'],
  ])('%s at its deadline is recorded so, under the id of that answer', async (_name, sent, decision) => {
    const refusedAs = '01990000-0000-7000-8000-00000000abc1';
    const signal: { aborted: boolean } & RefusedCall = { aborted: false };
    const { records } = await answeredAfter(
      () => Object.assign(signal, { aborted: true, refusedAs, ...sent }),
      {},
      signal,
    );
    expect(records).toMatchObject([{ decisionId: refusedAs, decision, would: { reason: 'check.deadline' } }]);
  });

  it('passes if a policy without `@always` forbids it', async () => {
    const { services } = await observing({}, {}, forbidding);
    expect((await check(services, 'read')).decision).toMatchObject({ observed: { policyIds: ['no-read'] } });
  });

  it('is denied by a forbid with `@always` also if another policy cannot be evaluated, as of a body that cannot be read', async () => {
    const failing = `${forbidding}
@id("large") forbid (principal, action == Remit::Action::"payments.create", resource) when { context.args.amount > 5000 };`;
    const { services } = await observing({}, {}, failing);
    const unreadable = { ...callOf(uses.create), body: Buffer.from('{') };
    const answers = await answersTo(services, [unreadable, withoutToken(unreadable)]);
    for (const { decision } of answers)
      expect(decision).toMatchObject({ kind: 'deny', reason: 'policy.forbidden', policyIds: ['never'] });
  });

  it.each<[string, keyof typeof uses, () => Partial<CheckServices>, string]>([
    [
      'its state fails',
      'read',
      () => ({
        settling: { ...directAuthority(store).settling, settle: async () => storeFailure('full', 'the disk is full') },
      }),
      'task.state-unavailable',
    ],
    [
      'its ledger fails',
      'list',
      () => ({ ledger: { append: () => false, durable: async () => false } }),
      'ledger.unavailable',
    ],
  ])('passes if %s, and takes nothing', async (_name, use, over, reason) => {
    const { services } = await observing({}, over());
    expect((await check(services, use)).decision).toMatchObject({ kind: 'allow', observed: { reason } });
  });

  it('passes without its transaction token if none can be signed', async () => {
    const audienceLine = `    audience: ${audience}\n`;
    expect(exampleCatalog).toContain(audienceLine);
    const catalog = exampleCatalog.replace(audienceLine, `${audienceLine}    transactionToken: true\n`);
    const set = { ...(await mustLoad(folderWith(POLICIES, { catalog }))), observed: [entry] };
    for (const transactionToken of [null, fault]) {
      const services = servicesWith({ policies: () => set, transactionToken });
      const answer = await check(services, 'list');
      expect(answer).toMatchObject({ decision: { observed: { reason: 'internal' } }, transactionToken: null });
    }
  });

  it('takes nothing from a budget that it exceeds', async () => {
    const { services } = await observing();
    for (let n = 0; n < 2; n += 1) await check(services, 'list', { max_calls: 1 });
    expect((await check(services, 'list', { max_calls: 1 })).decision).toMatchObject({
      kind: 'allow',
      observed: { reason: 'task.exhausted' },
    });
  });

  it('passes if its request could not be read whole, by its caller and host', async () => {
    const { services } = await observing();
    const why = deny('request.body-incomplete', 'a part of the body was sent to the check');
    const asked = (host: string | null) => ({
      facts: { ...why, seen: { peer, host, authorization: [] } },
      call: askedCall,
    });
    const checks = checksWith(services);
    const answers = checks.answers([asked('payments.acme.test'), asked('other.acme.test'), asked(null)]);
    expect(answers).toMatchObject([
      { decision: { kind: 'allow', observed: why } },
      { decision: { kind: 'deny' } },
      { decision: { kind: 'deny' } },
    ]);
  });

  it('passes above the rate of its agent, which has no effect on what is denied while observing', async () => {
    const { services } = await observing({}, { admits: () => false }, forbidding);
    expect((await check(services, 'list')).decision).toMatchObject({ observed: { reason: 'overloaded' } });
    expect((await check(services, 'create')).decision).toMatchObject({ kind: 'deny', policyIds: ['never'] });
    const { services: enforcing } = await observing({ untilMs: nowMs }, { admits: () => false });
    await expect(check(enforcing, 'list')).rejects.toThrow('too often');
  });

  it('passes if its check throws, unless it carries a token that is to be judged', async () => {
    const { services, records } = await observing();
    const plain = await observing({}, { outcomes: { answered: () => undefined, decided: () => undefined } });
    const passing = (call: HttpCall, of: CheckServices = services) =>
      checksWith(of).passing({ facts: { peer, call, ...quiet }, call: askedCall });
    expect(passing(withoutToken(callOf(uses.list)))).toMatchObject({
      decision: { kind: 'allow', observed: { reason: 'internal' } },
    });
    expect(records).toMatchObject([{ mode: 'observe', would: { decision: 'deny', reason: 'internal' } }]);
    expect(passing(forged(), plain.services)).toBeNull();
    const { services: enforcing } = await observing({ untilMs: nowMs });
    expect(passing(withoutToken(callOf(uses.list)), enforcing)).toBeNull();
    const { services: broken } = await observing(
      {},
      { digestOf: fault, states: { ...services.states, clocks: fault } },
    );
    expect(passing(withoutToken(callOf(uses.list)), broken)).toBeNull();
  });

  it('passes if its check is refused without being decided, for the reason of the refusal', async () => {
    const { services, records } = await observing();
    const handler = authorizationHandler(checksWith(services), {
      rules: { partialBodyBytes: null },
      response: { helpUrl: null },
      refuse: () => Buffer.from('refused'),
    });
    const call = { traceparent: null, deadlineMs: 1, signal: { aborted: false } };
    const passing = (host: string) => handler.passing?.({ message: checkRequestTo(host), ...call }, 'full') ?? null;
    expect(readAsEnvoy(passing('payments.acme.test') ?? Buffer.alloc(0)).ok_response).toBeDefined();
    expect(records).toMatchObject([{ mode: 'observe', would: { decision: 'deny', reason: 'overloaded' } }]);
    expect(passing('files.acme.test')).toBeNull();
    // A bound on what is read of refused checks: otherwise refusing would cost as much as deciding.
    const answers = Array.from({ length: 1_200 }, () => passing('payments.acme.test'));
    expect(answers.filter((bytes) => bytes !== null)).toHaveLength(798);
  });

  it('that is refused without a decision passes with a live token, and not with what is denied while observing', async () => {
    const { services } = await observing({}, {}, forbidding);
    expect(undecided(services, callOf(uses.list))?.decision).toMatchObject({ observed: { reason: 'overloaded' } });
    const unknown = { ...services.states, of: () => undefined };
    // What is not known here cannot be judged at once.
    expect(undecided({ ...services, states: unknown }, callOf(uses.list))).toBeNull();
    expect(undecided(services, forged())).toBeNull();
    expect(undecided(services, withoutToken(callOf(uses.create)))).toBeNull();
    end();
    expect(undecided(services, callOf(uses.list))).toBeNull();
    expect(undecided(services, withoutToken(callOf(uses.list)))).not.toBeNull();
  });

  it('that passes undecided, or unrecorded, is counted with its reason, traced and logged', async () => {
    const spans: EndedSpan[] = [];
    const counted = newMetrics();
    const lines: string[] = [];
    const count = checkMetrics(counted);
    const told = {
      spans: { samplesAllow: () => true, add: (span: EndedSpan) => void spans.push(span) },
      onChecked: (finished: FinishedCheck) => {
        count(finished);
        lines.push(decisionLine(finished));
      },
    };
    const { services } = await observing({}, told);
    undecided(services, withoutToken(callOf(uses.list)));
    const unrecorded = { ...services, ledger: { append: () => false, durable: async () => false } };
    await answersTo(unrecorded, [withoutToken(callOf(uses.list))]);
    await answersTo(services, [withoutToken(callOf(uses.list))]);
    expect(spans.map((span) => attributesOf(span)['remit.would.reason'])).toEqual([
      'overloaded',
      'token.missing',
      'token.missing',
    ]);
    expect(lines.map((line) => JSON.parse(line).would.reason)).toEqual([
      'overloaded',
      'token.missing',
      'token.missing',
    ]);
    const { body } = counted.scrape('openmetrics');
    expect(body).toContain('remit_observed_decisions_total{would="deny",reason="overloaded"} 1');
    expect(body.match(/remit_observed_faults_total\{.*/g)).toEqual([
      'remit_observed_faults_total{reason="overloaded"} 1',
      'remit_observed_faults_total{reason="ledger.unavailable"} 1',
    ]);
  });

  it('finds its answer while another agent floods with refused checks', async () => {
    const { services } = await observing();
    const handler = authorizationHandler(checksWith(services), {
      rules: { partialBodyBytes: null },
      response: { helpUrl: null },
      refuse: () => Buffer.from('refused'),
      agentIn: (message) => (Buffer.from(message).includes('files.acme.test') ? 'flood' : agent),
    });
    const call = { traceparent: null, deadlineMs: 1, signal: { aborted: false } };
    const passing = (host: string) => handler.passing?.({ message: checkRequestTo(host), ...call }, 'full') ?? null;
    for (let n = 0; n < 2_000; n += 1) passing('files.acme.test');
    const answers = Array.from({ length: 100 }, () => passing('payments.acme.test'));
    expect(answers.filter((bytes) => bytes === null)).toEqual([]);
  });

  it('passes at its deadline while it is under way, and notes the id of that answer', async () => {
    const { services, records } = await observing();
    const handler = authorizationHandler(checksWith(services), {
      rules: { partialBodyBytes: null },
      response: { helpUrl: null },
      refuse: () => Buffer.from('refused'),
    });
    const signal: RefusedCall & { aborted: boolean } = { aborted: false };
    const message = checkRequestTo('payments.acme.test');
    const passed = handler.passing?.({ message, traceparent: null, deadlineMs: 1, signal }, 'deadline', signal);
    const id = readAsEnvoy(passed ?? Buffer.alloc(0)).dynamic_metadata?.fields?.['decision_id']?.stringValue;
    expect(signal).toEqual({ aborted: false, refusedAs: id, isPassed: true });
    expect(records).toEqual([]);
  });

  it.each<[string, Parameters<typeof unreadableRequest>[0]]>([
    ['asks for an upgrade', { headers: [raw('upgrade', 'websocket'), raw('connection', 'upgrade')] }],
    ['has a header in Latin-1', { headers: [{ key: 'x-name', raw_value: Buffer.from([0x4d, 0xfc]) }] }],
    ['has a header twice', { headers: [raw('content-type', 'a/b'), raw('content-type', 'a/c')] }],
    ['has a header with an underscore', { headers: [raw('x_name', 'a')] }],
    ['has much metadata of other filters', { values: 600 }],
    ['has a path in Latin-1', { path: '/v1/~~' }],
  ])('passes if its request %s, but not with a forged token', async (_name, parts) => {
    const { services } = await observing();
    const handler = authorizationHandler(checksWith(services), {
      rules: { partialBodyBytes: null },
      response: { helpUrl: null },
      refuse: () => Buffer.from('refused'),
    });
    const answered = async (message: Buffer) => {
      const [bytes] = handler.answers([{ message, traceparent: null, deadlineMs: 1, signal: { aborted: false } }]);
      return readAsEnvoy((await bytes) ?? Buffer.alloc(0)).ok_response === undefined ? 'deny' : 'allow';
    };
    expect(await answered(unreadableRequest(parts))).toBe('allow');
    const bearing = raw('authorization', mustFind(forged().headers.get('authorization')?.[0]));
    expect(await answered(unreadableRequest({ ...parts, headers: [...(parts.headers ?? []), bearing] }))).toBe('deny');
    expect(await answered(unreadableRequest({ ...parts, host: 'files.acme.test' }))).toBe('deny');
  });

  it('whose peer cannot be read passes as a call without an identity', async () => {
    const { services } = await observing({ agents: null });
    for (const [source, certificateFrom] of [
      [{ principal: agent, certificate: 'c'.repeat(40_000) }, 'peer'],
      [{ principal: `${agent}\0` }, 'peer'],
      [{ principal: agent, certificate: 'c' }, 'metadata'],
    ] as const) {
      const handler = authorizationHandler(checksWith(services), {
        rules: { partialBodyBytes: null, certificateFrom },
        response: { helpUrl: null },
        refuse: () => Buffer.from('refused'),
      });
      const message = unreadableRequest({ source });
      const [bytes] = handler.answers([{ message, traceparent: null, deadlineMs: 1, signal: { aborted: false } }]);
      expect(readAsEnvoy((await bytes) ?? Buffer.alloc(0)).ok_response).toBeDefined();
    }
  });

  it('is denied, since it shows no call', async () => {
    const { services } = await observing({ agents: null });
    const handler = authorizationHandler(checksWith(services), {
      rules: { partialBodyBytes: null },
      response: { helpUrl: null },
      refuse: () => Buffer.from('refused'),
    });
    const messages = [
      Buffer.from([0xff]),
      Buffer.alloc(0),
      envoyCheckRequestType.serialize({ attributes: { source: { principal: agent } } }),
      unreadableRequest({ headers: Array.from({ length: 300 }, (_, n) => raw(`x-${n}`, 'a')) }),
    ];
    for (const message of messages) {
      const call = { message, traceparent: null, deadlineMs: 1, signal: { aborted: false } };
      const [bytes] = handler.answers([call]);
      expect(readAsEnvoy((await bytes) ?? Buffer.alloc(0)).ok_response).toBeUndefined();
      expect(handler.passing?.(call, 'full') ?? null).toBeNull();
    }
  });

  it('reads no refused check if nothing is observed', async () => {
    const set = await mustLoad(folderWith(POLICIES));
    expect(checksWith(servicesWith({ policies: () => set })).isObserving()).toBe(false);
    const { services } = await observing();
    expect(checksWith(services).isObserving()).toBe(true);
  });

  it('without an identity passes by its server alone, and is read to be learnt', async () => {
    const { services, records } = await observing({ agents: null });
    const body = Buffer.from(
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"a":1}}}',
    );
    const call = httpCall({ method: 'POST', host: 'old.acme.test', path: '/mcp', body });
    const [known, unknown] = await answersTo(services, [withoutToken(callOf(uses.list)), call], '');
    expect([known, unknown]).toMatchObject([
      { decision: { kind: 'allow', observed: { reason: 'identity.missing' } } },
      { decision: { kind: 'allow', observed: { reason: 'identity.missing' } } },
    ]);
    expect(records).toMatchObject([
      { action: 'payments.list' },
      { action: null, shape: { protocol: 'mcp', rpc: { tool: 'pay' }, members: { a: 'integer' } } },
    ]);
  });
});
