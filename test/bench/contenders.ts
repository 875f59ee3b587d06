import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import type { GoBinaries } from './go-servers.ts';
import { audiences, reuse } from './loads.ts';
import { OPA_PLUGIN_READY, opaPluginCommand } from './opa-envoy-plugin.ts';
import { allowOf } from './prepared-allows.ts';
import { issuerUrl, RemitUnderTest } from './remit-under-test.ts';
import { wrk } from './wrk.ts';

/** A contender, with its own Envoy in front. */
export interface Contender {
  readonly name: string;
  /** Port of its Envoy. */
  readonly port: number;
  /** Socket for checks; `null` where nobody is asked. */
  readonly socket: string | null;
  readonly pid: number | null;
  /** The issuer of its tokens. */
  readonly issuer: RemitUnderTest;
}

/** The contenders of a run. Remit takes part three times: as shipped, without spans, and without access logs from Envoy. */
export interface Contenders {
  readonly envoy: Contender;
  readonly grpcJs: Contender;
  readonly go: Contender;
  /** Answers with the bytes of Remit's answer, on Remit's transport, and takes access logs: the floor of Remit. */
  readonly floor: Contender;
  readonly opa: Contender;
  /** OPA with its cache of verified tokens, which is off by default. */
  readonly opaMemory: Contender;
  /** Its own plugin for Envoy, with the same policy. */
  readonly opaPlugin: Contender;
  readonly remit: Contender;
  readonly unrecorded: Contender;
  readonly noOutcomes: Contender;
}

/** Names of contenders in the results. */
export const names = {
  envoy: 'Envoy alone',
  grpcJs: 'do-nothing grpc-js',
  go: 'do-nothing Go',
  floor: "do-nothing, Remit's answer",
  opa: 'OPA with a token',
  opaMemory: 'OPA, tokens remembered',
  opaPlugin: 'opa-envoy-plugin',
  remit: 'Remit',
  unrecorded: 'Remit, no spans',
  noOutcomes: 'Remit, no outcomes',
} as const;

/** V8 still compiles after 40,000 checks, and a sidecar runs for weeks. */
const WARM_SECONDS = 20;

/** As many tokens as Remit caches. */
const MAX_TOKENS = 100_000;

/** The command of OPA with a token, which reads the keys of the issuer from a file. */
export const opaCommand = (
  go: GoBinaries,
  { socket, jwks }: { readonly socket: string; readonly jwks: string },
): readonly string[] => [
  go.opa,
  `-socket=${socket}`,
  `-jwks=${jwks}`,
  `-issuer=${issuerUrl}`,
  `-audience=${audiences.files}`,
];

/** Starts all contenders and warms them up, so that their code is compiled. The stage ends them. */
export async function startContenders(bench: Bench): Promise<Contenders> {
  const { stage, domain, go, collectorPort } = bench;
  const issuer = await RemitUnderTest.start(stage, domain, { name: 'remit', collectorPort });
  const silent = await RemitUnderTest.start(stage, domain, { name: 'unrecorded', collectorPort: null });
  // A separate Remit, since one with access logs waits for the outcome of every check.
  const untold = await RemitUnderTest.start(stage, domain, { name: 'no-outcomes', collectorPort });
  const socketOf = (name: string): string => join(stage.folder, `${name}.sock`);
  const jwks = join(stage.folder, 'jwks.json');
  const keys = await issuer.keys();
  await writeFile(jwks, keys);
  const opa = (name: string): readonly string[] => opaCommand(go, { socket: socketOf(name), jwks });
  const asked = {
    grpcJs: [process.execPath, join(import.meta.dirname, 'noop.ts'), socketOf('grpc-js')],
    go: [go.noop, socketOf('go')],
    floor: [
      process.execPath,
      join(import.meta.dirname, 'noop-own.ts'),
      socketOf('floor'),
      allowOf('ids').toString('base64'),
    ],
    opa: opa('opa'),
    opaMemory: [...opa('opa-memory'), `-tokens=${MAX_TOKENS}`],
    opaPlugin: await opaPluginCommand(go, {
      folder: stage.folder,
      name: 'opa-plugin',
      socket: socketOf('opa-plugin'),
      keys,
    }),
  };
  const pids = {
    grpcJs: (await stage.start(asked.grpcJs, { ready: 'ready' })).pid,
    go: (await stage.start(asked.go, { ready: 'ready' })).pid,
    floor: (await stage.start(asked.floor, { ready: 'ready' })).pid,
    opa: (await stage.start(asked.opa, { ready: 'ready' })).pid,
    opaMemory: (await stage.start(asked.opaMemory, { ready: 'ready' })).pid,
    opaPlugin: (await stage.start(asked.opaPlugin, { ready: OPA_PLUGIN_READY })).pid,
  };
  const before = async (
    name: keyof typeof names,
    of: { readonly socket: string | null; readonly pid: number | null; readonly issuer: RemitUnderTest },
    variant: { readonly tellsOutcomes?: boolean; readonly headers?: 'text' } = {},
  ): Promise<Contender> => {
    const envoy = await startEnvoy(stage, { socket: of.socket, collectorPort, ...variant });
    return { ...of, name: names[name], port: envoy.address.port };
  };
  const remit = { socket: issuer.socket, pid: issuer.pid, issuer };
  const noOutcomes = { socket: untold.socket, pid: untold.pid, issuer: untold };
  const unrecorded = { socket: silent.socket, pid: silent.pid, issuer: silent };
  const contenders = {
    envoy: await before('envoy', { socket: null, pid: null, issuer }),
    grpcJs: await before('grpcJs', { socket: socketOf('grpc-js'), pid: pids.grpcJs, issuer }),
    go: await before('go', { socket: socketOf('go'), pid: pids.go, issuer }),
    floor: await before('floor', { socket: socketOf('floor'), pid: pids.floor, issuer }, { tellsOutcomes: true }),
    opa: await before('opa', { socket: socketOf('opa'), pid: pids.opa, issuer }, { headers: 'text' }),
    opaMemory: await before(
      'opaMemory',
      { socket: socketOf('opa-memory'), pid: pids.opaMemory, issuer },
      { headers: 'text' },
    ),
    opaPlugin: await before(
      'opaPlugin',
      { socket: socketOf('opa-plugin'), pid: pids.opaPlugin, issuer },
      { headers: 'text' },
    ),
    remit: await before('remit', remit, { tellsOutcomes: true }),
    unrecorded: await before('unrecorded', unrecorded, { tellsOutcomes: true }),
    noOutcomes: await before('noOutcomes', noOutcomes),
  };
  for (const { port, issuer } of Object.values(contenders)) {
    await wrk(stage, await reuse(bench, issuer), { port, seconds: Math.max(bench.effort.seconds, WARM_SECONDS) });
  }
  return contenders;
}
