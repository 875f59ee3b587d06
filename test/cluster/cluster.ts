import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { until } from '../until.ts';
import { startAddons } from './addons.ts';
import { layoutOf } from './machine/layout.ts';
import type { Layout } from './machine/layout.ts';
import type { ClusterParts } from './cluster-parts.ts';
import { limitMsOf, progressAfter } from './limits.ts';
import { preparedImages } from './prepared-images.ts';

/** What a command did. */
export interface Ran {
  /** Its exit code. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command is run with. */
export interface RunOptions {
  /** Text for stdin, or objects of Kubernetes. */
  readonly input?: string | readonly object[];
  /** Working folder. Default that of this process. */
  readonly cwd?: string;
  /** Further variables. */
  readonly environment?: Readonly<Record<string, string>>;
  /** When it is ended. Default by what it does: `limits.ts`. */
  readonly timeoutMs?: number;
}

/** How a cluster is started. */
export interface ClusterOptions {
  /** An existing, empty folder, whose name begins with `remit-cluster-`. Default a new one among the temporary files. */
  readonly folder?: string;
  /** An archive in the cache whose images it has from its start. Default those of its own pods alone. */
  readonly images?: string;
  /** Called with a line for each step. */
  readonly say?: (line: string) => void;
  /** Whether it goes on after this process has ended. Default no: it ends with it, even by SIGKILL. */
  readonly isDetached?: boolean;
}

const here = import.meta.dirname;
const PREFIX = 'remit-cluster-';
const READY_MS = 300_000;
/** What `kubectl` says if it could not send its first request. */
const UNREACHED = /^Unable to connect to the server: net\/http: TLS handshake timeout$/m;
const UNREACHED_AGAIN = 3;

/**
 * A Kubernetes of one node that runs pods, with SPIRE and its CSI driver, in namespaces of its own. Commands run in them, and see the files of the
 * machine as they are but for `/run`. Everything it keeps is in memory.
 *
 * Lifecycle: {@link startCluster} gives one that is ready, {@link runningCluster} one that was started elsewhere; `close` ends it and waits until
 * nothing of it is left.
 */
export class Cluster {
  readonly layout: Layout;
  readonly #parts: ClusterParts;

  constructor(layout: Layout, parts: ClusterParts) {
    this.layout = layout;
    this.#parts = parts;
  }

  /** The words that run a command in the cluster, for `spawn`. */
  wordsFor(command: readonly string[], { cwd = process.cwd(), environment = {} }: RunOptions = {}): readonly string[] {
    const variables = Object.entries({ ...this.environment, ...environment }).map(
      ([name, value]) => `${name}=${value}`,
    );
    const enter = ['nsenter', '--target', String(firstProcess(this.layout)), '--mount', '--net', '--pid'];
    return [...enter, 'env', '--ignore-environment', `--chdir=${cwd}`, ...variables, ...command];
  }

  /** What clients of Kubernetes and of the registry read of their environment. */
  get environment(): Readonly<Record<string, string>> {
    const { kubectl, helm, ctr } = this.#parts.clients;
    const folders = [kubectl, helm, ctr].map((path) => resolve(path, '..'));
    return {
      PATH: [...folders, process.env['PATH'] ?? '', '/usr/sbin:/usr/bin:/sbin:/bin'].join(':'),
      HOME: this.layout.state,
      KUBECONFIG: this.layout.kubeconfig,
      CONTAINERD_ADDRESS: this.layout.containerdSocket,
      CONTAINERD_NAMESPACE: 'k8s.io',
      SSL_CERT_FILE: this.layout.registryCertificate,
    };
  }

  /** Runs a command in the cluster, whatever becomes of it. It is run again if nothing of it has reached the API server, as on a slow machine. */
  async tried(command: readonly string[], options: RunOptions = {}): Promise<Ran> {
    for (let again = UNREACHED_AGAIN; ; again -= 1) {
      const ran = await this.#once(command, options);
      if (again === 0 || !UNREACHED.test(ran.stderr)) return ran;
    }
  }

  #once(command: readonly string[], options: RunOptions): Promise<Ran> {
    const { input, timeoutMs = limitMsOf(command) } = options;
    const [enter = '', ...words] = this.wordsFor(command, options);
    return new Promise((done) => {
      const child = execFile(
        enter,
        words,
        { timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024, killSignal: 'SIGKILL' },
        (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
          const late = error?.killed === true ? `\nended after ${timeoutMs / 1_000} s` : '';
          done({ status, stdout, stderr: (stderr === '' && error !== null ? error.message : stderr) + late });
        },
      );
      child.stdin?.on('error', () => {}).end(typeof input === 'object' ? listOf(input) : (input ?? ''));
    });
  }

  /** Runs a command in the cluster and returns what it wrote on stdout. Rejects with what it wrote, and with what is not ready if it waited. */
  async run(command: readonly string[], options?: RunOptions): Promise<string> {
    const { status, stderr, stdout } = await this.tried(command, options);
    if (status === 0) return stdout;
    const progress = await progressAfter(command, (words) => this.tried(words));
    throw new Error(`\`${command.join(' ')}\` ended with ${status}: ${stderr}${stdout}${progress}`);
  }

  /** Runs `kubectl` with these words, as {@link run} does. */
  kubectl(words: string, options?: RunOptions): Promise<string> {
    return this.run(['kubectl', ...words.split(' ')], options);
  }

  /** Creates or changes objects. */
  async apply(...objects: readonly object[]): Promise<void> {
    await this.run(['kubectl', 'apply', '-f', '-'], { input: objects });
  }

  /** Imports the images of an archive under the names that it has for them. */
  async load(archive: string): Promise<void> {
    await this.run(['ctr', 'images', 'import', '--platform', `linux/${goArchitecture}`, resolve(archive)]);
  }

  /** Ends all of it, and waits until nothing is left. */
  async close(): Promise<void> {
    await endCluster(this.layout.folder);
  }
}

/** Ends the cluster of a folder, and waits until nothing is left. Returns whether one ran there. */
export async function endCluster(folder: string): Promise<boolean> {
  const owner = ownerOf(folder);
  if (owner !== null) process.kill(owner, 'SIGKILL');
  await until(() => !existsSync(folder), { what: 'the end of the cluster' });
  return owner !== null;
}

const goArchitecture = process.arch === 'x64' ? 'amd64' : process.arch;

const listOf = (items: readonly object[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

/** Starts one and waits until it has DNS and SPIRE. Rejects, with what its programs said last, if it is not ready in 3 minutes. Takes root. */
export async function startCluster(parts: ClusterParts, options: ClusterOptions = {}): Promise<Cluster> {
  const { isDetached = false, say = () => {} } = options;
  if (process.getuid?.() !== 0) throw new Error('a cluster takes root, for namespaces, mounts and control groups');
  sweep();
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), PREFIX));
  const layout = layoutOf(folder);
  mkdirSync(layout.state);
  say(`folder: ${folder}`);
  const log = join(folder, 'machine.log');
  const output = openSync(log, 'a');
  const machine = [
    process.execPath,
    '--no-warnings',
    join(here, 'machine/machine.ts'),
    folder,
    JSON.stringify(parts.node),
    await preparedImages(parts, options.images),
  ];
  // The first process of a namespace has to reap those that lost their parents, which a shell does.
  const shell = ['bash', '-c', '"$@" & wait $!', 'bash', ...machine];
  const unshare = ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', ...shell];
  const [command = '', ...args] = isDetached ? unshare : ['setpriv', '--pdeathsig', 'KILL', ...unshare];
  const child = spawn(command, args, { stdio: ['ignore', output, output], detached: true });
  if (child.pid === undefined) throw new Error(`\`${command}\` could not be started`);
  writeFileSync(join(folder, 'owner'), String(child.pid));
  spawn('sh', [join(here, 'broom.sh'), folder, String(child.pid)], { stdio: 'ignore', detached: true }).unref();
  child.unref();
  const cluster = new Cluster(layout, parts);
  try {
    await follow(log, { say, hasEnded: () => child.exitCode !== null || child.signalCode !== null });
    await startAddons(cluster, say);
    return cluster;
  } catch (error) {
    const said = existsSync(log) ? readFileSync(log, 'utf8') : '';
    await cluster.close();
    throw new Error(`the cluster does not start: ${said}${String(error)}`, { cause: error });
  }
}

/** Repeats the lines of a machine until it is ready. */
async function follow(
  log: string,
  { hasEnded, say }: { readonly say: (line: string) => void; readonly hasEnded: () => boolean },
): Promise<void> {
  let said = 0;
  await until(
    () => {
      const lines: readonly string[] = readFileSync(log, 'utf8').match(/^[\w ]+: ready$/gm) ?? [];
      for (const line of lines.slice(said)) say(line);
      said = lines.length;
      if (hasEnded()) throw new Error('its first process ended');
      return lines.includes('node: ready');
    },
    { what: 'a node that is ready', withinMs: READY_MS },
  );
}

/** The cluster of a folder, or null if none runs there. */
export const runningCluster = (folder: string, parts: ClusterParts): Cluster | null =>
  ownerOf(folder) === null ? null : new Cluster(layoutOf(folder), parts);

/** The process whose end is that of the cluster, or null if it has ended. */
function ownerOf(folder: string): number | null {
  const file = join(folder, 'owner');
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : NaN;
  const command = join('/proc', String(pid), 'comm');
  // Another process may have its number by now.
  return existsSync(command) && ['unshare', 'setpriv'].includes(readFileSync(command, 'utf8').trim()) ? pid : null;
}

/** Process 1 of the namespaces, by its number outside. */
function firstProcess({ folder }: Layout): number {
  const owner = ownerOf(folder);
  if (owner === null) throw new Error(`no cluster runs in \`${folder}\``);
  const [child = ''] = readFileSync(`/proc/${owner}/task/${owner}/children`, 'utf8').trim().split(' ');
  return Number(child);
}

/** Removes what clusters left whose broom was killed too. */
function sweep(): void {
  for (const name of readdirSync(tmpdir()).filter((name) => name.startsWith(PREFIX))) {
    const folder = join(tmpdir(), name);
    // Without that file it may be about to start.
    if (!existsSync(join(folder, 'owner')) || ownerOf(folder) !== null) continue;
    execFileSync('sh', [join(here, 'broom.sh'), folder, readFileSync(join(folder, 'owner'), 'utf8')]);
  }
}
