import { beforeAll, describe, expect, it } from '@jest/globals';
import { assert, asyncProperty, scheduler as schedulers } from 'fast-check';
import type { Scheduler } from 'fast-check';
import { deny } from '../../../src/core/decision/decision.ts';
import { leafFromPem } from '../../../src/core/identity/leaf-certificate.ts';
import { noCertificate } from '../../../src/authority/issuer/bounds/connections.ts';
import type { IssuedCertificate } from '../../../src/dev/authority.ts';
import { answerContext } from '../../../src/authority/issuer/tasks/context.ts';
import { answerTokenRequest } from '../../../src/authority/issuer/token/issue.ts';
import type { Reply } from '../../../src/authority/issuer/reply.ts';
import { answerRevocation } from '../../../src/authority/issuer/revoke/revoke.ts';
import type { IssuerRoute } from '../../../src/authority/issuer/routes.ts';
import type { IssuerRequest, IssuerServices } from '../../../src/authority/issuer/services.ts';
import { answerSignal } from '../../../src/authority/issuer/signals/receiver.ts';
import { answerEvent, answerFurtherToken, answerResume } from '../../../src/authority/issuer/tasks/task-api.ts';
import type { Authority } from '../../../src/core/state/authority.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import type { Task } from '../../../src/core/task/task.ts';
import { ProofMemory } from '../../../src/core/token/proof/proof-memory.ts';
import { dpopProof, newKey } from '../../e2e/dpop-proof.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator } from '../../builders/task.ts';
import { type Bench, audience, details, formHeaders, issuerUrl, startBench, exampleGrant } from './bench.ts';
import { eventUri, recordsOf, setHeaders, setOf, signalServices, taskNow } from './signals/transmitter.ts';
import { must } from '../../builders/must.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const folder = testFolders(() => bench.close());
let bench: Bench;
const plannerId = 'spiffe://acme.test/ns/agents/sa/planner';
const writerId = 'spiffe://acme.test/ns/ops/sa/writer';
const otherId = 'spiffe://acme.test/ns/ops/sa/other';
let writer: IssuedCertificate;
let other: IssuedCertificate;

beforeAll(async () => {
  const grant = await exampleGrant();
  bench = await startBench(folder(), {
    // Each of the two alone is permitted, but not both.
    grant: (question) => {
      const text = JSON.stringify(question);
      return text.includes('first-on') && text.includes('second-on')
        ? deny('policy.forbidden', 'not both')
        : grant(question);
    },
    signals: signalServices({ 'risk-level-change': 'risk' }),
    settings: {
      contextWriters: new Set([mustSpiffeId(writerId), mustSpiffeId(otherId)]),
      contextRules: { first: 'ask', second: 'ask' },
    },
  });
  [writer, other] = await Promise.all([
    bench.authority.svid('/ns/ops/sa/writer'),
    bench.authority.svid('/ns/ops/sa/other'),
  ]);
});

/** An authority whose calls start and complete in random order. */
function reordered(authority: Authority, scheduler: Scheduler): Authority {
  const calls = Object.entries(authority).map(([name, call]): readonly [string, unknown] => {
    if (['clocks', 'nowMs', 'floorMs'].includes(name)) return [name, call];
    return [
      name,
      async (...input: readonly unknown[]): Promise<unknown> => {
        await scheduler.schedule(Promise.resolve(), `${name} arrives`);
        // It is one of the calls of an authority, with the input of that call.
        const answer: unknown = await Reflect.apply(call as (...input: readonly unknown[]) => unknown, null, input);
        await scheduler.schedule(Promise.resolve(), `${name} is answered`);
        return answer;
      },
    ];
  });
  return { ...authority, ...Object.fromEntries(calls) };
}

/** Calls the endpoints of one issuer whose asynchronous work is interleaved at random. */
function asking(scheduler: Scheduler) {
  const { authority } = directAuthority(bench.store);
  const services: IssuerServices = {
    ...bench.services,
    authority: reordered(authority, scheduler),
    policies: bench.services.policies(),
    nextTurn: () => scheduler.schedule(Promise.resolve(), 'a turn').then(() => undefined),
  };
  const ask = async (endpoint: IssuerRoute, change: Partial<IssuerRequest>, as = bench.planner): Promise<Reply> =>
    endpoint({ ...empty, certificate: leafFromPem(as.certPem), ...change }, services);
  const form = (
    endpoint: IssuerRoute,
    fields: Readonly<Record<string, string>>,
    as = bench.planner,
    dpop: string[] = [],
  ) =>
    ask(
      endpoint,
      {
        path: '/oauth/token',
        body: Buffer.from(new URLSearchParams(fields).toString()),
        contentType: formHeaders['content-type'],
        dpop,
      },
      as,
    );
  const exchange = (token: string, fields: Readonly<Record<string, string>> = {}, as = bench.planner) =>
    form(answerTokenRequest, { ...exchanging, subject_token: token, ...fields }, as);
  const context = (task: string, values: Readonly<Record<string, string>>, as: IssuedCertificate) =>
    ask(
      answerContext,
      {
        taskId: task,
        body: Buffer.from(JSON.stringify({ context: values })),
        contentType: 'application/json',
      },
      as,
    );
  return { ask, form, exchange, context };
}

const empty: IssuerRequest = {
  path: '/',
  body: new Uint8Array(),
  contentType: undefined,
  authorization: [],
  traceparent: null,
  certificate: noCertificate,
  dpop: [],
  taskId: '',
  orderId: '',
  serverId: '',
};

const exchanging = {
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
};

/** A new task of the planner with its token, and a token that the reporter can exchange for a sub-task. */
async function accepted(constraints: Readonly<Record<string, unknown>> = {}) {
  const issued = await bench.token({ authorization_details: details({ constraints }) });
  const token = String(issued.json['access_token']);
  const made = await bench.exchange(token, { delegate: 'spiffe://acme.test/ns/agents/sa/reporter' });
  return { id: String(issued.json['txn']), token, forDelegate: String(made.json['access_token']) };
}

const bodyOf = (reply: Reply): Readonly<Record<string, unknown>> => JSON.parse(reply.body);

/** All records of tasks, in commit order. */
function recordedOf(tasks: readonly string[]): readonly Readonly<Record<string, unknown>>[] {
  const waiting = must(bench.store.outbox(0, 1_000_000));
  return waiting
    .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as Readonly<Record<string, unknown>>)
    .filter(({ task }) => tasks.includes(String(task)));
}

const partsOf = (id: string): readonly Task[] => {
  const tasks = must(bench.store.tasks({}));
  return tasks.filter(({ parentId }) => parentId === id).map((task) => taskNow(bench.store, task));
};

/** Ends all tasks, so that a signal about an agent is about tasks of one run only. */
function endAll(): void {
  const open = must(bench.store.openTasks({}, 1_000));
  for (const task of open) bench.store.applyTaskEvent(task, byOperator('cancel'), 'operator');
}

/** Runs a property over random interleavings; each run has its own task. */
const everyOrder = (run: (scheduler: Scheduler) => Promise<void>, numRuns = 40): Promise<void> =>
  Promise.resolve(assert(asyncProperty(schedulers(), run), { numRuns }));

describe('an end while tokens of the task are being issued', () => {
  it.each<
    [string, (at: ReturnType<typeof asking>, task: Awaited<ReturnType<typeof accepted>>) => Promise<Reply>, string[]]
  >([
    ['the end of the task', ({ ask }, { id }) => ask(answerEvent('complete'), { taskId: id }), ['end']],
    ['its suspension', ({ ask }, { id }) => ask(answerEvent('suspend'), { taskId: id }), ['suspended']],
    ['the end of the token', ({ form }, { token }) => form(answerRevocation, { token }), ['token-revoked']],
  ])('issues nothing after %s', async (_name, end, ends) => {
    await everyOrder(async (scheduler) => {
      const task = await accepted();
      const at = asking(scheduler);
      const issuing = [
        at.exchange(task.token),
        ...(ends[0] === 'token-revoked' ? [] : [at.ask(answerFurtherToken, { taskId: task.id })]),
        at.exchange(task.forDelegate, {}, bench.reporter),
      ];
      const all = Promise.all([end(at, task), ...issuing]);
      const [ended, ...replies] = await scheduler.waitFor(all);
      expect(ended?.status).toBe(200);
      const parts = partsOf(task.id);
      const records = recordedOf([task.id]);
      const endedAt = records.findIndex(({ kind, event }) => ends.includes(String(kind === 'event' ? event : kind)));
      expect(endedAt).toBeGreaterThan(-1);
      expect(records.slice(endedAt).filter(({ kind }) => kind === 'token')).toEqual([]);
      const state = taskNow(bench.store, task).state;
      expect(parts.filter((part) => ends[0] !== 'token-revoked' && part.state === 'active')).toEqual([]);
      expect(state).toBe({ end: 'completed', suspended: 'suspended', 'token-revoked': 'active' }[String(ends[0])]);
      // Refusals have a reason, and none is a server error.
      for (const reply of replies) expect([200, 400, 409]).toContain(reply.status);
    });
  });

  it('keeps a task suspended that an operator suspends while its agent resumes it', async () => {
    await everyOrder(async (scheduler) => {
      const task = await accepted();
      const key = { issuer: issuerUrl, id: task.id };
      bench.store.applyTaskEvent(key, { kind: 'suspend', cause: causeOf('agent.suspended') }, 'agent');
      const { ask } = asking(scheduler);
      const { authority } = directAuthority(bench.store);
      const suspending = reordered(authority, scheduler).applyTaskEvent(key, byOperator('suspend'), 'operator');
      const [resumed] = await scheduler.waitFor(
        Promise.all([ask(answerResume, { taskId: task.id }), suspending] as const),
      );
      const now = taskNow(bench.store, task);
      expect([now.state, now.cause?.code]).toEqual(['suspended', 'operator.suspended']);
      expect([200, 403, 409]).toContain(resumed.status);
    });
  });
});

describe('facts that change while they are judged', () => {
  it('never accepts two concurrent context changes that the policies permit only separately', async () => {
    await everyOrder(async (scheduler) => {
      const { id } = await accepted();
      const { context } = asking(scheduler);
      const replies = await scheduler.waitFor(
        Promise.all([context(id, { first: 'first-on' }, writer), context(id, { second: 'second-on' }, other)]),
      );
      const now = taskNow(bench.store, { id });
      expect([now.attested.length, now.state]).toEqual([2, 'revoked']);
      expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    });
  });

  it('gives every sub-task at least the risk of its task at acceptance', async () => {
    await everyOrder(async (scheduler) => {
      endAll();
      const task = await accepted();
      const { ask, exchange } = asking(scheduler);
      const events = { [eventUri('risk-level-change')]: { principal: 'USER', current_level: 'HIGH' } };
      const body = Buffer.from(setOf({ sub_id: { format: 'opaque', id: plannerId }, events }));
      const [signal] = await scheduler.waitFor(
        Promise.all([
          ask(answerSignal, { body, contentType: setHeaders['content-type'] }),
          exchange(task.forDelegate, {}, bench.reporter),
        ]),
      );
      expect(signal.status).toBe(202);
      expect(taskNow(bench.store, task).risk).toBe('high');
      for (const part of partsOf(task.id)) expect(part.risk).toBe('high');
    }, 25);
  });
});

describe('budgets that are delegated concurrently', () => {
  it('delegates at most the budget of the task, and all of it to enough requests', async () => {
    await everyOrder(async (scheduler) => {
      const task = await accepted({ max_calls: 5 });
      const { exchange } = asking(scheduler);
      const asked = [2, 2, 2, 1].map((max_calls) =>
        exchange(task.forDelegate, { authorization_details: details({ constraints: { max_calls } }) }, bench.reporter),
      );
      const replies = await scheduler.waitFor(Promise.all(asked));
      const given = replies.map(({ status }, at) => (status === 200 ? [2, 2, 2, 1][at] : 0) ?? 0);
      const sum = given.reduce((all, one) => all + one, 0);
      expect(sum).toBeLessThanOrEqual(5);
      expect(sum).toBeGreaterThanOrEqual(4);
      expect(partsOf(task.id)).toHaveLength(given.filter((one) => one > 0).length);
    });
  });
});

describe('what counts once', () => {
  it('applies a signal once that is sent three times concurrently', async () => {
    await everyOrder(async (scheduler) => {
      const { id } = await accepted();
      const { ask } = asking(scheduler);
      const body = Buffer.from(
        setOf({ sub_id: { format: 'opaque', id }, events: { [eventUri('session-revoked')]: {} } }),
      );
      const before = bench.spans.length;
      const replies = await scheduler.waitFor(
        Promise.all(
          Array.from({ length: 3 }, () => ask(answerSignal, { body, contentType: setHeaders['content-type'] })),
        ),
      );
      expect(replies.map(({ status }) => status)).toEqual([202, 202, 202]);
      expect(recordsOf(bench.store, id).filter(({ event }) => event === 'signal')).toHaveLength(1);
      const replays = bench.spans.slice(before).map(({ attributes }) => attributes['remit.signal.replay']);
      expect(replays.filter((isReplay) => isReplay === true)).toHaveLength(2);
      expect(taskNow(bench.store, { id }).state).toBe('revoked');
    });
  });

  it('accepts a proof for one of two concurrent requests', async () => {
    const proven = await startBench(folder(), {
      proofs: new ProofMemory({ pastSeconds: 60, startedAtMs: Date.now() - 60_000 }),
    });
    await everyOrder(async (scheduler) => {
      const proof = await dpopProof({ key: newKey(), method: 'POST', url: `${issuerUrl}/oauth/token` });
      const { authority } = directAuthority(proven.store);
      const services = {
        ...proven.services,
        authority: reordered(authority, scheduler),
        policies: proven.services.policies(),
        nextTurn: () => scheduler.schedule(Promise.resolve()).then(() => undefined),
      };
      const fields = { grant_type: 'client_credentials', resource: audience, authorization_details: details() };
      const request = {
        ...empty,
        path: '/oauth/token',
        certificate: leafFromPem(proven.planner.certPem),
        body: Buffer.from(new URLSearchParams(fields).toString()),
        contentType: formHeaders['content-type'],
        dpop: [proof],
      };
      const replies = await scheduler.waitFor(
        Promise.all([answerTokenRequest(request, services), answerTokenRequest(request, services)]),
      );
      expect(replies.map(({ status }) => status).toSorted((one, two) => one - two)).toEqual([200, 400]);
      expect(replies.filter((reply) => bodyOf(reply)['error'] === 'invalid_dpop_proof')).toHaveLength(1);
    }, 20);
    await proven.close();
  });
});
