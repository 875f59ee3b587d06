import { join } from 'node:path';
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { diagnosed } from '../tools/doctor/diagnosed.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ran } from './process.ts';
import { LEASE_SECONDS, NUMBERS, Processes } from './processes.ts';
import type { Decided } from './processes.ts';
import { SteadyCallers } from './steady-callers.ts';

// Processes start here, which is slow on a loaded machine.

const PATH = '/v1/payments/p-1';
const UNAVAILABLE = '503 task.state-unavailable';

const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
type Declared = Awaited<ReturnType<Processes['declare']>>;

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

const allowsIn = (uses: readonly Decided[]): number => uses.filter(({ decision }) => decision === 'allow').length;

const moreCalls = (callers: SteadyCallers, count: number): Promise<unknown> => {
  const sofar = callers.calls.length;
  return until(() => callers.calls.length > sofar + count);
};

describeWith(envoyPart(), 'two sidecars of one authority on a Unix socket, behind one Envoy', (envoy) => {
  const scratch = testFolder(() => processes?.stop());
  let processes: Processes;

  /** Status and reason of concurrent calls. */
  const answers = (count: number, headers: Readonly<Record<string, string>>): Promise<readonly string[]> =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const call = { host: 'payments.acme.test', path: PATH, headers };
        const { status, body } = await processes.agent.call(processes.envoyPort, call);
        return status === 200 ? '200' : `${status} ${/"reason":"([\w.-]+)"/.exec(body)?.[1] ?? body}`;
      }),
    );
  /** The decisions of each sidecar about a task. */
  const decided = (taskId: string): readonly (readonly Decided[])[] =>
    NUMBERS.map((n) => processes.decided(n).filter(({ task }) => task === taskId));
  /** Uses both sidecars until each has allowed some, so that each has the task and its code is warm. */
  const warm = async ({ token, taskId }: Declared): Promise<void> => {
    const each = () => decided(taskId).map((uses) => allowsIn(uses));
    await until(async () => (await answers(4, { authorization: `Bearer ${token}` })) && Math.min(...each()) > 20);
  };
  const calling = async <T>(token: string, meanwhile: (callers: SteadyCallers) => Promise<T>): Promise<T> => {
    const callers = new SteadyCallers(processes.envoyPort, [{ agent: processes.agent, token }]);
    const last = () => callers.calls.slice(-60);
    try {
      // Each action is in the history of the task by then, so that nothing of them is settled.
      await until(() => last().length === 60 && last().every(({ answer }) => answer === '200'), {
        what: 'steady calls',
      });
      begun = callers.calls.length;
      return await meanwhile(callers);
    } finally {
      await callers.stop();
    }
  };
  let begun = 0;
  /** How often calls were not allowed, by their answer. A busy machine may be late, which is still an answer. */
  const lostOf = ({ calls }: SteadyCallers): Readonly<Record<string, number>> => {
    const lost: Record<string, number> = {};
    for (const { answer } of calls.slice(begun)) {
      if (answer !== '200' && answer !== '503 overloaded') lost[answer] = (lost[answer] ?? 0) + 1;
    }
    return lost;
  };
  /** The uses of a task in all logs, by the command on the page. */
  const recorded = async (taskId: string): Promise<readonly { readonly log?: string; readonly decision: string }[]> => {
    const words = ['ledger', 'query', '--config', processes.config, '--task', taskId, '--kind', 'use', '--json'];
    const { out } = await ran([...words, '--limit', '100000'], processes.environment('authority'));
    return out.split('\n').flatMap((line) => (line.startsWith('{') ? JSON.parse(line) : []));
  };

  /**
   * Waits until the newest outcomes of a sidecar are of calls that it decided. Before, Envoy may have begun its log at the other one, while it
   * took this one for unhealthy.
   */
  const outcomesOf = async (n: (typeof NUMBERS)[number]): Promise<void> => {
    const { token } = await processes.declare();
    let sofar = (await processes.records(n, 'outcome')).length;
    await until(
      async () => {
        await answers(8, { authorization: `Bearer ${token}` });
        // The newest come first.
        const all = await processes.records(n, 'outcome');
        const found = all.slice(0, all.length - sofar);
        if (found.length < 10) return false;
        sofar += found.length;
        return found.every(({ known }) => known === true);
      },
      { what: `the outcomes of ${n}` },
    ).catch(async (error: unknown) => {
      const counts = await Promise.all(NUMBERS.map(async (each) => (await processes.records(each, 'outcome')).length));
      throw new Error(`outcomes of each: ${counts.join(', ')}; ${processes.said(n)}`, { cause: error });
    });
  };

  beforeAll(async () => {
    processes = await Processes.start(envoy, scratch.folder);
    await processes.serve('authority');
    await Promise.all(NUMBERS.map((n) => processes.serve(n)));
    await warm(await processes.declare());
    // Until then ends wait for leases from before the start of the authority.
    await delay(LEASE_SECONDS * 1_000);
  });

  it('share the calls, and all uses are read at the authority', async () => {
    const declared = await processes.declare();
    await warm(declared);
    for (const uses of decided(declared.taskId)) expect(uses.length).toBeGreaterThan(5);
    const decidedUses = () => decided(declared.taskId).flat().length;
    let uses = decidedUses();
    // The line of a decision may reach this process after its answer; none has come for a second by then.
    await until(async () => {
      const before = uses;
      await delay(1_000);
      uses = decidedUses();
      return uses === before;
    });
    const count = async () => (await recorded(declared.taskId)).length;
    await until(async () => (await count()) === uses, { what: 'the records of both' }).catch(async (error: unknown) => {
      throw new Error(`${uses} uses, ${await count()} records`, { cause: error });
    });
    const logs = new Set((await recorded(declared.taskId)).map(({ log }) => log?.split('/')[1]));
    expect(logs).toEqual(new Set(NUMBERS.map((n) => `remit-${n}`)));
  });

  it('leave the doctor nothing to find', async () => {
    const args = [
      '--only',
      'envoy',
      '--envoy',
      `unix:${processes.envoyAdmin}`,
      '--suppress',
      'envoy.long-timeout=*',
      '--json',
    ];
    const { exit, findings } = await diagnosed(args);
    expect(findings.filter(({ level }) => level !== 'info')).toEqual([]);
    expect(exit).toBe(0);
  });

  it('each get the outcomes of the calls that they decided', async () => {
    for (const n of NUMBERS) await outcomesOf(n);
  });

  it.each<[string, Readonly<Record<string, unknown>>, number, string]>([
    ['the budget of calls', { max_calls: 25 }, 25, '403 task.exhausted'],
    ['the single use of a token', { single_use: true }, 1, '403 task.replayed'],
  ])('never exceed %s together', async (_what, constraints, most, refusal) => {
    const { token, taskId } = await processes.declare({ constraints });
    const answered = await answers(80, { authorization: `Bearer ${token}` });
    const count = (wanted: string): number => answered.filter((answer) => answer === wanted).length;
    expect(count('200')).toBeLessThanOrEqual(most);
    // On a loaded machine an answer may be late: then the use is denied, although it counts.
    const late = answered.filter((answer) => answer.startsWith('503')).length;
    expect(count('200') + late).toBeGreaterThanOrEqual(most);
    expect(count('200') + late + count(refusal)).toBe(80);
    await until(() => decided(taskId).flat().length === 80);
    expect(allowsIn(decided(taskId).flat())).toBeLessThanOrEqual(most);
    for (const uses of decided(taskId)) expect(uses.length).toBeGreaterThan(0);
    await until(async () => (await answers(1, { authorization: `Bearer ${token}` }))[0] === refusal);
  });

  it('accept a DPoP proof once, whichever sidecar gets it first', async () => {
    const { token, taskId } = await processes.declare({
      dpop: await proofFor('POST', 'https://issuer.acme.test/oauth/token'),
    });
    const fresh = async () => ({
      authorization: `DPoP ${token}`,
      dpop: await proofFor('GET', `https://payments.acme.test${PATH}`, token),
    });
    // On a loaded machine an answer of the authority may be late: then the call is denied, and another proof is needed.
    const headers = await until(async () => {
      const tried = await fresh();
      return (await answers(1, tried))[0] === '200' ? tried : undefined;
    });
    const again = await answers(20, headers);
    expect(new Set(again.filter((answer) => !answer.startsWith('503')))).toEqual(new Set(['401 token.proof']));
    const refusals = () => decided(taskId).map((uses) => uses.filter(({ reason }) => reason === 'token.proof').length);
    await until(async () => (await answers(4, headers)) && Math.min(...refusals()) > 0);
    const raced = await answers(20, await fresh());
    expect(raced.filter((answer) => answer === '200').length).toBeLessThanOrEqual(1);
    expect(new Set(raced.filter((answer) => answer !== '200' && !answer.startsWith('503')))).toEqual(
      new Set(['401 token.proof']),
    );
  });

  it('enforce the end of a task for every call that starts after its answer', async () => {
    const declared = await processes.declare();
    await warm(declared);
    const late = await calling(declared.token, async (callers) => {
      const { enforcement } = await processes.complete(declared.taskId);
      const endedMs = performance.now();
      expect(enforcement).toMatchObject({ enforced: true, holders: 2 });
      const after = () => callers.calls.filter(({ startedMs }) => startedMs > endedMs);
      await until(() => after().length > 30);
      return after();
    });
    expect(new Set(late.map(({ answer }) => answer))).toEqual(new Set(['403 task.completed']));
    await until(() => decided(declared.taskId).every((uses) => uses.some((use) => use.reason === 'task.completed')));
  });

  it('refuse a task from the moment at which a command beside them has ended it', async () => {
    const declared = await processes.declare();
    await warm(declared);
    const words = ['task', 'end', declared.taskId, '--cause', 'a test', '--config', processes.config];
    expect((await ran(words, processes.environment('authority'))).code).toBe(0);
    const answered = await answers(8, { authorization: `Bearer ${declared.token}` });
    expect(new Set(answered)).toEqual(new Set(['403 task.revoked']));
  });

  it('lose only calls in progress when a process is killed, and none of its records once it is back', async () => {
    const declared = await processes.declare();
    await warm(declared);
    await calling(declared.token, async (callers) => {
      expect(await processes.end(1, 'SIGKILL')).toBe('SIGKILL');
      await moreCalls(callers, 200);
      const lost = lostOf(callers);
      // Each caller has one call at a time, and one more may reach a socket that is just closing.
      expect(Object.values(lost).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(6);
      expect(Object.keys(lost).every((answer) => answer.startsWith('503'))).toBe(true);
    });
    // Its log, here of calls that Envoy refuses by itself, begins at the other one now. It comes back with it.
    await until(
      async () => {
        await processes.agent.call(processes.envoyPort, { host: 'payments.acme.test', path: '/a%2Fb' });
        return (await processes.logOf(1)) === 2;
      },
      { what: 'its log at the other one' },
    );
    await processes.serve(1);
    const kept = async (n: (typeof NUMBERS)[number]): Promise<number> =>
      (await processes.records(n, 'use')).filter(({ task }) => task === declared.taskId).length;
    const written = async () => (await Promise.all(NUMBERS.map((n) => kept(n)))).reduce((sum, one) => sum + one, 0);
    await until(async () => (await recorded(declared.taskId)).length === (await written()), { what: 'all records' });
    await outcomesOf(1);
  });

  it('go on with the tasks that they have when the authority is killed, until it is back', async () => {
    const declared = await processes.declare();
    const [ended, budgeted] = [await processes.declare(), await processes.declare({ constraints: { max_calls: 99 } })];
    await warm(ended);
    await warm(declared);
    await processes.complete(ended.taskId);
    await calling(declared.token, async (callers) => {
      expect(await processes.end('authority', 'SIGKILL')).toBe('SIGKILL');
      await moreCalls(callers, 50);
      // What takes from a task, and what ended before, is not allowed.
      expect(await answers(1, { authorization: `Bearer ${budgeted.token}` })).toEqual([UNAVAILABLE]);
      expect(await answers(1, { authorization: `Bearer ${ended.token}` })).toEqual(['403 task.completed']);
      await processes.serve('authority');
      await moreCalls(callers, 50);
      expect(lostOf(callers)).toEqual({});
    });
    const first = async () => (await answers(1, { authorization: `Bearer ${budgeted.token}` }))[0];
    await until(async () => (await first()) === '200', { what: 'a use that takes from its task' });
    expect(await answers(1, { authorization: `Bearer ${ended.token}` })).toEqual(['403 task.completed']);
  });

  it('lose no call when all are restarted, one after the other, the authority first', async () => {
    const declared = await processes.declare();
    await warm(declared);
    await calling(declared.token, async (callers) => {
      for (const n of ['authority', ...NUMBERS] as const) {
        expect(await processes.end(n, 'SIGTERM')).toBe(0);
        await processes.serve(n);
        await moreCalls(callers, 30);
      }
      expect(lostOf(callers)).toEqual({});
    });
    for (const uses of decided(declared.taskId)) expect(uses.length).toBeGreaterThan(0);
  });

  it('name the issuer of their authority to a client that they deny', async () => {
    const { status, headers } = await processes.agent.call(processes.envoyPort, {
      host: 'payments.acme.test',
      path: PATH,
    });
    expect([status, headers['www-authenticate']]).toEqual([
      401,
      expect.stringContaining('https://issuer.acme.test/.well-known/oauth-protected-resource/payments'),
    ]);
  });

  it('leave no finding, and whole ledgers', async () => {
    for (const n of ['authority', ...NUMBERS] as const) {
      expect(processes.said(n)).not.toContain('finding ');
      const key = /verified with (\S+)/.exec(processes.said(n))?.[1] ?? '';
      const folder = join(scratch.folder, `ledger-${n}`);
      const { code, out } = await ran(['ledger', 'verify', '--key', key, '--ledger', folder]);
      expect([0, 2]).toContain(code);
      expect(out).toContain('records ');
    }
  });

  it('refuse a second process with their state file, and say what to do', async () => {
    const { code, err } = await ran(['serve', '--config', processes.config], {
      ...processes.environment('authority'),
      REMIT_LEDGER_FOLDER: 'ledger-other',
    });
    expect(code).toBe(2);
    expect(err).toContain('make this process a sidecar of it with `state: authority:unix:/path`');
  });
});
