import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { objectsOf } from '../chart/chart.ts';
import { entryOf, WorkloadApiServer } from '../core/identity/workload-api-server.ts';
import type { Volume } from './container.ts';

/** What a kubelet and the SPIFFE CSI driver give a pod. */
export interface Pod {
  readonly volumes: readonly Volume[];
  readonly environment: Readonly<Record<string, string>>;
  close(): void;
}

/** Everybody may write an `emptyDir` and, but for its mount, the folder of a ConfigMap. */
const ANYBODY = 0o777;

/**
 * The volumes of an authority with the ConfigMaps of a rendered chart, made below an empty folder as a kubelet makes them.
 *
 * @param rendered what `helm template` printed
 */
export async function startPod(folder: string, rendered: string): Promise<Pod> {
  const configMaps = objectsOf(rendered).filter(({ kind }) => kind === 'ConfigMap');
  const dataOf = (name: string) => configMaps.find(({ metadata }) => metadata.name === name)?.data ?? {};
  const at = (name: string): string => {
    const path = join(folder, name);
    mkdirSync(path);
    chmodSync(path, ANYBODY);
    return path;
  };
  const config = at('config');
  writeConfigMap(config, dataOf('remit-authority'));
  // Where another volume is mounted in one that cannot be written.
  mkdirSync(join(config, 'policies'));
  const policies = at('policies');
  writeConfigMap(policies, dataOf('remit-policies'));
  const identity = at('identity');
  const socket = join(identity, 'spire-agent.sock');
  const { server } = await WorkloadApiServer.start(`unix:${socket}`);
  chmodSync(socket, ANYBODY);
  const domain = await createAuthority('example.org', systemPorts);
  const svid = await domain.svid('/ns/remit/sa/remit-authority', { dns: ['remit-authority.remit.svc'] });
  server.greeting = { svids: [entryOf(svid, domain.bundlePem)] };
  return {
    volumes: [
      { from: config, to: '/etc/remit', isReadOnly: true },
      { from: policies, to: '/etc/remit/policies', isReadOnly: true },
      { from: at('state'), to: '/var/lib/remit' },
      { from: at('run'), to: '/run/remit' },
      { from: identity, to: '/spiffe-workload-api', isReadOnly: true },
    ],
    environment: {
      SPIFFE_ENDPOINT_SOCKET: 'unix:///spiffe-workload-api/spire-agent.sock',
      REMIT_LEDGER_NAME: 'remit-authority-0',
    },
    close: () => server.close(),
  };
}

/** Each file is a link to one below `..data`, which is a link itself, so that all change at once. */
function writeConfigMap(folder: string, data: Readonly<Record<string, string>>): void {
  const version = '..2026_11_27_00_00_00.1';
  mkdirSync(join(folder, version));
  symlinkSync(version, join(folder, '..data'));
  for (const [name, text] of Object.entries(data)) {
    writeFileSync(join(folder, version, name), text);
    symlinkSync(join('..data', name), join(folder, name));
  }
}
