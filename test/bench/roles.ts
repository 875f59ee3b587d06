import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
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
const WARM_SECONDS = 4;
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
  contender: string = CONTENDER,
): { readonly off: readonly [string, string]; readonly on: readonly [string, string] } => ({
  off: [contender, `roles: ${RATE}/s, no ${role}`],
  on: [contender, `roles: ${RATE}/s beside ${role}`],
});

interface Asked {
  readonly remit: RemitUnderTest;
  readonly port: number;
}

/** One build of Remit: a process for each configuration that a role needs, with its Envoy. */
interface Build {
  readonly contender: string;
  /** The built program, `main.js`. */
  readonly main: string;
  /** Policies of `many`. */
  readonly folder: string;
  readonly plain: Asked | null;
  readonly many: Asked | null;
  readonly rotating: Asked | null;
}

/**
 * What the other roles of a process cost its checks: the latency of a steady load without and beside each of them, in turn. The noise is
 * made by a process of its own, at a fixed rate. The ratios are of the first build.
 */
export async function measureRoles(bench: Bench): Promise<void> {
  const { effort } = bench;
  const chosen = roleNames.filter((role) => effort.roles.includes(role));
  const builds: Build[] = [];
  for (const [index, checkout] of effort.builds.entries())
    builds.push(await startBuild(bench, chosen, { checkout: resolve(checkout), index }));
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const role of chosen)
      for (const build of round % 2 === 0 ? builds : builds.toReversed())
        await measureRole(bench, build, { role, round });
  }
  for (const { plain, many, rotating } of builds) for (const asked of [plain, many, rotating]) await asked?.remit.end();
}

async function measureRole(
  bench: Bench,
  build: Build,
  { role, round }: { readonly role: Role; readonly round: number },
): Promise<void> {
  const off = role === 'policies' ? build.many : build.plain;
  const on = role === 'rotation' ? build.rotating : off;
  if (off === null || on === null) throw new Error(`no process was started for ${role}`);
  const series = beside(role, build.contender);
  const without = () => run(bench, { ...off, series: series.off }, async () => async () => {});
  const noisy = () => run(bench, { ...on, series: series.on }, () => startNoise(bench, role, { ...build, ...on }));
  for (const turn of round % 2 === 0 ? [without, noisy] : [noisy, without]) await turn();
}

async function startBuild(
  bench: Bench,
  chosen: readonly Role[],
  { checkout, index }: { readonly checkout: string; readonly index: number },
): Promise<Build> {
  const needs = (...those: readonly Role[]): boolean => chosen.some((role) => those.includes(role));
  const place = join(bench.stage.folder, `roles-${index}`);
  await mkdir(place);
  const folder = await policyFolder(place, POLICIES);
  const start = (name: string, options: object): Promise<Asked> =>
    started(bench, `roles-${index}-${name}`, { checkout, ...options });
  return {
    contender: index === 0 ? CONTENDER : checkout,
    main: join(checkout, 'dist/main.js'),
    folder,
    plain: chosen.some((role) => role !== 'policies') ? await start('plain', {}) : null,
    many: needs('policies') ? await start('many', { policies: folder }) : null,
    rotating: needs('rotation') ? await start('rotating', { ledger: { segmentMiB: 1 } }) : null,
  };
}

/** A Remit with its Envoy, warmed up. */
async function started(bench: Bench, name: string, options: object): Promise<Asked> {
  const { collectorPort, domain, stage } = bench;
  const remit = await RemitUnderTest.start(stage, domain, { name, collectorPort, ...options });
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
  of: Asked & Pick<Build, 'folder' | 'main'>,
): Promise<() => Promise<void>> {
  if (role === 'rotation') return async () => {};
  return role === 'budgets' ? startBudgets(bench, of) : startProcess(bench, role, of);
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
  { remit, folder, main }: Pick<Asked, 'remit'> & Pick<Build, 'folder' | 'main'>,
): Promise<() => Promise<void>> {
  const child = fork(resolve(import.meta.dirname, 'role-noise.ts'));
  const ended = once(child, 'exit');
  stage.onClose(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let latest: NoiseMade = { made: 0, failure: null };
  child.on('message', (made: NoiseMade) => (latest = made));
  const ledger = join(remit.folder, 'ledger');
  const order: NoiseOrder = {
    role,
    perSecond: roles[role],
    svid: domain.planner.svid,
    bundlePem: domain.authority.bundlePem,
    issuerPort: remit.issuerPort,
    adminPort: remit.adminPort,
    policies: folder,
    verify: [process.execPath, main, 'ledger', 'verify', '--key', remit.verifierKey(), '--ledger', ledger],
  };
  child.send(order);
  await once(child, 'message');
  return async () => {
    child.send('end');
    await ended;
    say(`  ${latest.made} turns of ${role}`);
    if (latest.failure !== null) throw new Error(`${role}: ${latest.failure}`);
  };
}
