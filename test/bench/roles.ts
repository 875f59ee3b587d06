import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { mustBeAllowed } from './load.ts';
import { budgeted, reuse } from './loads.ts';
import { policyFolder } from './policies.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import type { NoiseMade, NoiseOrder, NoisyRole } from './role-noise.ts';
import { vegeta } from './vegeta.ts';
import { wrk } from './wrk.ts';

const CONTENDER = 'Remit';
/** Checks per second of the steady load. */
const RATE = 1_000;
/** The set that is reloaded. */
const POLICIES = 10_000;
const WARM_SECONDS = 6;
const SETTLE_MS = 500;

/** The other roles of one process by name, and how often each acts per second; a rotation is that of segments of 1 MiB. */
export const roles = {
  budgets: 100,
  tokens: 20,
  ends: 20,
  policies: 0.15,
  scrapes: 1,
  rotation: 0.2,
  verification: 0.2,
} as const;

export type Role = keyof typeof roles;

// Safe: the keys of the table.
export const roleNames = Object.keys(roles) as Role[];

/** The series of the load without and beside a role. */
export const beside = (
  role: Role,
): { readonly off: readonly [string, string]; readonly on: readonly [string, string] } => ({
  off: [CONTENDER, `roles: ${RATE}/s, no ${role}`],
  on: [CONTENDER, `roles: ${RATE}/s beside ${role}`],
});

interface Asked {
  readonly remit: RemitUnderTest;
  readonly port: number;
}

/**
 * What the other roles of a process cost its checks: the latency of a steady load without and beside each of them, in turn. The noise is
 * made by a process of its own, at a fixed rate.
 */
export async function measureRoles(bench: Bench): Promise<void> {
  const { effort, stage } = bench;
  const chosen = roleNames.filter((role) => effort.roles.includes(role));
  const folder = await policyFolder(stage.folder, POLICIES);
  const asked: Readonly<Record<'plain' | 'many' | 'rotating', Asked | null>> = {
    plain: chosen.some((role) => role !== 'policies') ? await started(bench, 'plain', {}) : null,
    many: chosen.includes('policies') ? await started(bench, 'many', { policies: folder }) : null,
    rotating: chosen.includes('rotation') ? await started(bench, 'rotating', { ledger: { segmentMiB: 1 } }) : null,
  };
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const role of chosen) {
      const off = (role === 'policies' ? asked.many : asked.plain) as Asked;
      const on = (role === 'rotation' ? asked.rotating : off) as Asked;
      const without = () => run(bench, { ...off, series: beside(role).off }, async () => async () => {});
      const noisy = () =>
        run(bench, { ...on, series: beside(role).on }, () => startNoise(bench, role, { ...on, folder }));
      for (const turn of round % 2 === 0 ? [without, noisy] : [noisy, without]) await turn();
    }
  }
  for (const one of Object.values(asked)) await one?.remit.end();
}

/** A Remit with its Envoy, warmed up. */
async function started(bench: Bench, name: string, options: object): Promise<Asked> {
  const { collectorPort, domain, stage } = bench;
  const remit = await RemitUnderTest.start(stage, domain, { name: `roles-${name}`, collectorPort, ...options });
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const { port } = envoy.address;
  await wrk(stage, await reuse(bench, remit), { port, seconds: WARM_SECONDS });
  return { remit, port };
}

/** One measurement of the load, while the noise is made. */
async function run(
  bench: Bench,
  { remit, port, series: [contender, scenario] }: Asked & { readonly series: readonly [string, string] },
  noise: () => Promise<() => Promise<void>>,
): Promise<void> {
  const { domain, effort, go, stage, say } = bench;
  const load = await reuse(bench, remit, domain.reporter);
  await mustBeAllowed(port, load);
  const end = await noise();
  await delay(SETTLE_MS);
  await remit.metric(STALL);
  await measure(bench, { contender, scenario, pid: remit.pid }, () =>
    vegeta(stage, load, { binary: go.vegeta, port, rate: RATE, seconds: effort.seconds }),
  );
  const stallMs = (await remit.metric(STALL, 'stat="max"')) * 1_000;
  say(`  the event loop was late by at most ${stallMs.toFixed(1)} ms`);
  await end();
}

const STALL = 'remit_event_loop_delay_seconds';

/** Starts the noise of a role. The returned function ends it, and throws where it was not made. */
async function startNoise(
  bench: Bench,
  role: Role,
  { remit, port, folder }: Asked & { readonly folder: string },
): Promise<() => Promise<void>> {
  if (role === 'rotation') return async () => {};
  return role === 'budgets' ? startBudgets(bench, { remit, port }) : startProcess(bench, role, { remit, folder });
}

async function startBudgets(bench: Bench, { remit, port }: Asked): Promise<() => Promise<void>> {
  const { go, effort, say, stage } = bench;
  const load = await budgeted(bench, remit);
  await mustBeAllowed(port, load);
  const seconds = effort.seconds + 2;
  const made = vegeta(stage, load, { binary: go.vegeta, port, rate: roles.budgets, seconds });
  return async () => {
    const { requests, failed } = await made;
    say(`  ${requests} uses with a budget, ${failed} failed`);
  };
}

async function startProcess(
  { domain, stage, say }: Bench,
  role: NoisyRole,
  { remit, folder }: { readonly remit: RemitUnderTest; readonly folder: string },
): Promise<() => Promise<void>> {
  const child = fork(resolve(import.meta.dirname, 'role-noise.ts'));
  const ended = once(child, 'exit');
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  stage.onClose(end);
  let told: NoiseMade = { made: 0, failure: null };
  child.on('message', (made: NoiseMade) => (told = made));
  const key = /verified with (\S+)/.exec(remit.said)?.[1] ?? '';
  const ledger = join(remit.folder, 'ledger');
  const order: NoiseOrder = {
    role,
    perSecond: roles[role],
    svid: domain.planner.svid,
    bundlePem: domain.authority.bundlePem,
    issuerPort: remit.issuerPort,
    adminPort: remit.adminPort,
    policies: folder,
    verify: [process.execPath, main, 'ledger', 'verify', '--key', key, '--ledger', ledger],
  };
  child.send(order);
  await once(child, 'message');
  return async () => {
    await end();
    say(`  ${told.made} turns of ${role}`);
    if (told.failure !== null) throw new Error(`${role}: ${told.failure}`);
  };
}

const main = resolve(import.meta.dirname, '../../dist/main.js');
