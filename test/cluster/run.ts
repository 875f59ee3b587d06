import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Cluster, endCluster, runningCluster, startCluster } from './cluster.ts';
import { findClusterParts } from './cluster-parts.ts';
import type { ClusterParts } from './cluster-parts.ts';
import { findIstioCluster } from '../parts/istio-cluster.ts';
import { installIstio } from './istio/mesh.ts';

const HELP = `Runs a Kubernetes of one node on this machine: real pods, with SPIRE and its CSI driver, in namespaces of its own.

  npm run cluster -- up                   starts one in the background, and says how to use it
  npm run cluster -- kubectl ARGUMENTS    runs kubectl in it: get pods -A
  npm run cluster -- exec COMMAND         runs any command in it, such as helm, ctr or a shell
  npm run cluster -- istio                installs Istio in it, which \`npm run parts -- istio-cluster\` builds
  npm run cluster -- load ARCHIVE..       imports images under the names that the archives have for them
  npm run cluster -- down                 ends it; nothing of it is left
  npm run cluster -- run COMMAND          starts one for this command, and ends it after it, with its exit code

  --name NAME    before any of these: another cluster than \`default\`. Several may run

It takes root, Linux with overlayfs and nftables, about 2 GB of memory, and what \`npm run parts -- cluster\` installs. It was tried with control
groups of version 1. All that it keeps is in memory.
`;

const say = (line: string): void => {
  process.stdout.write(`cluster: ${line}\n`);
};

/** An error that is told as it is, with exit code 2. */
class Usage extends Error {}

async function main(words: readonly string[]): Promise<number> {
  const name = words[0] === '--name' ? (words[1] ?? '') : 'default';
  const [command, ...rest] = words[0] === '--name' ? words.slice(2) : words;
  if (command === undefined || command === '--help' || command === 'help') {
    process.stdout.write(HELP);
    return command === undefined ? 2 : 0;
  }
  if (!/^[a-z0-9-]{1,40}$/.test(name)) throw new Usage(`\`${name}\` is no name: use small letters, digits and dashes`);
  const folder = join(tmpdir(), `remit-cluster-${name}`);
  const none = new Usage(`no cluster \`${name}\` runs: start one with \`npm run cluster -- up\``);
  if (command === 'down') {
    // Whatever it was started with may have another version by now.
    if (!(await endCluster(folder))) throw none;
    say('gone');
    return 0;
  }
  const parts = findClusterParts();
  if ('missing' in parts) throw new Usage(`a part of the cluster is missing: \`${parts.missing}\` installs it`);
  const running = (): Cluster => {
    const found = runningCluster(folder, parts);
    if (found === null) throw none;
    return found;
  };
  switch (command) {
    case 'up':
      return up(folder, parts);
    case 'kubectl':
      return attached(running(), ['kubectl', ...rest]);
    case 'exec':
      return attached(running(), commandIn(rest));
    case 'load':
      for (const archive of rest) {
        await running().load(resolve(process.env['INIT_CWD'] ?? '', archive));
        say(`${archive}: loaded`);
      }
      return 0;
    case 'istio':
      return istioIn(running());
    case 'run':
      return during(commandIn(rest), parts);
    default:
      throw new Usage(`unknown command \`${command}\`: see \`npm run cluster -- --help\``);
  }
}

function commandIn(words: readonly string[]): readonly string[] {
  if (words.length === 0) throw new Usage('a command is missing: see `npm run cluster -- --help`');
  return words;
}

async function up(folder: string, parts: ClusterParts): Promise<number> {
  if (runningCluster(folder, parts) !== null) throw new Usage('it runs already: end it with `npm run cluster -- down`');
  // What one that was killed with its broom left.
  if (existsSync(folder)) rmSync(folder, { recursive: true });
  mkdirSync(folder);
  const started = performance.now();
  await startCluster(parts, { folder, isDetached: true, say });
  say(
    `ready after ${((performance.now() - started) / 1_000).toFixed(1)} s: \`npm run cluster -- kubectl get pods -A\``,
  );
  return 0;
}

/** Istio by its own charts, with SPIRE's trust domain and the template `spire` for pods. */
async function istioIn(cluster: Cluster): Promise<number> {
  const istio = findIstioCluster();
  if (istio === null) throw new Usage('Istio is missing: `npm run parts -- istio-cluster` installs it');
  const folder = mkdtempSync(join(tmpdir(), 'remit-istio-'));
  try {
    await cluster.load(istio.images);
    await installIstio(cluster, istio, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
  say('Istio: ready');
  return 0;
}

/** A signal ends the command, and so the cluster. */
async function during(command: readonly string[], parts: ClusterParts): Promise<number> {
  const cluster = await startCluster(parts, { say });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  try {
    return await attached(cluster, command);
  } finally {
    await cluster.close();
    say('gone');
  }
}

/** Runs a command at this terminal, in the folder that npm was called in. */
function attached(cluster: Cluster, command: readonly string[]): Promise<number> {
  const cwd = process.env['INIT_CWD'] ?? process.cwd();
  const [enter = '', ...words] = cluster.wordsFor(command, { cwd });
  return new Promise((done, failed) => {
    const child = spawn(enter, words, { stdio: 'inherit' });
    child.once('error', failed);
    child.once('exit', (code) => done(code ?? 1));
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`cluster: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof Usage ? 2 : 1;
}
