import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { IssuerClient } from '../../../src/agent/task/issuer-client.ts';
import type { TaskCredential } from '../../../src/agent/task/issuer-client.ts';
import {
  isIssuerProblem,
  type IssuerProblem,
  issuerProblem,
  problemLines,
} from '../../../src/agent/task/issuer-problem.ts';
import { OwnSvid } from '../../../src/agent/run/own-svid.ts';
import { type KeptState, TokenKeeper } from '../../../src/agent/task/token-keeper.ts';
import type { TaskEvent } from '../../../src/core/task/task.ts';
import { withoutToken } from '../../../src/agent/forward/local/local-answer.ts';
import { must, mustFind } from '../../builders/must.ts';
import { stopOrder } from '../../builders/order.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { byOperator } from '../../builders/task.ts';
import { audience, issuerUrl } from '../../authority/issuer/bench.ts';
import { type RunDomain, startRunDomain } from '../run/domain.ts';

const folder = testFolders(async () => {
  svid.close();
  await domain.close();
});
let domain: RunDomain;
let svid: OwnSvid;
beforeAll(async () => {
  domain = await startRunDomain(folder());
  svid = await OwnSvid.open(domain.place.svid, systemPorts);
});

/** The keeper's timer: the pending function, and how often a timer was set or cancelled. */
const timer = { run: (): void => undefined, moves: 0 };
let aheadMs = 0;
let isDown = false;
let capMs = Infinity;
const told: string[] = [];
const tokens: TaskCredential[] = [];
beforeEach(() => {
  aheadMs = 0;
  isDown = false;
  capMs = Infinity;
  told.length = 0;
  tokens.length = 0;
});

const nowMs = (): number => systemPorts.nowMs() + aheadMs;

/** A keeper with the real issuer. Its clock can run ahead of the issuer's, and its connection can be cut. */
async function keeping(
  heartbeatMs = 10_000,
): Promise<{ readonly keeper: TokenKeeper; readonly id: string; readonly states: readonly KeptState[] }> {
  const states: KeptState[] = [];
  const client = new IssuerClient(domain.place, { svid, nowMs });
  const details = [{ type: 'urn:remit:task', locations: [audience], actions: ['payments.read'] }];
  const credential = mustBe(await client.declare({ resource: audience, details }, null));
  const keeper = new TokenKeeper(
    { credential, generation: 1 },
    {
      client: {
        further: async (id) => {
          if (isDown) return issuerProblem('unreachable', 'the line is cut');
          const given = await client.further(id);
          return isIssuerProblem(given) ? given : { ...given, expiresAtMs: Math.min(given.expiresAtMs, capMs) };
        },
        task: (id) => client.task(id),
      },
      svid,
      nowMs,
      after: (_delayMs, run) => {
        timer.run = run;
        timer.moves += 1;
        return () => void (timer.moves += 1);
      },
      onToken: async (token) => void tokens.push(token),
      tell: (line) => void told.push(line),
      heartbeatMs: () => heartbeatMs,
      onState: (_taskId, state) => void states.push(state),
    },
  );
  return { keeper, id: credential.taskId, states };
}

function mustBe<T>(value: T | IssuerProblem): T {
  if (isIssuerProblem(value)) throw new Error(`${value.error}: ${value.description}`);
  return value;
}

/** Lets time pass for the keeper, and waits for everything that follows. */
async function pass(seconds: number): Promise<void> {
  aheadMs += seconds * 1_000;
  const { moves } = timer;
  timer.run();
  // After each look the keeper sets its timer, or cancels it for good.
  while (timer.moves === moves) await new Promise((resolve) => setTimeout(resolve, 5));
}

const event = (id: string, kind: TaskEvent['kind']): void =>
  void domain.store.applyTaskEvent({ issuer: issuerUrl, id }, byOperator(kind, 'by the test'), 'operator');

describe('TokenKeeper', () => {
  it('serves the first token for two thirds of its lifetime, then another token of the same task', async () => {
    const { keeper, id } = await keeping();
    const first = mustBe(await keeper.current());
    await pass(190);
    expect(mustBe(await keeper.current())).toBe(first);
    await pass(20);
    const second = mustBe(await keeper.current());
    expect([second.taskId, second.token === first.token, tokens]).toEqual([id, false, [second]]);
    keeper.close();
  });

  it('requests no further token if the deadline of the task allows none', async () => {
    const { keeper } = await keeping();
    // As with an issuer whose clock agrees: both tokens end at the deadline.
    capMs = mustBe(await keeper.current()).expiresAtMs;
    await pass(210);
    await pass(30);
    await pass(30);
    expect(tokens.map(({ expiresAtMs }) => expiresAtMs)).toEqual([capMs]);
    keeper.close();
  });

  it('learns at the end of its last token that the task has ended, also without a heartbeat', async () => {
    const { keeper, id, states } = await keeping(Infinity);
    capMs = mustBe(await keeper.current()).expiresAtMs;
    await pass(210);
    event(id, 'cancel');
    await pass(60);
    expect([tokens.length, states]).toEqual([1, []]);
    await pass(30);
    expect(states).toEqual(['ended']);
    expect(await keeper.current()).toMatchObject({ error: 'task_ended', taskState: 'cancelled' });
  });

  it('keeps the old token while the issuer is unreachable, reports that once, and reports when it is back', async () => {
    const { keeper } = await keeping();
    const first = mustBe(await keeper.current());
    isDown = true;
    await pass(210);
    await pass(30);
    expect(mustBe(await keeper.current())).toBe(first);
    await pass(60);
    expect(await keeper.current()).toMatchObject({ error: 'unreachable', isTransient: true });
    isDown = false;
    await pass(20);
    expect(mustBe(await keeper.current()).token).not.toBe(first.token);
    expect(told).toEqual([
      'the token could not be renewed: unreachable: the line is cut',
      expect.stringContaining('the token could not be renewed: to do: is `remit serve` running there'),
      'the token is renewed again',
    ]);
    keeper.close();
  });

  // Issue 42, point 2.
  it('asks for nothing more once the agent is stopped, says so, and gives calls that reason', async () => {
    const { keeper } = await keeping();
    const agent = String(must(domain.store.tasks({ limit: 1 }))[0]?.agent);
    must(domain.store.putOrder(stopOrder({ kind: 'agent', what: agent }), []));
    await pass(210);
    expect(told).toEqual([
      'the command gets no further token: access_denied: an operator stopped the agent, or an agent that it works for',
    ]);
    const problem = await keeper.current();
    expect(problem).toMatchObject({ error: 'access_denied', isTransient: false, reason: 'stopped.agent' });
    if (!isIssuerProblem(problem)) throw new Error('there is a token');
    expect(problemLines(problem)[1]).toMatch(/an operator must lift it/);
    expect(withoutToken(problem)).toMatchObject({ status: 403, reason: 'stopped.agent', next: 'stop' });
    mustFind(domain.store.liftOrder(stopOrder().id, []));
    keeper.close();
  });

  it.each([
    ['revoke', 'revoked'],
    ['cancel', 'cancelled'],
  ] as const)('hands out nothing once it has learned of a %s, and says why', async (kind, state) => {
    const { keeper, id } = await keeping();
    event(id, kind);
    await pass(11);
    expect(await keeper.current()).toMatchObject({ error: 'task_ended', description: `the task is already ${state}` });
    expect(told).toEqual([`the task is ${state}: by the test`]);
  });

  it('serves nothing while the task is suspended, and a token of the new generation after a resume', async () => {
    const { keeper, id } = await keeping();
    const first = mustBe(await keeper.current());
    event(id, 'suspend');
    await pass(11);
    expect(await keeper.current()).toMatchObject({ error: 'task_suspended', isTransient: true });
    event(id, 'resume');
    await pass(11);
    expect(mustBe(await keeper.current()).token).not.toBe(first.token);
    expect(told).toEqual(['the task is suspended; the command is refused until it is resumed']);
    keeper.close();
  });

  it('replaces a token that a server refuses, once in 5 s, unless it was replaced meanwhile', async () => {
    const { keeper } = await keeping();
    const first = mustBe(await keeper.current());
    const second = mustBe(await keeper.another(first));
    expect([second.taskId, second.token === first.token]).toEqual([first.taskId, false]);
    expect(mustBe(await keeper.another(second))).toBe(second);
    aheadMs += 6_000;
    expect(mustBe(await keeper.another(first))).toBe(second);
    expect(mustBe(await keeper.another(second)).token).not.toBe(second.token);
    keeper.close();
  });

  it('notices a suspension and resume between two looks', async () => {
    const { keeper, id } = await keeping();
    const first = mustBe(await keeper.current());
    event(id, 'suspend');
    event(id, 'resume');
    await pass(11);
    expect(mustBe(await keeper.current()).token).not.toBe(first.token);
    keeper.close();
  });

  it('asks again after a resume for the token that it did not get', async () => {
    const { keeper, id, states } = await keeping();
    const first = mustBe(await keeper.current());
    event(id, 'suspend');
    await pass(11);
    event(id, 'resume');
    isDown = true;
    await pass(11);
    expect(mustBe(await keeper.current()).token).toBe(first.token);
    isDown = false;
    await pass(11);
    expect(mustBe(await keeper.current()).token).not.toBe(first.token);
    expect(states).toEqual(['suspended', 'active']);
    keeper.close();
  });

  it('replaces the token once if the certificate on disk has changed, for all concurrent callers', async () => {
    const { keeper } = await keeping();
    const first = mustBe(await keeper.current());
    await domain.rotate();
    while (svid.thumbprint() === first.boundTo) await new Promise((resolve) => setTimeout(resolve, 20));
    const both = await Promise.all([keeper.current(), keeper.current()]);
    expect(mustBe(both[0])).toBe(both[1]);
    expect(mustBe(both[0]).boundTo).not.toBe(first.boundTo);
    expect(tokens).toHaveLength(1);
    keeper.close();
  });
});
