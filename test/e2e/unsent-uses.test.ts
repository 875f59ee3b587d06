import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { FaultProxy } from '../fault-proxy.ts';
import { describeWith, envoyPart, postgresPart } from '../parts.ts';
import { PostgresPlaces } from '../postgres/places.ts';
import { thoroughly } from '../thoroughly.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet } from './fleet.ts';
import { ran } from './process.ts';

/** Longer than a settlement waits for its authority, so that a sidecar answers before it is over. */
const ENVOY_TIMEOUT = '2s';
const EXHAUSTED = '403 task.exhausted';

type Recorded = Readonly<Record<string, unknown>>;

/** Issue 37, point 14: a budget that was taken for a call that Envoy did not send. */
function tests(
  envoy: string,
  open: (folder: string) => Promise<{ readonly database: string | null; stop(): unknown }>,
) {
  const scratch = testFolder(async () => {
    await fleet?.stop();
    await proxy?.close();
    await state?.stop();
  });
  let state: Awaited<ReturnType<typeof open>>;
  let fleet: Fleet;
  let proxy: FaultProxy;

  beforeAll(async () => {
    // The user of the database reads its folder.
    await chmod(scratch.folder, 0o755);
    state = await open(scratch.folder);
    const folder = join(scratch.folder, 'fleet');
    await mkdir(folder, { mode: 0o700 });
    const own = join(folder, 'check-remote.sock');
    const between = join(folder, 'between.sock');
    proxy = await FaultProxy.startAt(between, own);
    fleet = await Fleet.start(envoy, folder, {
      database: state.database,
      checkSocket: (socket) => (socket === own ? between : socket),
      envoyConfig: (text) =>
        text
          .replace(/^( +)timeout: 10s$/m, `$1timeout: ${ENVOY_TIMEOUT}`)
          .replace('max_interval: 10s', 'max_interval: 2s'),
    });
    const { token } = await fleet.declare();
    await until(async () => (await fleet.call('remote', token)) === '200', { what: 'a use' });
  });

  const answer = (token: string): Promise<string> => fleet.call('remote', token);
  /** A sidecar asks for what is given back up to six times, for 31 s and the time of the answers, and on a loaded machine the next call may be late too. */
  const answers = (token: string, wanted: string, what: string): Promise<unknown> =>
    until(async () => (await answer(token)) === wanted, { what, withinMs: 200_000 });
  const records = async (task: string, kind: string): Promise<Recorded[]> => {
    const ledger = join(fleet.folder, 'ledger-remote');
    const words = ['ledger', 'query', '--ledger', ledger, '--task', task, '--kind', kind, '--json', '--limit', '1000'];
    const { out } = await ran(words);
    return out.split('\n').flatMap((line) => (line === '' ? [] : JSON.parse(line)));
  };

  it('is given back for an allow that crossed the time-out of Envoy, which withdraws the allow', async () => {
    /** The answer of Remit is held until Envoy has refused the call by itself. */
    const crossed = async (): Promise<readonly [token: string, task: string] | undefined> => {
      const { token, taskId } = await fleet.declare({ max_calls: 1 });
      proxy.set({ kind: 'held' }, 'down');
      const refusal = await answer(token).finally(() => proxy.set({ kind: 'open' }));
      expect(refusal).toBe('503 envoy.no-decision');
      await answers(token, '200', 'the budget is back');
      // On a loaded machine the sidecar may have denied the call itself.
      const [first] = (await records(taskId, 'use')).toReversed();
      return first?.['decision'] === 'allow' ? [token, taskId] : undefined;
    };
    const [token, task] = await until(crossed, { what: 'an allow that came too late' });
    await answers(token, EXHAUSTED, 'the call that was sent has used the budget up');
    const uses = (await records(task, 'use')).toReversed();
    const withdrawal = uses.find((use) => use['withdraws'] !== undefined);
    expect(withdrawal).toMatchObject({
      decision: 'deny',
      reason: 'check.deadline',
      withdraws: uses[0]?.['decisionId'],
    });
    const outcomes = await records(task, 'outcome');
    expect(outcomes.find((outcome) => outcome['decisionId'] === uses[0]?.['decisionId'])).toMatchObject({
      decision: 'allow',
      known: true,
      attempts: 0,
      flags: ['UAEX'],
      details: 'ext_authz_error',
      status: 503,
    });
    const fates = await fetch(`${fleet.admin('remote')}/metrics`).then((reply) => reply.text());
    expect(fates).toMatch(/^remit_\w+\{[^}]*"not-sent"[^}]*\} [1-9]/m);
  });

  it('is given back for a use of which its sidecar does not know whether its authority counted it', async () => {
    const { token, taskId } = await fleet.declare({ max_calls: 2 });
    await answers(token, '200', 'the first use');
    for (const name of fleet.authorities) fleet.signal(name, 'SIGSTOP');
    const refusal = await answer(token).finally(() => {
      for (const name of fleet.authorities) fleet.signal(name, 'SIGCONT');
    });
    expect(refusal).toMatch(/^503 /);
    await answers(token, '200', 'the budget is back, or was never taken');
    await answers(token, EXHAUSTED, 'it is used up by two calls');
    const outcomes = async () => (await records(taskId, 'outcome')).filter(({ attempts }) => attempts === 1);
    await until(async () => (await outcomes()).length === 2, { what: 'two calls were sent' });
  });
}

describeWith(envoyPart(), 'the budget of a call that Envoy did not send', (envoy) => {
  // The contract of the state has withdrawals of both kinds; beside Envoy that with more parts is tried each time.
  const onFile = (): void =>
    describe('at a sidecar of an authority on a state file', () =>
      tests(envoy, async () => ({ database: null, stop: () => undefined })));
  thoroughly(onFile, () => undefined)();

  describeWith(postgresPart(), 'at a sidecar of two authorities on a PostgreSQL', (binaries) =>
    tests(envoy, async (folder) => {
      await mkdir(join(folder, 'pg'));
      const places = new PostgresPlaces(binaries, join(folder, 'pg'));
      await places.start();
      return { database: await places.next(), stop: () => places.stop() };
    }),
  );
});
