// Issue 42, points 1 to 3.
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { stop } from '../../src/cli/stop/stop.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet, SIDECARS } from './fleet.ts';
import type { SidecarName } from './fleet.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';

const PLANNER = 'spiffe://acme.test/ns/agents/sa/planner';
const STOPPED = '403 stopped.agent';
/** Calls of each caller that must begin after the acknowledgement. */
const LATE = 10;

interface Call {
  readonly startedMs: number;
  readonly answer: string;
}

/** `remit stop` of the operator ada, in this process, on the state that the authority serves. */
const asAda = (args: readonly string[], io: Parameters<Parameters<typeof ran>[0]>[1]) =>
  stop(args, { ...io, environment: { SUDO_USER: 'ada' } });

describeWith(envoyPart(), 'an agent that runs wild at two sidecars', (envoy) => {
  const scratch = testFolder(() => fleet?.stop());
  let fleet: Fleet;
  let token = '';
  let id = '';

  beforeAll(async () => {
    fleet = await Fleet.start(envoy, scratch.folder);
    ({ token } = await fleet.declare());
  });

  const answered = (name: SidecarName, answer: string) =>
    until(async () => (await fleet.call(name, token)) === answer, { what: `${answer} at ${name}` });
  const command = async (...args: readonly string[]) => {
    const { exit, out, err } = await ran(asAda, ...args, '--config', join(fleet.folder, 'authority.yaml'), '--json');
    expect({ exit, err }).toEqual({ exit: 0, err: '' });
    return JSON.parse(out) as { readonly id: string; readonly enforcement: object };
  };
  const declared = async () => {
    const task = { actions: ['payments.read'], purpose: 'look at payments' };
    const request = tokenRequest('https://payments.acme.test', task);
    const { status, body } = await fleet.ask('authority', request.path, request);
    return { status, ...(JSON.parse(body) as { readonly reason?: string; readonly next?: string }) };
  };

  it('is denied every call from the receipt of `remit stop agent` on, and declares no task', async () => {
    for (const name of SIDECARS) await answered(name, '200');
    const over = new AbortController();
    const calls: Call[] = [];
    const caller = async (name: SidecarName): Promise<void> => {
      while (!over.signal.aborted) {
        const startedMs = performance.now();
        calls.push({ startedMs, answer: await fleet.call(name, token) });
      }
    };
    const callers = SIDECARS.flatMap((name) => [caller(name), caller(name)]);
    await until(() => calls.filter(({ answer }) => answer === '200').length > 10);
    const made = await command('agent', PLANNER, '--because', 'INC-42');
    const acknowledgedMs = performance.now();
    id = made.id;
    expect(made.enforcement).toMatchObject({ enforced: true, holders: 2 });
    const late = () => calls.filter(({ startedMs }) => startedMs > acknowledgedMs);
    await until(() => late().length >= LATE * callers.length);
    over.abort();
    await Promise.all(callers);
    expect(late().filter(({ answer }) => answer === '200')).toEqual([]);
    for (const name of SIDECARS) await answered(name, STOPPED);
    expect(await declared()).toMatchObject({ status: 403, reason: 'stopped.agent', next: 'stop' });
  });

  it('is still denied after the authority and a sidecar were killed and started again', async () => {
    const killed = ['authority', 'remote'] as const;
    for (const name of killed) fleet.signal(name, 'SIGKILL');
    const isGone = (name: (typeof killed)[number]) =>
      fleet.readiness(name).then(
        () => false,
        () => true,
      );
    // Until then the address is in use.
    for (const name of killed) await until(() => isGone(name), { what: `the end of ${name}` });
    await Promise.all(killed.map((name) => fleet.serve(name)));
    for (const name of SIDECARS) await answered(name, STOPPED);
    expect(await declared()).toMatchObject({ status: 403, reason: 'stopped.agent' });
  });

  it('goes on once `remit stop lift` says that it is lifted', async () => {
    const lifted = await command('lift', id, '--because', 'all clear');
    expect(lifted.enforcement).toMatchObject({ enforced: true, holders: 2 });
    for (const name of SIDECARS) await answered(name, '200');
    expect((await declared()).status).toBe(200);
  });
});
