import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pageCommands } from '../../pages/page-commands.ts';
import { SERVER_SOCKET, SPIRE_NAMESPACE } from '../addons/spire.ts';
import type { Cluster } from '../cluster.ts';
import { currentRelease, publish } from '../release.ts';

const root = resolve(import.meta.dirname, '../../..');

/** The page that the tests follow. */
const PAGE = 'deploy/guide/install/hosts/istio.md';

const page = readFileSync(join(root, PAGE), 'utf8');

/** The objects of one section of the page. */
function pageYaml(title: string): string {
  const [, section = ''] = page.split(new RegExp(`^## ${title}$`, 'm'));
  const blocks = (section.split(/^## /m)[0] ?? '').matchAll(/^```yaml\n([^]*?)^```/gm);
  return [...blocks].map(([, text = '']) => text).join('---\n');
}

/** Makes what a reader of the page has: the release in its registry, and `remit` and `spire-server` on the path. */
export async function preparePage(cluster: Cluster, folder: string): Promise<void> {
  await publish(cluster, await currentRelease());
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const command = (name: string, words: string): void =>
    writeFileSync(join(bin, name), `#!/bin/sh\nexec ${words}\n`, { mode: 0o755 });
  command('remit', `${process.execPath} --no-warnings ${join(root, 'src/main.ts')} "$@"`);
  const server = `kubectl -n ${SPIRE_NAMESPACE} exec deployment/spire-server -- /spire-server`;
  command('spire-server', `${server} "$@" -socketPath ${SERVER_SOCKET}`);
  await cluster.apply(
    ...['demo', 'agents'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'planner', namespace: 'agents' } },
  );
}

/** Runs a command of the page in the folder that has those commands. */
export async function runAsReader(cluster: Cluster, folder: string, command: string): Promise<string> {
  const path = `${join(folder, 'bin')}:${cluster.environment['PATH'] ?? ''}`;
  return cluster.run(['sh', '-ec', command], { cwd: folder, environment: { PATH: path } });
}

/** What is not the same in every installation. */
export interface PageOptions {
  /** Changes the providers of `mesh.yaml` once they are written. Default not at all. */
  readonly change?: ((mesh: string) => string) | undefined;
  /** Whether the section "Observe first" is followed. Default no. */
  readonly isObserved?: boolean | undefined;
}

/** Applies the tool servers of the page, runs its commands, and waits until the tool servers have both sidecars. */
export async function installByIstioPage(
  cluster: Cluster,
  folder: string,
  { change = (mesh) => mesh, isObserved = false }: PageOptions = {},
): Promise<void> {
  await cluster.run(['kubectl', 'apply', '-f', '-'], { input: pageYaml('The tool servers') });
  const [init = '', ...others] = pageCommands(PAGE, 'Install it');
  const [observing = ''] = pageCommands(PAGE, 'Observe first');
  await runAsReader(cluster, folder, isObserved ? observing : init);
  for (const name of ['istio', 'enforcing/istio']) {
    const file = join(folder, 'mesh', name, 'mesh.yaml');
    if (existsSync(file)) writeFileSync(file, change(readFileSync(file, 'utf8')));
  }
  for (const command of others) await runAsReader(cluster, folder, command);
  await cluster.kubectl('-n demo rollout status deployment/tools');
}

/** Ends observing by the commands of the page's section "Enforce". */
export async function enforceByIstioPage(cluster: Cluster, folder: string): Promise<void> {
  for (const command of pageCommands(PAGE, 'Enforce')) await runAsReader(cluster, folder, command);
}

/** Starts the agent of the page: the pod `planner` in the namespace `agents`. */
export async function startFirstAgent(cluster: Cluster, folder: string): Promise<void> {
  for (const command of pageCommands(PAGE, 'The first agent')) await runAsReader(cluster, folder, command);
  await cluster.run(['kubectl', 'apply', '-f', '-'], { input: pageYaml('The first agent') });
}
