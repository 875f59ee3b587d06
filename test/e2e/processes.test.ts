import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { scratchFolder } from './domain.ts';
import { ran } from './process.ts';
import { NUMBERS, Processes } from './processes.ts';
import type { Decided } from './processes.ts';
import { SteadyCallers } from './steady-callers.ts';

const PATH = '/v1/payments/p-1';
const RELAYS = 'this process relays the records of the state file';

const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const allowsIn = (uses: readonly Decided[]): number => uses.filter(({ decision }) => decision === 'allow').length;

/** A DPoP proof issued now. */
const proofFor = (method: string, url: string, token?: string): Promise<string> =>
  new SignJWT({
    jti: randomUUID(),
    htm: method,
    htu: url,
    iat: Math.floor(Date.now() / 1000),
    ...(token === undefined ? {} : { ath: createHash('sha256').update(token).digest('base64url') }),
  })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: own.publicKey.export({ format: 'jwk' }) })
    .sign(own.privateKey);

describeWith(envoyPart(), 'two processes on one state file, behind one Envoy', (envoy) => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let processes: Processes;
  const taskIds: string[] = [];

  const declare: Processes['declare'] = async (n, wish) => {
    const declared = await processes.declare(n, wish);
    taskIds.push(declared.taskId);
    return declared;
  };
  /** Status and reason of concurrent calls. */
  const answers = (count: number, headers: Readonly<Record<string, string>>): Promise<readonly string[]> =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const call = { host: 'payments.acme.test', path: PATH, headers };
        const { status, body } = await processes.agent.call(processes.envoyPort, call);
        return status === 200 ? '200' : `${status} ${/"reason":"([\w.-]+)"/.exec(body)?.[1] ?? body}`;
      }),
    );
  /** The decisions of each process about a task. */
  const decided = (taskId: string): readonly (readonly Decided[])[] =>
    NUMBERS.map((n) => processes.decided(n).filter(({ task }) => task === taskId));
  /** How often each task was issued, by the ledgers of both processes. */
  const issued = async (): Promise<Readonly<Record<string, number>>> => {
    const records = (await Promise.all(NUMBERS.map((n) => processes.records(n, 'intent')))).flat();
    return Object.fromEntries(taskIds.map((id) => [id, records.filter(({ task }) => task === id).length]));
  };
  const calling = async <T>(token: string, meanwhile: (callers: SteadyCallers) => Promise<T>): Promise<T> => {
    const callers = new SteadyCallers(processes.envoyPort, [{ agent: processes.agent, token }]);
    try {
      await until(() => callers.calls.length > 20);
      return await meanwhile(callers);
    } finally {
      await callers.stop();
    }
  };

  beforeAll(async () => {
    scratch = await scratchFolder('remit-many-');
    processes = await Processes.start(envoy, scratch.folder);
    // The first process creates the keys.
    await processes.serve(1);
    await processes.serve(2);
    // Warms up the code: on a busy machine the first checks of a process can take longer than Envoy waits.
    const { token, taskId } = await declare(1);
    const each = () => decided(taskId).map((uses) => uses.length);
    await until(async () => (await answers(4, { authorization: `Bearer ${token}` })) && Math.min(...each()) > 20);
  });
  afterAll(async () => {
    await processes?.stop();
    await scratch?.remove();
  });

  it('share the calls, with tokens issued by either', async () => {
    for (const n of NUMBERS) {
      const { token, taskId } = await declare(n);
      expect(new Set(await answers(40, { authorization: `Bearer ${token}` }))).toEqual(new Set(['200']));
      await until(() => decided(taskId).flat().length === 40);
      for (const uses of decided(taskId)) expect(uses.length).toBeGreaterThan(5);
      // The timeline of either process has the uses of both.
      const kinds = async (kind: string) => (await processes.timeline(n, taskId)).filter((one) => one === kind).length;
      await until(async () => (await kinds('use')) === 40 && (await kinds('outcome')) === 40);
    }
  });

  it('each get the outcomes of the calls that they decided', async () => {
    for (const n of NUMBERS) {
      const outcomes = await processes.records(n, 'outcome');
      expect(outcomes.length).toBeGreaterThan(10);
      expect(outcomes.filter(({ known }) => known !== true)).toEqual([]);
    }
  });

  it('never exceed the budget of calls together', async () => {
    const { token, taskId } = await declare(1, { constraints: { max_calls: 25 } });
    const answered = await answers(80, { authorization: `Bearer ${token}` });
    expect(answered.filter((answer) => answer === '200')).toHaveLength(25);
    expect(new Set(answered)).toEqual(new Set(['200', '429 task.exhausted']));
    await until(() => decided(taskId).flat().length === 80);
    expect(allowsIn(decided(taskId).flat())).toBe(25);
    for (const uses of decided(taskId)) expect(allowsIn(uses)).toBeGreaterThan(0);
  });

  it('accept a DPoP proof once, whichever process gets it first', async () => {
    const { token, taskId } = await declare(2, {
      dpop: await proofFor('POST', 'https://issuer.acme.test/oauth/token'),
    });
    const dpop = await proofFor('GET', `https://payments.acme.test${PATH}`, token);
    const headers = { authorization: `DPoP ${token}`, dpop };
    expect(await answers(1, headers)).toEqual(['200']);
    expect(new Set(await answers(20, headers))).toEqual(new Set(['401 token.proof']));
    await until(() => decided(taskId).flat().length === 21);
    const refusals = decided(taskId).map((uses) => uses.filter(({ reason }) => reason === 'token.proof').length);
    expect(Math.min(...refusals)).toBeGreaterThan(0);
    expect(allowsIn(decided(taskId).flat())).toBe(1);
    const again = { ...headers, dpop: await proofFor('GET', `https://payments.acme.test${PATH}`, token) };
    const raced = await answers(20, again);
    expect(raced.filter((answer) => answer === '200')).toHaveLength(1);
  });

  it.each<[string, (taskId: string) => Promise<unknown>, string]>([
    ['by one process', (taskId) => processes.complete(1, taskId), 'task.completed'],
    ['by the other process', (taskId) => processes.complete(2, taskId), 'task.completed'],
    [
      'by a command beside them',
      (taskId) => ran(['task', 'end', taskId, '--cause', 'a test', '--config', processes.config]),
      'task.revoked',
    ],
  ])('enforce the end of a task %s for every call that starts after it', async (_by, end, reason) => {
    const { token, taskId } = await declare(1);
    const late = await calling(token, async (callers) => {
      await end(taskId);
      const endedMs = performance.now();
      const after = () => callers.calls.filter(({ startedMs }) => startedMs > endedMs);
      await until(() => after().length > 30);
      return after();
    });
    expect(new Set(late.map(({ answer }) => answer))).toEqual(new Set([`403 ${reason}`]));
    await until(() => decided(taskId).every((uses) => uses.some((use) => use.reason === reason)));
  });

  it('lose only calls in progress when one is killed, and no record: the other takes over the outbox', async () => {
    // The first one started relays the outbox.
    expect(processes.said(1)).toContain(RELAYS);
    const { token } = await declare(1);
    const calls = await calling(token, async (callers) => {
      // Records of issuance are on their way while it is killed.
      const issuing = Promise.all(Array.from({ length: 8 }, () => declare(2)));
      expect(await processes.end(1, 'SIGKILL')).toBe('SIGKILL');
      await issuing;
      const count = callers.calls.length;
      await until(() => callers.calls.length > count + 200);
      return callers.calls;
    });
    const lost = calls.filter(({ answer }) => answer !== '200');
    // Each caller has one call at a time, and one more may reach a socket that is just closing.
    expect(lost.length).toBeLessThanOrEqual(6);
    expect(lost.every(({ answer }) => answer.startsWith('503'))).toBe(true);
    await until(() => processes.said(2).includes(RELAYS));
    await until(() => processes.waiting() === 0);
    for (const count of Object.values(await issued())) expect(count).toBeGreaterThan(0);
  });

  it('lose nothing when one is stopped, and have each record once', async () => {
    await processes.serve(1);
    const before = taskIds.length;
    const { token } = await declare(1);
    const calls = await calling(token, async (callers) => {
      const issuing = Promise.all(Array.from({ length: 8 }, () => declare(1)));
      // It reports that it stops, and gets no more checks before it does.
      expect(await processes.end(2, 'SIGTERM')).toBe(0);
      await issuing;
      const count = callers.calls.length;
      await until(() => callers.calls.length > count + 100);
      return callers.calls;
    });
    // A busy machine may be late, which is still an answer.
    const unanswered = calls.filter(({ answer }) => answer !== '200' && answer !== '503 overloaded');
    expect(unanswered).toEqual([]);
    await until(() => processes.said(1).includes(RELAYS));
    await until(() => processes.waiting() === 0);
    const counts = await issued();
    expect(taskIds.slice(before).map((id) => counts[id])).toEqual(Array.from({ length: 9 }, () => 1));
  });

  it('leave no finding, and whole ledgers', async () => {
    for (const n of NUMBERS) {
      expect(processes.said(n)).not.toContain('finding ');
      const key = /verified with (\S+)/.exec(processes.said(n))?.[1] ?? '';
      const { code, out } = await ran([
        'ledger',
        'verify',
        '--key',
        key,
        '--ledger',
        join(scratch.folder, `ledger-${n}`),
      ]);
      expect([0, 2]).toContain(code);
      expect(out).toContain('records ');
      // Records of several processes are not written in the order in which they were made.
      expect(out).not.toContain('remark');
    }
  });

  it('refuse a process that does not share', async () => {
    const environment = { ...processes.environment(2), REMIT_STATE_ACCESS: 'exclusive' };
    const { code, err } = await ran(['serve', '--config', processes.config], environment);
    expect(code).toBe(2);
    expect(err).toContain('give each of them `stateAccess: shared`');
  });
});
