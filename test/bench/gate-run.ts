import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { names } from './contenders.ts';
import { roles } from './cost-contenders.ts';
import type { Build } from './cost-contenders.ts';
import { startEnvoy } from './envoy-under-test.ts';
import type { EnvoyVariant } from './envoy-under-test.ts';
import { mustBeAllowedSoon } from './load.ts';
import type { Load } from './load.ts';
import { newDecisions, reuse } from './loads.ts';
import type { GateFigure, GateRun } from './loss.ts';
import { memoryOf } from './memory.ts';
import type { RemitUnderTest } from './remit-under-test.ts';
import { Results } from './results.ts';
import type { Measure } from './results.ts';
import { cpuMicroseconds } from './stage.ts';
import { wrk } from './wrk.ts';

const GRPC_JS = `of ${names.grpcJs}'s`;

/** What the gate looks at. */
export const gateFigures = {
  reuse_rate: { better: 'more', of: `requests/s of repeated uses, ${GRPC_JS}` },
  reuse_p99: { better: 'less', of: `p99 of repeated uses in a closed loop, ${GRPC_JS}` },
  reuse_cpu: { better: 'less', of: `processor time of a repeated use, ${GRPC_JS}` },
  new_decision_cpu: { better: 'less', of: `processor time of a new decision, ${GRPC_JS}` },
  sidecar_cpu: { better: 'less', of: 'processor time of a repeated use at a sidecar, of the embedded process' },
  start_cpu: { better: 'less', of: `processor time of a sidecar until ready, ${GRPC_JS}` },
  sidecar_resident: { better: 'less', of: `resident memory of an idle sidecar, ${GRPC_JS}` },
  sidecar_anonymous: { better: 'less', of: `anonymous memory of an idle sidecar, ${GRPC_JS}` },
  authority_resident: { better: 'less', of: `resident memory of an idle authority, ${GRPC_JS}` },
  loaded_anonymous: { better: 'less', of: `anonymous memory of the embedded process after the loads, ${GRPC_JS}` },
  installed_mb: { better: 'less', of: 'MiB of what is installed, without Node.js' },
} as const satisfies Readonly<Record<string, GateFigure>>;

const ROUNDS = 4;
const SECONDS = 1;
const WARM_SECONDS = 4;
const SETTLED_MS = 2_000;
/** More than are answered in `SECONDS`. */
const NEW_DECISIONS = 8_000;
const [REUSE, NEW] = ['reuse', 'new decision'];

/** A process behind its Envoy. */
interface Asked {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly issuer: RemitUnderTest;
  readonly load: Load;
}

/** Makes one run with processes of its own, about a minute. `life` names their folders. */
export async function gateRun(shared: Bench, build: Build, life: string): Promise<GateRun> {
  const bench: Bench = { ...shared, results: new Results() };
  const ends: (() => Promise<void>)[] = [];
  try {
    return await figuresOf(bench, { build, life, onEnd: (end) => void ends.push(end) });
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function figuresOf(
  bench: Bench,
  run: { readonly build: Build; readonly life: string; readonly onEnd: (end: () => Promise<void>) => void },
): Promise<GateRun> {
  const { build, life, onEnd } = run;
  const embedded = await build.embedded.start(life);
  onEnd(embedded.end);
  const authority = await build.authority.start(life);
  onEnd(authority.end);
  const sidecar = await build.sidecar.start(life);
  onEnd(sidecar.end);
  const startUs = cpuMicroseconds(sidecar.pid);
  const grpcJs = await startGrpcJs(bench, build, life);
  onEnd(grpcJs.end);
  const startCpu = startUs / cpuMicroseconds(grpcJs.pid);
  if (embedded.remit === null || authority.remit === null) throw new Error('a role without an issuer');
  await delay(SETTLED_MS);
  const [idle, idleSidecar, idleAuthority] = [memoryOf(grpcJs.pid), memoryOf(sidecar.pid), memoryOf(authority.pid)];

  const behind = async (
    name: string,
    { pid, socket }: { readonly pid: number; readonly socket: string },
    { issuer, ...variant }: { readonly issuer: RemitUnderTest } & Omit<EnvoyVariant, 'socket' | 'collectorPort'>,
  ): Promise<Asked> => {
    const envoy = await startEnvoy(bench.stage, { socket, collectorPort: bench.collectorPort, ...variant });
    onEnd(() => envoy.stop());
    const load = await reuse(bench, issuer);
    const { port } = envoy.address;
    await mustBeAllowedSoon(port, load);
    await wrk(bench.stage, load, { port, seconds: WARM_SECONDS });
    return { name, pid, port, issuer, load };
  };
  const { remit: issuer } = embedded;
  const asked = {
    embedded: await behind(roles.embedded, embedded, { issuer, tellsOutcomes: true }),
    sidecar: await behind(roles.sidecar, sidecar, { issuer: authority.remit, tellsOutcomes: true }),
    grpcJs: await behind(names.grpcJs, grpcJs, { issuer }),
  };
  await measureInTurns(bench, asked);
  const ratio = (what: Measure, of: readonly [string, string], to: readonly [string, string]): number =>
    bench.results.ratio(what, of, to);
  const loaded = memoryOf(embedded.pid).anonymous / memoryOf(grpcJs.pid).anonymous;
  const repeated = [roles.embedded, REUSE] as const;
  return {
    reuse_rate: ratio('requestsPerSecond', repeated, [names.grpcJs, REUSE]),
    reuse_p99: ratio('p99Ms', repeated, [names.grpcJs, REUSE]),
    reuse_cpu: ratio('cpuUs', repeated, [names.grpcJs, REUSE]),
    new_decision_cpu: ratio('cpuUs', [roles.embedded, NEW], [names.grpcJs, REUSE]),
    sidecar_cpu: ratio('cpuUs', [roles.sidecar, REUSE], repeated),
    start_cpu: startCpu,
    sidecar_resident: idleSidecar.resident / idle.resident,
    sidecar_anonymous: idleSidecar.anonymous / idle.anonymous,
    authority_resident: idleAuthority.resident / idle.resident,
    loaded_anonymous: loaded,
    installed_mb: build.installation.installedMiB,
  } satisfies Readonly<Record<keyof typeof gateFigures, number>>;
}

async function startGrpcJs(
  { stage }: Bench,
  { installation }: Build,
  life: string,
): Promise<{ readonly pid: number; readonly socket: string; readonly end: () => Promise<void> }> {
  const socket = join(stage.folder, `grpc-js-${life}.sock`);
  const command = [installation.node, join(import.meta.dirname, 'noop.ts'), socket];
  const { child, pid } = await stage.start(command, { ready: 'ready' });
  return { pid, socket, end: () => child.end() };
}

/** Each in turn, every other round in reverse. */
async function measureInTurns(
  bench: Bench,
  { embedded, sidecar, grpcJs }: Readonly<Record<'embedded' | 'sidecar' | 'grpcJs', Asked>>,
): Promise<void> {
  const { stage } = bench;
  const loop = ({ name, pid, port }: Asked, scenario: string, load: Load): Promise<unknown> =>
    measure(bench, { contender: name, scenario, pid }, () => wrk(stage, load, { port, seconds: SECONDS }));
  const turns = [
    ...[embedded, grpcJs, sidecar].map((asked) => () => loop(asked, REUSE, asked.load)),
    async () => loop(embedded, NEW, await newDecisions(bench, embedded.issuer, NEW_DECISIONS)),
  ];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn();
  }
}
