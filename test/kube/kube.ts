import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { stringify } from 'yaml';
import { DevProcess } from '../../src/dev/child.ts';
import { freePorts } from '../free-port.ts';
import type { KubernetesBinaries } from '../parts.ts';
import { until } from '../until.ts';

/** Beside two busy loops an API server has taken over 90 s. */
const READY_MS = 240_000;

/** What a command did. */
export interface Ran {
  /** Its exit code. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a `kubectl` is run with. */
export interface KubectlOptions {
  /** For `-f -`: text, or one object, or several as a List. */
  readonly input?: string | readonly object[];
}

/**
 * A real API server of Kubernetes with its etcd, on loopback. Nothing else of a cluster runs: no controller, no scheduler, no kubelet. So Pods are
 * admitted and kept but never start, a Deployment makes no Pods, and a deleted namespace stays. Its users are told apart by RBAC; a service account
 * needs not exist.
 *
 * Lifecycle: {@link startKube} gives one that is ready; `close` ends both programs and removes their folder.
 */
export class Kube {
  readonly #folder: string;
  readonly #binaries: KubernetesBinaries;
  readonly #children: readonly DevProcess[];

  constructor(at: {
    readonly folder: string;
    readonly binaries: KubernetesBinaries;
    readonly children: readonly DevProcess[];
  }) {
    this.#folder = at.folder;
    this.#binaries = at.binaries;
    this.#children = at.children;
  }

  /** The file that clients connect with, as an administrator of all. */
  get kubeconfig(): string {
    return join(this.#folder, 'kubeconfig');
  }

  /** What clients of Kubernetes read of their environment: `PATH`, this kubeconfig, and a home folder that is removed with it. */
  get environment(): NodeJS.ProcessEnv {
    return { PATH: process.env['PATH'], HOME: this.#folder, KUBECONFIG: this.kubeconfig };
  }

  /** Runs any client of Kubernetes, such as `helm`, in {@link environment}. Ends it after 2 minutes. */
  run(binary: string, args: readonly string[], { input }: KubectlOptions = {}): Promise<Ran> {
    return new Promise((resolve) => {
      const child = execFile(
        binary,
        args,
        { env: this.environment, cwd: this.#folder, timeout: 120_000, maxBuffer: 64 * 1024 * 1024 },
        (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
          resolve({ status, stdout, stderr: stderr === '' && error !== null ? error.message : stderr });
        },
      );
      child.stdin?.on('error', () => {}).end(typeof input === 'object' ? listOf(input) : (input ?? ''));
    });
  }

  /** Runs `kubectl`, whatever becomes of it. */
  tried(args: readonly string[], options?: KubectlOptions): Promise<Ran> {
    return this.run(this.#binaries.kubectl, args, options);
  }

  /** Runs `kubectl` and returns what it wrote on stdout. Rejects with what it wrote on stderr where it fails. */
  async kubectl(args: readonly string[], options?: KubectlOptions): Promise<string> {
    const { status, stdout, stderr } = await this.tried(args, options);
    if (status !== 0) throw new Error(`\`kubectl ${args.join(' ')}\` ended with ${status}: ${stderr}`);
    return stdout;
  }

  /** Creates or changes objects on the server and returns the object it then has, or a List of them. */
  async apply(...objects: readonly object[]): Promise<unknown> {
    return JSON.parse(await this.kubectl(['apply', '--server-side', '-o', 'json', '-f', '-'], { input: objects }));
  }

  /** Creates a namespace with these labels. */
  async namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  }

  /** Ends both programs. */
  close(): Promise<void> {
    return endAll(this.#children, this.#folder);
  }
}

/** Starts both and waits until the API server is ready. Rejects, with what they said last, if it is not in 240 s. */
export async function startKube(binaries: KubernetesBinaries): Promise<Kube> {
  const folder = await mkdtemp(join(tmpdir(), 'kube-'));
  const children: DevProcess[] = [];
  try {
    const [client = 0, peer = 0, port = 0] = await freePorts(3);
    children.push(new DevProcess(binaries.etcd, etcdArguments(folder, { client, peer })));
    const token = randomBytes(16).toString('hex');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = privateKey.export({ type: 'sec1', format: 'pem' });
    await writeFile(join(folder, 'service-accounts.key'), key, { mode: 0o600 });
    await writeFile(join(folder, 'tokens.csv'), `${token},admin,admin,"system:masters"\n`, { mode: 0o600 });
    const server = new DevProcess(binaries.apiServer, serverArguments(folder, { port, etcd: client }));
    children.unshift(server);
    const authority = join(folder, 'certificates', 'apiserver.crt');
    await writeFile(join(folder, 'kubeconfig'), kubeconfig({ port, token, authority }), { mode: 0o600 });
    await until(
      async () => {
        if (server.ended) throw new Error('the API server ended');
        return isReady({ port, token, authority });
      },
      { what: 'an API server that is ready', withinMs: READY_MS },
    );
    return new Kube({ folder, binaries, children });
  } catch (error) {
    const said = children.flatMap(({ stderr }) => stderr.slice(-10)).join('\n');
    await endAll(children, folder);
    throw new Error(`Kubernetes does not start: ${said}`, { cause: error });
  }
}

/** Its writes are not synced: what is kept ends with the test. */
function etcdArguments(folder: string, at: { readonly client: number; readonly peer: number }): readonly string[] {
  const [client, peer] = [`http://127.0.0.1:${at.client}`, `http://127.0.0.1:${at.peer}`];
  const flags = Object.entries({
    'data-dir': join(folder, 'etcd'),
    'log-level': 'warn',
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
  });
  return ['--unsafe-no-fsync', ...flags.map(([name, value]) => `--${name}=${value}`)];
}

function serverArguments(folder: string, at: { readonly port: number; readonly etcd: number }): readonly string[] {
  const key = join(folder, 'service-accounts.key');
  return Object.entries({
    'etcd-servers': `http://127.0.0.1:${at.etcd}`,
    'bind-address': '127.0.0.1',
    // What it tells of itself must not be loopback.
    'advertise-address': '10.255.255.1',
    'secure-port': at.port,
    'cert-dir': join(folder, 'certificates'),
    'service-cluster-ip-range': '10.96.0.0/24',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': key,
    'service-account-signing-key-file': key,
    'authorization-mode': 'RBAC',
    'token-auth-file': join(folder, 'tokens.csv'),
    // It wants the service account of a Pod to exist, which a controller would make.
    'disable-admission-plugins': 'ServiceAccount',
  }).map(([name, value]) => `--${name}=${value}`);
}

interface Access {
  readonly port: number;
  readonly token: string;
  /** The file of the certificate that the server made itself. */
  readonly authority: string;
}

const kubeconfig = ({ port, token, authority }: Access): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': authority } }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  });

/** Whether it says that it is ready; not, while its certificate or its port is missing. */
async function isReady({ port, token, authority }: Access): Promise<boolean> {
  const ca = await readFile(authority).catch(() => null);
  if (ca === null) return false;
  const agent = new Agent({ ca });
  return new Promise((resolve) => {
    get(
      { host: '127.0.0.1', port, path: '/readyz', agent, headers: { authorization: `Bearer ${token}` } },
      (answer) => {
        text(answer).then(
          (body) => resolve(body === 'ok'),
          () => resolve(false),
        );
      },
    ).on('error', () => resolve(false));
  });
}

const listOf = (items: readonly object[]): string =>
  JSON.stringify(items.length === 1 ? items[0] : { apiVersion: 'v1', kind: 'List', items });

async function endAll(children: readonly DevProcess[], folder: string): Promise<void> {
  for (const child of children) await child.end();
  await rm(folder, { recursive: true, force: true });
}
