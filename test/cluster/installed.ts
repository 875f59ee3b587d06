import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pageCommands } from '../pages/page-commands.ts';
import { startTools } from './demo.ts';
import type { ToolsOptions } from './demo.ts';
import { SERVER_SOCKET, SPIRE_NAMESPACE } from './addons/spire.ts';
import type { Cluster, Ran } from './cluster.ts';
import { currentRelease, publish } from './release.ts';
import type { Release } from './release.ts';

const root = resolve(import.meta.dirname, '../..');
/** The page of the installation. */
export const PAGE = 'deploy/guide/install/kubernetes.md';

/** The four commands of the page, word for word. */
export function pageInstall(): readonly string[] {
  const [, block = ''] = /^```console\n([^]*?)^```/m.exec(readFileSync(join(root, PAGE), 'utf8')) ?? [];
  return block
    .split('\n')
    .filter((line) => line.startsWith('$ '))
    .map((line) => line.slice(2));
}

/**
 * What is there before Remit is installed: the release in the registry, the entries of SPIRE that `remit init` writes, tool servers with Envoy, and
 * the folder of policies.
 *
 * @param folder where `remit init` writes to
 * @param tools how the tool servers run
 * @param release default that of this tree
 */
export async function prepare(
  cluster: Cluster,
  folder: string,
  tools: ToolsOptions = {},
  release: Promise<Release> = currentRelease(),
): Promise<void> {
  await publish(cluster, await release);
  const remit = [process.execPath, '--no-warnings', join(root, 'src/main.ts')];
  await cluster.run([...remit, 'init', folder, '--host', 'istio', '--trust-domain', 'acme.test', '--yes']);
  mkdirSync(join(folder, 'bin'));
  const server = join(folder, 'bin/spire-server');
  const exec = `kubectl -n ${SPIRE_NAMESPACE} exec deployment/spire-server -- /spire-server`;
  writeFileSync(server, `#!/bin/sh\nexec ${exec} "$@"\n`, { mode: 0o755 });
  await cluster.run(['sh', join(folder, 'register.sh'), '-socketPath', SERVER_SOCKET], {
    environment: { SPIRE_SERVER: server },
  });
  await startTools(cluster, tools);
}

/** Runs the commands of the page as a reader would: the last one once the new pods run. Returns what each did. */
export async function installByPage(cluster: Cluster, folder: string): Promise<readonly Ran[]> {
  const commands = pageInstall();
  const ran: Ran[] = [];
  for (const [at, command] of commands.entries()) {
    if (at === commands.length - 1) await cluster.kubectl('-n demo rollout status deployment/tools');
    ran.push(await cluster.tried(['sh', '-c', command], { cwd: folder }));
  }
  return ran;
}

/** Puts the policies of the folder in force, by the commands of the page: the sidecars are made again, since their volume has another name. */
export async function permit(cluster: Cluster, folder: string): Promise<void> {
  for (const command of pageCommands(PAGE, 'Policies')) await cluster.run(['sh', '-c', command], { cwd: folder });
  await cluster.kubectl('-n remit rollout status statefulset/remit-authority');
  await cluster.kubectl('-n demo rollout status deployment/tools');
}
