import { spawn } from 'node:child_process';
import { cpSync, existsSync, openSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { Agent, get } from 'node:https';
import { dirname, join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import { until } from '../../until.ts';
import { writeConfiguration } from './configuration.ts';
import { API_PORT, CONTAINERD_ROOT, layoutOf, NODE_ADDRESS } from './layout.ts';
import { makeOwnNetwork, makeOwnView, takeShareOfPods } from './own-view.ts';
import { clientPrograms, containerRuntime, firstPrograms, kubelet } from './programs.ts';
import type { ClusterBinaries, Program } from './programs.ts';

/**
 * The node of a cluster: `machine.ts FOLDER BINARIES IMAGES`, in mount, network and process namespaces of its own (`cluster.ts` makes them), with the
 * paths of its programs as JSON and the folder of `prepared-images.ts`. It writes a line for each step to stdout, the last of which is `READY`, and runs until it is ended. If a
 * program ends it says what that said last, and ends with 1, which ends all others.
 */

const [folder = '', paths = '', images = ''] = process.argv.slice(2);
const binaries: ClusterBinaries = JSON.parse(paths);
const layout = layoutOf(folder);

/** The last line of a node that answers. */
const READY = 'node: ready';

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

function start({ args, name }: Program): void {
  const file = join(layout.logs, `${name}.log`);
  const log = openSync(file, 'a');
  const child = spawn(binaries[name], args, { stdio: ['ignore', log, log], env: environment });
  child.once('error', (error) => end(`${name} could not be started: ${error.message}`));
  child.once('exit', (code, signal) =>
    end(`${name} ended with ${code ?? signal}: ${readFileSync(file, 'utf8').split('\n').slice(-20).join('\n')}`),
  );
}

/** The path leads to `runc`, `nft`, `ip` and the shim, which is beside containerd. */
const environment = {
  PATH: `${join(binaries.containerd, '..')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin`,
  HOME: layout.state,
};

/**
 * Folders of the prepared images whose entries are only read, so that links to them do: images as they were sent, and what was unpacked of them, which
 * containers have below a layer of their own.
 */
const READ_ONLY = [
  'io.containerd.content.v1.content/blobs/sha256',
  'io.containerd.snapshotter.v1.overlayfs/snapshots',
].map((path) => join(images, path));

/** Takes the prepared images: hundreds of MB by links, and a copy of what containerd changes. */
function takeImages(): void {
  cpSync(images, CONTAINERD_ROOT, { recursive: true, filter: (path) => !READ_ONLY.includes(dirname(path)) });
  for (const folder of READ_ONLY)
    for (const name of readdirSync(folder))
      symlinkSync(join(folder, name), join(CONTAINERD_ROOT, relative(images, folder), name));
}

function end(why: string): void {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

/** Whether the API server says that it is ready; not, while its certificate or its port is missing. */
async function isReady(certificate: string, token: string): Promise<boolean> {
  if (!existsSync(certificate)) return false;
  const agent = new Agent({ ca: readFileSync(certificate) });
  const to = { host: NODE_ADDRESS, port: API_PORT, path: '/readyz', headers: { authorization: `Bearer ${token}` } };
  return new Promise((resolve) => {
    get({ ...to, agent }, (answer) => {
      text(answer).then(
        (body) => resolve(body === 'ok'),
        () => resolve(false),
      );
    }).on('error', () => resolve(false));
  });
}

try {
  takeShareOfPods();
  makeOwnView(layout);
  makeOwnNetwork();
  const configuration = writeConfiguration(layout);
  for (const program of firstPrograms(layout, configuration)) start(program);
  // While the API server starts.
  takeImages();
  say('images: ready');
  start(containerRuntime(configuration));
  // A kubelet ends without either.
  await until(() => [layout.containerdSocket, configuration.apiCertificate].every((path) => existsSync(path)), {
    what: 'the socket of containerd and the certificate of the API server',
  });
  say('container runtime: ready');
  start(kubelet(layout, configuration));
  await until(() => isReady(configuration.apiCertificate, configuration.token), {
    what: 'an API server that is ready',
    withinMs: 240_000,
  });
  say('API server: ready');
  for (const program of clientPrograms(layout, configuration)) start(program);
  say(READY);
} catch (error) {
  end(error instanceof Error ? error.message : String(error));
}
