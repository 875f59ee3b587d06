import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DevProcess } from '../../src/dev/child.ts';
import type { SpireBinaries } from '../parts.ts';
import { freePort } from '../free-port.ts';

/** The files of one X509-SVID as `spire-agent` writes them, and their contents. */
export interface SpireSvid {
  readonly certificate: string;
  readonly key: string;
  readonly bundle: string;
  readonly certPem: string;
  readonly keyPem: string;
  readonly bundlePem: string;
}

/** Extras of a registration entry. */
export interface EntryOptions {
  /** Lifetime of its X509-SVIDs in seconds; default 3600. */
  readonly ttlSeconds?: number;
  readonly dns?: readonly string[];
  /** The program whose processes are meant; default all processes of this user. */
  readonly program?: string;
  /** Foreign trust domains whose bundles come with its SVID; each first needs {@link Spire.federate}. */
  readonly federatesWith?: readonly string[];
}

const run = promisify(execFile);

/**
 * A real SPIRE server and agent of our own, in a temporary folder. Lifecycle: `start` gives one that serves, `stop` ends both
 * and removes the folder. Everybody of this user may have every identity that is registered without a program: each side picks the one it
 * wants by its SPIFFE ID.
 */
export class Spire {
  readonly trustDomain: string;
  /** The Workload API socket of the agent, for workloads and for Envoy's SDS. */
  readonly workloadSocket: string;
  /** The socket that `spire-server` is controlled by. */
  readonly controlSocket: string;
  readonly #folder: string;
  readonly #binaries: SpireBinaries;
  readonly #children: readonly DevProcess[];
  #fetches = 0;

  private constructor(made: { folder: string; trustDomain: string; binaries: SpireBinaries; children: DevProcess[] }) {
    this.trustDomain = made.trustDomain;
    this.workloadSocket = agentSocket(made.folder);
    this.controlSocket = serverSocket(made.folder);
    this.#folder = made.folder;
    this.#binaries = made.binaries;
    this.#children = made.children;
  }

  /** Starts both and waits until the agent has joined. Throws, with what SPIRE said, where it does not in 30 s. */
  static async start(
    binaries: SpireBinaries,
    { trustDomain = 'acme.test' }: { readonly trustDomain?: string } = {},
  ): Promise<Spire> {
    const folder = await mkdtemp(join(tmpdir(), 'spire-'));
    const children: DevProcess[] = [];
    try {
      const port = await freePort();
      await writeFile(join(folder, 'server.conf'), serverConfig(folder, trustDomain, port));
      await writeFile(join(folder, 'agent.conf'), agentConfig(folder, trustDomain, port));
      const server = new DevProcess(binaries.server, ['run', '-config', join(folder, 'server.conf')]);
      children.push(server);
      const control = ['-socketPath', serverSocket(folder)];
      await healthy(server, () => run(binaries.server, ['healthcheck', ...control]));
      const bundle = await run(binaries.server, ['bundle', 'show', ...control]);
      await writeFile(join(folder, 'bootstrap.pem'), bundle.stdout);
      const node = ['-spiffeID', `spiffe://${trustDomain}/node`, '-output', 'json'];
      const token: unknown = JSON.parse(
        (await run(binaries.server, ['token', 'generate', ...control, ...node])).stdout,
      );
      const agent = new DevProcess(binaries.agent, [
        'run',
        '-config',
        join(folder, 'agent.conf'),
        '-joinToken',
        valueOf(token),
      ]);
      children.unshift(agent);
      await healthy(agent, () => run(binaries.agent, ['healthcheck', '-socketPath', agentSocket(folder)]));
      return new Spire({ folder, trustDomain, binaries, children });
    } catch (error) {
      await endAll(children, folder);
      throw error;
    }
  }

  /** Registers `path` (`/ns/agents/sa/planner`) for the processes of this user and returns its SPIFFE ID. */
  async register(path: string, options: EntryOptions = {}): Promise<string> {
    await this.#write('create', path, options);
    return `spiffe://${this.trustDomain}${path}`;
  }

  /** Replaces what {@link register} registered under a path, other than before: workloads get a new SVID within a few seconds. */
  async change(path: string, options: EntryOptions): Promise<void> {
    const [entryId = ''] = await this.#entryIds(`spiffe://${this.trustDomain}${path}`);
    await this.#write('update', path, options, ['-entryID', entryId]);
  }

  async #write(
    verb: 'create' | 'update',
    path: string,
    { ttlSeconds = 3600, dns = [], federatesWith = [], program }: EntryOptions,
    which: readonly string[] = [],
  ): Promise<void> {
    const flags = {
      '-socketPath': serverSocket(this.#folder),
      '-parentID': `spiffe://${this.trustDomain}/node`,
      '-spiffeID': `spiffe://${this.trustDomain}${path}`,
      '-selector': program === undefined ? `unix:uid:${process.getuid?.() ?? 0}` : `unix:path:${program}`,
      '-x509SVIDTTL': String(ttlSeconds),
    };
    const more = [
      ...dns.flatMap((name) => ['-dns', name]),
      ...federatesWith.flatMap((name) => ['-federatesWith', `spiffe://${name}`]),
    ];
    await run(this.#binaries.server, ['entry', verb, ...which, ...Object.entries(flags).flat(), ...more]);
  }

  /** Tells the server the bundle of a foreign trust domain. */
  async federate(trustDomain: string, bundlePem: string): Promise<void> {
    const path = join(this.#folder, `${trustDomain}.pem`);
    await writeFile(path, bundlePem);
    const bundle = ['-id', `spiffe://${trustDomain}`, '-path', path, '-format', 'pem'];
    await run(this.#binaries.server, ['bundle', 'set', '-socketPath', serverSocket(this.#folder), ...bundle]);
  }

  /** Takes back what {@link register} registered under `id`. */
  async unregister(id: string): Promise<void> {
    for (const entryId of await this.#entryIds(id))
      await run(this.#binaries.server, [
        'entry',
        'delete',
        '-socketPath',
        serverSocket(this.#folder),
        '-entryID',
        entryId,
      ]);
  }

  async #entryIds(id: string): Promise<readonly string[]> {
    const control = ['-socketPath', serverSocket(this.#folder)];
    const shown = await run(this.#binaries.server, ['entry', 'show', ...control, '-spiffeID', id, '-output', 'json']);
    return [...shown.stdout.matchAll(/"id":\s*"([0-9a-f-]{36})"/g)].map(([, entryId = '']) => entryId);
  }

  /** Ends the agent alone; the server goes on. */
  async stopAgent(): Promise<void> {
    await this.#children[0]?.end();
  }

  /** Fetches the X509-SVID of `id` from the agent, which learns of a new entry within a second or two. */
  async fetchX509(id: string): Promise<SpireSvid> {
    for (let attempt = 0; attempt < 60; attempt += 1) {
      const svid = await this.#fetched(id);
      if (svid !== null) return svid;
      await delay(250);
    }
    throw new Error(`the agent has no svid for \`${id}\``);
  }

  /** Ends the agent and the server. */
  stop(): Promise<void> {
    return endAll(this.#children, this.#folder);
  }

  async #fetched(id: string): Promise<SpireSvid | null> {
    this.#fetches += 1;
    const folder = join(this.#folder, `svids-${this.#fetches}`);
    await mkdir(folder);
    try {
      await run(this.#binaries.agent, ['api', 'fetch', 'x509', '-socketPath', this.workloadSocket, '-write', folder]);
    } catch {
      return null;
    }
    const count = (await readdir(folder)).filter((name) => /^svid\.\d+\.pem$/.test(name)).length;
    for (let index = 0; index < count; index += 1) {
      const files = {
        certificate: join(folder, `svid.${index}.pem`),
        key: join(folder, `svid.${index}.key`),
        bundle: join(folder, `bundle.${index}.pem`),
      };
      const certPem = await readFile(files.certificate, 'utf8');
      if (new X509Certificate(certPem).subjectAltName?.includes(`URI:${id}`) !== true) continue;
      const [keyPem, bundlePem] = await Promise.all([readFile(files.key, 'utf8'), readFile(files.bundle, 'utf8')]);
      return { ...files, certPem, keyPem, bundlePem };
    }
    return null;
  }
}

const serverSocket = (folder: string): string => join(folder, 'server.sock');
const agentSocket = (folder: string): string => join(folder, 'agent.sock');

const serverConfig = (folder: string, trustDomain: string, port: number): string => `
server {
  trust_domain = "${trustDomain}"
  bind_address = "127.0.0.1"
  bind_port = ${port}
  socket_path = "${serverSocket(folder)}"
  data_dir = "${folder}/server"
  log_level = "WARN"
  experimental { cache_reload_interval = "1s" }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${folder}/server.sqlite3" } }
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
}
`;

const agentConfig = (folder: string, trustDomain: string, port: number): string => `
agent {
  trust_domain = "${trustDomain}"
  server_address = "127.0.0.1"
  server_port = ${port}
  socket_path = "${agentSocket(folder)}"
  trust_bundle_path = "${folder}/bootstrap.pem"
  data_dir = "${folder}/agent"
  log_level = "WARN"
  experimental { sync_interval = "1s" }
}
plugins {
  NodeAttestor "join_token" { plugin_data {} }
  KeyManager "memory" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data { discover_workload_path = true workload_size_limit = -1 } }
}
`;

/** Waits until `check` passes. Throws where the child ends, or after 30 s. */
async function healthy(child: DevProcess, check: () => Promise<unknown>): Promise<void> {
  for (let attempt = 0; attempt < 120 && !child.ended; attempt += 1) {
    const passed = await check().then(
      () => true,
      () => false,
    );
    if (passed) return;
    await delay(250);
  }
  throw new Error(`spire did not come up: ${[...child.stdout, ...child.stderr].slice(-5).join(' | ')}`);
}

async function endAll(children: readonly DevProcess[], folder: string): Promise<void> {
  for (const child of children) await child.end();
  await rm(folder, { recursive: true, force: true });
}

/** A port of loopback that nobody had a moment ago: SPIRE does not take 0. */

function valueOf(token: unknown): string {
  if (typeof token === 'object' && token !== null && 'value' in token && typeof token.value === 'string')
    return token.value;
  throw new Error('spire gave no join token');
}
