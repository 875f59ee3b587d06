import { rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

import type { Bench } from './bench.ts';
import { names, opaCommand } from './contenders.ts';
import { install } from './installation.ts';
import type { Installation } from './installation.ts';
import { audiences } from './loads.ts';
import { OPA_PLUGIN_READY, opaPluginCommand } from './opa-envoy-plugin.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import type { RemitOptions } from './remit-under-test.ts';
import { policiesWithoutHistory } from './sidecar-under-test.ts';

/** A started process, which has answered that it is ready. */
export interface Process {
  readonly pid: number;
  /** From its start until it was ready. */
  readonly readyMs: number;
  readonly socket: string;
  /** The issuer of its tokens; `null` for one that has none of its own. */
  readonly remit: RemitUnderTest | null;
  readonly end: () => Promise<void>;
}

/** A program whose costs are measured. Started again under the same `life`, it finds the state it has left. */
export interface CostContender {
  readonly name: string;
  readonly start: (life: string) => Promise<Process>;
  /** Its files. */
  readonly files: readonly string[];
}

/** The roles of one build. */
export interface Build {
  /** What follows the names of its roles: nothing for the first. */
  readonly name: string;
  readonly installation: Installation;
  readonly embedded: CostContender;
  /** The same with a destination for spans, metrics and logs. */
  readonly exporting: CostContender;
  readonly authority: CostContender;
  /** The same from other files, so that those of the installation can be evicted while it runs. */
  readonly otherAuthority: CostContender;
  /** Needs the authority of the same `life`. */
  readonly sidecar: CostContender;
}

/** The names of the roles; those of a second build have that of its checkout after them. */
export const roles = {
  embedded: 'embedded',
  exporting: 'embedded with OTLP',
  authority: 'authority',
  sidecar: 'sidecar',
} as const;

/** Installs each checkout, the first of which is what the others are compared with. */
export async function installBuilds(bench: Bench): Promise<readonly Build[]> {
  const policies = await policiesWithoutHistory(bench, 'policies-of-costs');
  const builds: Build[] = [];
  for (const [index, checkout] of bench.effort.builds.map((path) => resolve(path)).entries()) {
    bench.say(`installing ${checkout}`);
    const installation = await install(bench.stage, checkout, `installation-${index}`);
    const suffix = index === 0 ? '' : `, ${basename(checkout)}`;
    builds.push(buildOf(bench, { checkout, installation, policies, suffix }));
  }
  return builds;
}

function buildOf(
  bench: Bench,
  options: {
    readonly checkout: string;
    readonly installation: Installation;
    readonly policies: string;
    readonly suffix: string;
  },
): Build {
  const { checkout, installation, policies, suffix } = options;
  // Without the comma of the suffix, at which the addresses of a sidecar's `state` are taken apart.
  const socketOf = (life: string): string => join(bench.stage.folder, `authority-${life}-${basename(checkout)}.sock`);
  const role = (name: string, more: (life: string) => Partial<RemitOptions>): CostContender => ({
    name: `${name}${suffix}`,
    files: [installation.folder],
    start: (life) =>
      startRemit(bench, {
        name: `${name}-${life}${suffix}`,
        collectorPort: null,
        policies,
        checkout: installation.program,
        node: installation.node,
        flags: installation.flags,
        environment: { ...installation.environment, REMIT_DRAIN_SECONDS: '0' },
        ...more(life),
      }),
  });
  const authority = (life: string): Partial<RemitOptions> => ({
    authority: {
      listen: [`unix:${socketOf(life)}`],
      sidecars: [{ id: 'spiffe://acme.test/none', audiences: [audiences.files] }],
    },
  });
  return {
    name: suffix,
    installation,
    embedded: role(roles.embedded, () => ({})),
    exporting: role(roles.exporting, () => ({ collectorPort: bench.collectorPort })),
    authority: role(roles.authority, authority),
    otherAuthority: role(roles.authority, (life) => ({ ...authority(life), checkout, node: process.execPath })),
    sidecar: role(roles.sidecar, (life) => ({ sidecarOf: `authority:unix:${socketOf(life)}` })),
  };
}

async function startRemit({ stage, domain }: Bench, options: RemitOptions): Promise<Process> {
  const remit = await RemitUnderTest.start(stage, domain, options);
  await remit.isReady();
  const readyMs = performance.now() - remit.startedMs;
  return { pid: remit.pid, readyMs, socket: remit.socket, remit, end: () => remit.end() };
}

/** OPA's library and opa-envoy-plugin, which verify tokens of the issuer. */
export const opaContenders = (bench: Bench, issuer: RemitUnderTest): readonly CostContender[] => [
  opaLibrary(bench, issuer),
  opaPlugin(bench, issuer),
];

function opaLibrary({ go, stage }: Bench, issuer: RemitUnderTest): CostContender {
  return {
    name: names.opa,
    files: [go.opa],
    start: async (life) => {
      const [jwks, socket] = [join(stage.folder, `opa-${life}.json`), join(stage.folder, `opa-${life}.sock`)];
      await writeFile(jwks, await issuer.keys());
      await rm(socket, { force: true });
      const { pid, child, startedMs } = await stage.start(opaCommand(go, { socket, jwks }), { ready: 'ready' });
      const readyMs = performance.now() - startedMs;
      return { pid, readyMs, socket, remit: null, end: () => child.end() };
    },
  };
}

function opaPlugin({ go, stage }: Bench, issuer: RemitUnderTest): CostContender {
  return {
    name: names.opaPlugin,
    files: [go.opaPlugin],
    start: async (life) => {
      const name = `opa-plugin-${life}`;
      const socket = join(stage.folder, `${name}.sock`);
      for (const left of [socket, join(stage.folder, `${name}-api.sock`)]) await rm(left, { force: true });
      const command = await opaPluginCommand(go, { folder: stage.folder, name, socket, keys: await issuer.keys() });
      const { pid, child, startedMs } = await stage.start(command, { ready: OPA_PLUGIN_READY });
      const readyMs = performance.now() - startedMs;
      return { pid, readyMs, socket, remit: null, end: () => child.end() };
    },
  };
}
