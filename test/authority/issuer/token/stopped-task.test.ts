import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { IssuedCertificate } from '../../../../src/dev/authority.ts';
import type { Question } from '../../../../src/core/policy/question.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';
import { type Answer, type Bench, details, issuerUrl, startBench, exampleGrant } from '../bench.ts';
import { setHeaders, setOf, signalServices } from '../signals/transmitter.ts';

const reporterId = 'spiffe://acme.test/ns/agents/sa/reporter';
const operatorId = 'spiffe://acme.test/ns/ops/sa/operator';

const folder = testFolders();
let bench: Bench;
let operator: IssuedCertificate;
let aheadMs = 0;
let asked: Question[] = [];

const start = async (stoppedTaskWaitSeconds: number | null = 300): Promise<Bench> => {
  const started = await startBench(folder(), {
    ports: { ...systemPorts, nowMs: () => Date.now() + aheadMs },
    signals: signalServices({}),
    settings: { stoppedTaskWaitSeconds, operators: new Set([mustSpiffeId(operatorId)]) },
  });
  operator = await started.authority.svid('/ns/ops/sa/operator');
  return started;
};

beforeEach(async () => {
  aheadMs = 0;
  asked = [];
  bench = await start();
});
afterEach(() => bench.close());

const idOf = (answer: Answer): string => String(answer.json['txn']);
const post = (id: string, what: string, as = operator): Promise<Answer> =>
  bench.ask(`/tasks/${id}/${what}`, { method: 'POST', as });
/** A task that an operator has ended so. */
const stopped = async (what: 'suspend' | 'cancel'): Promise<string> => {
  const id = idOf(await bench.token());
  expect((await post(id, what)).status).toBe(200);
  return id;
};
const refused = { status: 403, json: { error: 'access_denied', next: 'stop' } };

describe('a task that somebody else stopped', () => {
  it('is not declared again while it is suspended; the answer says so, and the refusal is recorded', async () => {
    await stopped('suspend');
    const answer = await bench.token();
    expect(answer).toMatchObject(refused);
    expect(answer.json).toEqual({
      error: 'access_denied',
      error_description:
        'an operator suspended a task of this client with an action of this intent: not before it is resumed',
      next: 'stop',
      decision: expect.any(String),
      trace: expect.any(String),
    });
    expect([answer.headers['retry-after'], answer.headers['www-authenticate']]).toEqual([undefined, undefined]);
    expect(bench.refusals.at(-1)).toMatchObject({
      kind: 'intent',
      decision: 'deny',
      decisionId: answer.json['decision'],
      error: 'access_denied',
      reason: 'task.stopped',
      details: [expect.objectContaining({ actions: ['payments.read'] })],
    });
    expect(bench.spans.at(-1)?.attributes).toMatchObject({ 'remit.reason': 'task.stopped' });
  });

  it('is declared again once an operator has resumed it', async () => {
    const id = await stopped('suspend');
    expect((await post(id, 'resume')).status).toBe(200);
    expect((await bench.token()).status).toBe(200);
  });

  it('is not declared again for the time that the operator set, after whatever end', async () => {
    const id = await stopped('suspend');
    aheadMs = 100_000;
    // Its own agent ends it, which clears nothing.
    expect((await post(id, 'cancel', bench.planner)).status).toBe(200);
    const until = /not before (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$/.exec(
      String((await bench.token()).json['error_description']),
    );
    const waitMs = Date.parse(until?.[1] ?? '') - (Date.now() + aheadMs);
    expect(waitMs > 200_000 && waitMs <= 301_000).toBe(true);
    aheadMs += waitMs - 20_000;
    expect(await bench.token()).toMatchObject(refused);
    aheadMs += 21_000;
    expect((await bench.token()).status).toBe(200);
  });

  it.each<[string, () => Promise<Answer>]>([
    ['with another purpose', () => bench.token({ authorization_details: details({ purpose: 'something else' }) })],
    [
      'with other constraints',
      () => bench.token({ authorization_details: details({ constraints: { max_calls: 1 } }) }),
    ],
    [
      'among other actions',
      () => bench.token({ authorization_details: details({ actions: ['payments.list', 'payments.read'] }) }),
    ],
    ['as a family', () => bench.token({ authorization_details: details({ actions: ['payments.*'] }) })],
    ['with a scope', () => bench.token({ scope: 'payments.read' })],
    ['with other claims', () => bench.token({ task_context: JSON.stringify({ model: 'another' }) })],
  ])('is not declared again %s', async (_how, declare) => {
    await stopped('cancel');
    expect(await declare()).toMatchObject(refused);
  });

  it('leaves other agents, other actions and live tasks alone', async () => {
    const live = await bench.token();
    await stopped('cancel');
    const answers = await Promise.all([
      bench.token({}, bench.reporter),
      bench.token({ authorization_details: details({ actions: ['payments.list'] }) }),
      bench.exchange(String(live.json['access_token'])),
      bench.ask(`/tasks/${idOf(live)}/token`, { method: 'POST' }),
    ]);
    expect(answers.map(({ status, json }) => [status, json['error']])).toEqual([
      [200, undefined],
      [200, undefined],
      [200, undefined],
      [200, undefined],
    ]);
  });

  it('is not declared again as a part of another task', async () => {
    const read = details({ actions: ['payments.list'] });
    const whole = String((await bench.token({ authorization_details: read })).json['access_token']);
    const forReporter = async (): Promise<Answer> => {
      const made = await bench.exchange(whole, { delegate: reporterId });
      return bench.exchange(String(made.json['access_token']), {}, bench.reporter);
    };
    const part = await forReporter();
    expect(part.status).toBe(200);
    expect((await post(idOf(part), 'cancel')).status).toBe(200);
    expect(await forReporter()).toMatchObject(refused);
    // The one that delegates was not stopped.
    expect((await bench.token({ authorization_details: read })).status).toBe(200);
  });

  it('is declared again after what its own agent did', async () => {
    for (const what of ['complete', 'cancel', 'suspend'] as const) {
      const id = idOf(await bench.token());
      expect((await post(id, what, bench.planner)).status).toBe(200);
      expect((await bench.token()).status).toBe(200);
    }
  });

  it('stops the agent for the user that a security event is about, and for all if it is about the agent', async () => {
    const { store } = bench;
    const { agent, subject } = { agent: 'spiffe://acme.test/ns/agents/sa/planner', subject: 'ann' };
    const stopOf = (of: string) => store.stopOf({ issuer: issuerUrl, agent, subject: of, actions: ['payments.read'] });
    const send = async (sub_id: object): Promise<number> =>
      (
        await bench.ask('/signals', {
          method: 'POST',
          headers: setHeaders,
          body: setOf({ sub_id, iat: Math.floor((Date.now() + aheadMs) / 1_000) }),
        })
      ).status;
    const id = idOf(await bench.token());
    expect(await send({ format: 'opaque', id })).toBe(202);
    expect([stopOf(agent), stopOf(subject)]).toMatchObject([{ cause: 'signal.session-revoked' }, null]);
    bench.store.applyTaskEvent({ issuer: issuerUrl, id }, { kind: 'revoke', cause: causeOf('agent.revoked') }, agent);
    aheadMs = 301_000;
    expect((await bench.token()).status).toBe(200);
    expect(await send({ format: 'uri', uri: agent })).toBe(202);
    expect(stopOf(subject)).toMatchObject({ cause: 'signal.session-revoked' });
  });

  it('is declared at once with `off`', async () => {
    await bench.close();
    bench = await start(null);
    await stopped('suspend');
    await stopped('cancel');
    expect((await bench.token()).status).toBe(200);
  });

  it('is shown to the policies for a day, with the time since and the kind of cause', async () => {
    await bench.close();
    const grant = await exampleGrant();
    bench = await startBench(folder(), {
      ports: { ...systemPorts, nowMs: () => Date.now() + aheadMs },
      grant: (question) => {
        asked.push(question);
        return grant(question);
      },
      settings: { stoppedTaskWaitSeconds: 300, operators: new Set([mustSpiffeId(operatorId)]) },
    });
    operator = await bench.authority.svid('/ns/ops/sa/operator');
    await stopped('cancel');
    expect(asked.at(-1)?.context['stopped']).toBeUndefined();
    aheadMs = 1_000_000;
    expect((await bench.token()).status).toBe(200);
    const seen = asked.at(-1)?.context['stopped'] as { readonly secondsSince: number };
    expect(seen).toEqual({ cause: 'operator', suspended: false, secondsSince: expect.any(Number) });
    expect(seen.secondsSince >= 300 && seen.secondsSince <= 1_060).toBe(true);
  });

  it('is not declared while the operator stops it: whichever commits second is decided anew', async () => {
    const id = idOf(await bench.token());
    const { authority } = bench.services;
    const insert = authority.insertTask.bind(authority);
    let stops = 0;
    Object.assign(authority, {
      insertTask: async (...input: Parameters<typeof insert>) => {
        stops += 1;
        // After the policies have granted the intent, and before it is written.
        await authority.applyTaskEvent(
          { issuer: issuerUrl, id },
          { kind: 'suspend', cause: causeOf('operator.suspended') },
          operatorId,
        );
        return insert(...input);
      },
    });
    expect(await bench.token()).toMatchObject(refused);
    expect(stops).toBe(1);
  });
});
