import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { stringify } from 'yaml';
import { Agent } from '../../src/dev/agent.ts';
import type { AgentReply } from '../../src/dev/agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { CertificateAuthority, IssuedSvid } from '../../src/dev/authority.ts';
import { envoyConfigWithFiles } from '../../src/tools/init/envoy-config.ts';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { ToolServer } from '../../src/dev/upstream.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { withTimeForChecks } from '../dev/time-for-checks.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';
import { until } from '../until.ts';
import { examples } from './domain.ts';
import { ran, remit } from './process.ts';
import type { Running } from './process.ts';
import { freePorts } from '../free-port.ts';

const shipped = resolve(import.meta.dirname, '../../deploy/envoy');

/** The shipped configuration with time for checks, their attempts and health checks, however loaded the machine is. */
export const withTime = (text: string): string => withTimeForChecks(text).replace('- timeout: 1s', '- timeout: 10s');

/** Number and options of the processes. */
export interface ProcessesOptions {
  /** `fleet`: both of `NUMBERS` as sidecars of an authority; `alone`: only the first, with the state. Default `fleet`. */
  readonly kind?: 'fleet' | 'alone';
  /** How long they report "not serving" before they stop. Default 5, as in the product. */
  readonly drainSeconds?: number;
  /** Edits the shipped configuration of Envoy. Default: more time for checks. */
  readonly envoyConfig?: (shipped: string) => string;
  /** For a process alone: starts the server for `files.acme.test`, with the policies for it. Default: a tool server, and the examples. */
  readonly files?: (authority: CertificateAuthority) => Promise<FilesServer>;
}

/** A server for `files.acme.test`, which ends with the processes. */
export interface FilesServer {
  readonly address: HostPort;
  /** The setting `policies`. */
  readonly policies: object;
  /** Further settings of the issuer. */
  readonly issuer: object;
  readonly close: () => Promise<void>;
}

/** The processes in the shipped configuration of Envoy. */
export const NUMBERS = [1, 2] as const;
type ProcessNumber = (typeof NUMBERS)[number];
/** Envoy does not ask the authority. */
export type ProcessName = ProcessNumber | 'authority';

/** Lease of the sidecars, in seconds, the longest there is: a loaded machine takes more than 15 to restart the authority. */
export const LEASE_SECONDS = 60;
const AUDIENCE = 'https://payments.acme.test';

/** A decision, from a line of the decision log. */
export interface Decided {
  readonly decision: string;
  readonly reason: string | null;
  readonly task: string | null;
}

/** The parts of a record that tests read. */
interface Recorded {
  readonly task: string | null;
  /** For an outcome: whether the process that recorded it made the decision. */
  readonly known?: boolean;
}

/**
 * Processes of `remit serve` on one host: an authority with its sidecars on a Unix socket, behind a real Envoy with the shipped configuration
 * for several processes, or one process alone. The sidecars share a file, and each gets its own settings by variables, as from a systemd
 * template unit.
 *
 * Lifecycle: `start`; `serve` for each process; `stop`, which kills the remaining ones.
 */
export class Processes {
  readonly folder: string;
  /** The configuration of the process with the state. */
  readonly config: string;
  readonly agent: Agent;
  /** The SVID of the agent, to which its tokens are bound. */
  readonly svid: IssuedSvid;
  /** The upstream behind Envoy. */
  readonly payments: ToolServer;
  readonly #ports: Readonly<Record<ProcessName | 'issuer', number>>;
  readonly #drain: Readonly<Record<string, string>>;
  readonly #running = new Map<ProcessName, Running>();
  readonly #stops: (() => Promise<unknown> | void)[] = [];
  #envoy: EnvoyProcess | null = null;

  private constructor(
    parts: Pick<Processes, 'folder' | 'config' | 'agent' | 'svid' | 'payments'>,
    ports: readonly number[],
    drainSeconds: number,
  ) {
    this.folder = parts.folder;
    this.config = parts.config;
    this.agent = parts.agent;
    this.svid = parts.svid;
    this.payments = parts.payments;
    const [issuer = 0, authority = 0, one = 0, two = 0] = ports;
    this.#ports = { issuer, authority, 1: one, 2: two };
    this.#drain = { REMIT_DRAIN_SECONDS: String(drainSeconds) };
  }

  /** Starts Envoy and the tool servers, but no process yet. */
  static async start(
    envoy: string,
    folder: string,
    { kind = 'fleet', drainSeconds = 5, envoyConfig = withTime, files: startFiles }: ProcessesOptions = {},
  ): Promise<Processes> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const acme = await createAuthority('acme.test', systemPorts);
    const names = {
      dns: ['localhost', 'payments.acme.test', 'files.acme.test', 'issuer.acme.test'],
      ips: ['127.0.0.1'],
    };
    const gateway = await writeCredential(folder, 'gateway', await acme.svid('/gateway', names));
    const own = await writeCredential(folder, 'remit', await acme.svid('/remit', names));
    const bundle = await writeBundle(folder, 'bundle', acme);
    await writeCredential(folder, 'desk', await acme.svid('/ns/ops/sa/desk'));
    const config = join(folder, 'remit.yaml');
    const common = { trustDomains: ['acme.test'], decisionLog: 'stdout' };
    const withState = {
      ...common,
      svid: { ...own, bundle },
      issuer: { url: 'https://issuer.acme.test', signingKey: 'signing-keys', stoppedTaskWaitSeconds: 'off' },
      state: 'sqlite:state.db',
    };
    const files = await startFiles?.(acme);
    const issuer = { ...withState.issuer, ...files?.issuer };
    if (kind === 'alone')
      await writeFile(config, stringify({ ...withState, issuer, policies: files?.policies ?? examples }));
    else {
      const socket = `unix:${folder}/authority.sock`;
      const sidecars = { id: 'spiffe://acme.test/remit/*', audiences: AUDIENCE };
      const authority = { listen: socket, leaseSeconds: LEASE_SECONDS, sidecars };
      await cp(examples, join(folder, 'policies'), { recursive: true });
      // It reads the history in every use, so that every use would be settled.
      await rm(join(folder, 'policies', 'policies', 'history.cedar'));
      await writeFile(config, stringify({ ...withState, policies: 'policies', authority }));
      await writeFile(
        join(folder, 'sidecar.yaml'),
        stringify({
          ...common,
          policies: 'policies',
          state: `authority:${socket}`,
          extAuthz: { proofMemory: 'authority' },
        }),
      );
    }
    const svid = await acme.svid('/ns/agents/sa/planner');
    const agent = new Agent(svid, acme.bundlePem);
    const payments = await ToolServer.start('payments');
    const processes = new Processes({ folder, config, agent, svid, payments }, await freePorts(4), drainSeconds);
    processes.#stops.push(
      () => agent.close(),
      () => payments.close(),
      () => files?.close(),
    );
    try {
      const file = kind === 'fleet' ? 'envoy-processes.yaml' : 'envoy.yaml';
      const text = envoyConfig(await readFile(join(shipped, file), 'utf8'));
      const credential = { ...gateway, bundles: new Map([['acme.test', bundle]]) };
      await processes.#startEnvoy(text, { binary: envoy, files: files?.address }, credential);
      return processes;
    } catch (error) {
      await processes.stop();
      throw error;
    }
  }

  async #startEnvoy(
    config: string,
    { binary, files }: { readonly binary: string; readonly files: HostPort | undefined },
    credential: Parameters<typeof envoyConfigWithFiles>[2],
  ): Promise<void> {
    const others = await ToolServer.start('files');
    this.#stops.push(() => others.close());
    const text = config.replaceAll('/run/remit/', `${this.folder}/`);
    const addresses = {
      listener: { host: '127.0.0.1', port: 0 },
      remitSocket: join(this.folder, 'check-1.sock'),
      payments: this.payments.address,
      files: files ?? others.address,
      collector: null,
    };
    const envoy = await EnvoyProcess.start({
      binary,
      config: (adminSocket) => envoyConfigWithFiles(text, { ...addresses, adminSocket }, credential),
    });
    if (!(envoy instanceof EnvoyProcess)) throw new Error(envoy.problem);
    this.#stops.push(() => envoy.stop());
    this.#envoy = envoy;
  }

  get envoyPort(): number {
    return this.#envoy?.address.port ?? 0;
  }

  get issuerPort(): number {
    return this.#ports.issuer;
  }

  /** The admin socket of Envoy. */
  get envoyAdmin(): string {
    return this.#envoy?.adminSocket ?? '';
  }

  /** Starts a process; resolves once it is ready, and Envoy knows where it asks it. */
  async serve(n: ProcessName): Promise<Running> {
    const started = remit(['serve', '--config', this.#configOf(n)], this.environment(n));
    this.#running.set(n, started);
    await started.said('checks on');
    await until(async () => (await this.readiness(n)).startsWith('200'), { what: `${n} is ready` });
    if (n !== 'authority') await until(async () => (await this.healthy()).includes(n));
    return started;
  }

  /** One file for all sidecars; the process alone has that of the state. */
  #configOf(n: ProcessName): string {
    const ofSidecars = join(this.folder, 'sidecar.yaml');
    return n !== 'authority' && existsSync(ofSidecars) ? ofSidecars : this.config;
  }

  /** The settings that differ between processes. */
  environment(n: ProcessName): Readonly<Record<string, string>> {
    return {
      REMIT_EXT_AUTHZ_LISTEN: `unix:${this.folder}/check-${n}.sock`,
      ...(this.#configOf(n) === this.config ? { REMIT_ISSUER_LISTEN: `127.0.0.1:${this.#ports.issuer}` } : {}),
      REMIT_ADMIN_LISTEN: `127.0.0.1:${this.#ports[n]}`,
      ...this.#drain,
      REMIT_LEDGER_FOLDER: `ledger-${n}`,
      REMIT_LEDGER_NAME: `remit-${n}`,
      REMIT_LEDGER_KEY: `ledger-${n}.pem`,
      REMIT_LEDGER_CHECKPOINTS: `checkpoints-${n}.txt`,
    };
  }

  /** Ends a process by a signal; returns its exit. */
  async end(n: ProcessName, signal: 'SIGTERM' | 'SIGKILL'): Promise<number | string> {
    const { child, exit } = this.running(n);
    child.kill(signal);
    return exit;
  }

  /** A started process. */
  running(n: ProcessName): Running {
    const running = this.#running.get(n);
    if (running === undefined) throw new Error(`process ${n} does not run`);
    return running;
  }

  /** The answer of a process to `/readyz`. */
  async readiness(n: ProcessName): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#ports[n]}/readyz`);
    return `${response.status} ${(await response.text()).trim()}`;
  }

  /** The processes that Envoy sends checks to, and their access logs. Each cluster has health checks of its own. */
  async healthy(): Promise<readonly ProcessNumber[]> {
    const { body } = (await this.#envoy?.admin('/clusters')) ?? { body: '' };
    const isHealthy = (cluster: string, n: ProcessNumber): boolean =>
      body.includes(`${cluster}::${this.folder}/check-${n}.sock::health_flags::healthy`);
    const hasOwnLogs = body.includes('remit-1::');
    return NUMBERS.filter((n) => isHealthy('remit', n) && (!hasOwnLogs || isHealthy(`remit-${n}`, n)));
  }

  /** The sidecar that has the access log for calls that `n` decided, where one is open. */
  async logOf(n: ProcessNumber): Promise<ProcessNumber | undefined> {
    const { body } = (await this.#envoy?.admin('/clusters')) ?? { body: '' };
    return NUMBERS.find((at) => !body.includes(`remit-${n}::${this.folder}/check-${at}.sock::rq_active::0`));
  }

  /** Standard error of a process so far. */
  said(n: ProcessName): string {
    return this.#running.get(n)?.err() ?? '';
  }

  /** Decisions of a process since its last start. */
  decided(n: ProcessNumber): readonly Decided[] {
    const lines = this.#running.get(n)?.out().split('\n') ?? [];
    return lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as Decided);
  }

  /** A token of a new task; throws where it is refused. */
  async declare({
    constraints,
    dpop,
    audience = AUDIENCE,
    actions = ['payments.read', 'payments.list'],
  }: {
    readonly constraints?: Readonly<Record<string, unknown>>;
    readonly dpop?: string;
    readonly audience?: string;
    readonly actions?: readonly string[];
  } = {}): Promise<{
    readonly token: string;
    readonly taskId: string;
  }> {
    const task = { actions, purpose: 'look at payments', constraints };
    const request = tokenRequest(audience, task, dpop === undefined ? {} : { dpop });
    const reply = await this.#ask(request.path, request);
    if (reply.status !== 200) throw new Error(`the issuer refused: ${reply.body}`);
    const body = JSON.parse(reply.body);
    return { token: body.access_token, taskId: body.txn };
  }

  /** Completes a task as its agent; gives the answer, which comes with `committed` before the sidecars know. */
  async complete(
    taskId: string,
    wait: 'enforced' | 'committed' = 'enforced',
  ): Promise<Readonly<Record<string, unknown>>> {
    const { status, body } = await this.#ask(`/tasks/${taskId}/complete?wait=${wait}`);
    if (status !== 200) throw new Error(`the issuer refused: ${body}`);
    return JSON.parse(body);
  }

  #ask(path: string, call: Partial<Parameters<Agent['call']>[1]> = {}): Promise<AgentReply> {
    const port = this.#ports.issuer;
    return this.agent.call(port, { method: 'POST', ...call, host: `localhost:${port}`, path });
  }

  /** How many records wait in the state file for a ledger. */
  waiting(): number {
    const db = new DatabaseSync(join(this.folder, 'state.db'), { readOnly: true });
    try {
      return Number(db.prepare('SELECT count(*) AS count FROM outbox').get()?.['count']);
    } finally {
      db.close();
    }
  }

  /** Records of a kind in the ledger of a process, each as its line of JSON. */
  async records(n: ProcessName, kind: string): Promise<readonly Recorded[]> {
    const words = ['--ledger', join(this.folder, `ledger-${n}`), '--kind', kind, '--json', '--limit', '100000'];
    const { code, out, err } = await ran(['ledger', 'query', ...words]);
    if (code !== 0) throw new Error(`ledger query: exit ${code}: ${err}`);
    return out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
  }

  async stop(): Promise<void> {
    for (const { child, exit } of this.#running.values()) {
      child.kill('SIGKILL');
      await exit;
    }
    for (const stop of this.#stops.toReversed()) await stop();
  }
}
