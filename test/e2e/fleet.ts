import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Agent } from '../../src/dev/agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { CertificateAuthority } from '../../src/dev/authority.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { ToolServer } from '../../src/dev/upstream.ts';
import { readLog } from '../../src/core/ledger/log/log-reader.ts';
import { noteKeyOf, noteKeyText } from '../../src/core/ledger/proof/note-key.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { mustFind } from '../builders/must.ts';
import { withTimeForChecks } from '../dev/time-for-checks.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';
import { freePorts } from '../free-port.ts';
import { until } from '../until.ts';
import { BundlePublisher } from './bundle-publisher.ts';
import { examples } from './domain.ts';
import { remit } from './process.ts';
import type { Running } from './process.ts';

const AUDIENCE = 'https://payments.acme.test';
/** Tests stop tasks of the same agent and declare the next one. */
const AT_ONCE = { stoppedTaskWaitSeconds: 'off' };

/** The processes of a fleet: the authority, a sidecar over TLS, and a sidecar on a Unix socket of the authority. */
export const SIDECARS = ['remote', 'local'] as const;
export type SidecarName = (typeof SIDECARS)[number];
/** Authorities: the second one only where the state is in a database. */
export type AuthorityName = 'authority' | 'second';
type ProcessName = AuthorityName | SidecarName;
type Ports = Readonly<Record<ProcessName | `${AuthorityName}Issuer`, number>>;

/** Lease of the sidecars, in seconds. */
export const LEASE_SECONDS = 3;

/**
 * An authority on a state file, or two on a PostgreSQL, and two sidecars, each sidecar with an Envoy of its own, all real processes.
 *
 * Lifecycle: `start`; `stop`, which kills what still runs.
 */
export class Fleet {
  readonly folder: string;
  readonly agent: Agent;
  /** Publishes the bundle of the authorities; the sidecar `remote` has it from them. */
  readonly policies: BundlePublisher;
  readonly #domain: CertificateAuthority;
  readonly #ports: Ports;
  readonly #envoys = new Map<SidecarName, EnvoyProcess>();
  readonly #running = new Map<ProcessName, Running>();
  readonly #stops: (() => Promise<unknown> | void)[] = [];

  private constructor(
    folder: string,
    domain: CertificateAuthority,
    policies: BundlePublisher,
    agent: Agent,
    ports: Ports,
  ) {
    this.folder = folder;
    this.policies = policies;
    this.agent = agent;
    this.#domain = domain;
    this.#ports = ports;
  }

  /**
   * @param options.database URL of a PostgreSQL; default a state file
   * @param options.issuer more settings of the issuer of each authority
   * @param options.envoyConfig changes the shipped configuration of each Envoy
   * @param options.limits the text of `limits.yaml`; default none
   * @param options.checkSocket where each Envoy asks; default the socket of its sidecar
   */
  static async start(
    envoy: string,
    folder: string,
    {
      database = null,
      issuer = {},
      envoyConfig = (text) => text,
      checkSocket = (socket) => socket,
      limits = null,
    }: {
      readonly database?: string | null;
      readonly issuer?: Readonly<Record<string, unknown>>;
      readonly envoyConfig?: (text: string) => string;
      readonly checkSocket?: (socket: string) => string;
      readonly limits?: string | null;
    } = {},
  ): Promise<Fleet> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await cp(examples, join(folder, 'policies'), { recursive: true });
    // It reads the history in every use, so that every use would be settled.
    await rm(join(folder, 'policies', 'policies', 'history.cedar'));
    if (limits !== null) await writeFile(join(folder, 'policies', 'limits.yaml'), limits);
    const policies = await BundlePublisher.create(folder);
    await policies.publish(1);
    const acme = await createAuthority('acme.test', systemPorts);
    const names = {
      dns: ['localhost', 'payments.acme.test', 'files.acme.test', 'issuer.acme.test'],
      ips: ['127.0.0.1'],
    };
    const gateway = await writeCredential(folder, 'gateway', await acme.svid('/gateway', names));
    const served = await writeCredential(folder, 'authority', await acme.svid('/authority', names));
    const own = await writeCredential(folder, 'tools-1', await acme.svid('/ns/pay/sa/tools-1'));
    const bundle = await writeBundle(folder, 'bundle', acme);
    const [authority = 0, second = 0, remote = 0, local = 0, ...more] = await freePorts(8);
    const [authorityIssuer = 0, secondIssuer = 0, grpc = 0, secondGrpc = 0] = more;
    const agent = new Agent(await acme.svid('/ns/agents/sa/planner'), acme.bundlePem);
    const fleet = new Fleet(folder, acme, policies, agent, {
      authority,
      second,
      remote,
      local,
      authorityIssuer,
      secondIssuer,
    });
    fleet.#stops.push(() => agent.close());
    const socket = `unix:${folder}/authority.sock`;
    const authorities = database === null ? (['authority'] as const) : (['authority', 'second'] as const);
    for (const name of authorities) {
      const isFirst = name === 'authority';
      const port = isFirst ? authorityIssuer : secondIssuer;
      await fleet.#configure(name, {
        svid: { ...served, bundle },
        policies: { bundle: { from: 'bundle.jws', name: 'prod', keys: 'all-bundle-keys.json' }, lookSeconds: 1 },
        issuer: { url: 'https://issuer.acme.test', listen: `127.0.0.1:${port}`, ...AT_ONCE, ...issuer },
        state: database ?? 'sqlite:state.db',
        ...(database === null ? {} : { durability: 'single' }),
        authority: {
          listen: isFirst ? [`127.0.0.1:${grpc}`, socket] : `127.0.0.1:${secondGrpc}`,
          sidecars: { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: AUDIENCE },
          leaseSeconds: LEASE_SECONDS,
        },
      });
    }
    await fleet.#configure('remote', {
      svid: { ...own, bundle },
      policies: { bundle: { from: 'authority', name: 'prod', keys: 'bundle-keys.json' }, lookSeconds: 1 },
      state: `authority://127.0.0.1:${grpc}${database === null ? '' : `,127.0.0.1:${secondGrpc}`}`,
      authority: { id: 'spiffe://acme.test/authority' },
    });
    await fleet.#configure('local', { state: `authority:${socket}` });
    try {
      const payments = await ToolServer.start('payments');
      const files = await ToolServer.start('files');
      fleet.#stops.push(
        () => payments.close(),
        () => files.close(),
      );
      const text = envoyConfig(withTimeForChecks(await shippedEnvoyConfig()));
      for (const name of SIDECARS) {
        const addresses = {
          listener: { host: '127.0.0.1', port: 0 },
          remitSocket: checkSocket(join(folder, `check-${name}.sock`)),
          payments: payments.address,
          files: files.address,
          collector: null,
        };
        const bundles = new Map([['acme.test', bundle]]);
        const started = await EnvoyProcess.start({
          binary: envoy,
          config: (adminSocket) => envoyConfigWithFiles(text, { ...addresses, adminSocket }, { ...gateway, bundles }),
        });
        if (!(started instanceof EnvoyProcess)) throw new Error(started.problem);
        fleet.#stops.push(() => started.stop());
        fleet.#envoys.set(name, started);
      }
      await Promise.all(authorities.map((name) => fleet.serve(name)));
      await Promise.all(SIDECARS.map((name) => fleet.serve(name)));
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  async #configure(name: ProcessName, settings: Readonly<Record<string, unknown>>): Promise<void> {
    const common = {
      trustDomains: ['acme.test'],
      extAuthz: { listen: `unix:${this.folder}/check-${name}.sock` },
      admin: { listen: `127.0.0.1:${this.#ports[name]}` },
      policies: 'policies',
      ledger: { folder: `ledger-${name}`, name, key: `ledger-${name}.pem`, checkpoints: `checkpoints-${name}.txt` },
    };
    await writeFile(join(this.folder, `${name}.yaml`), stringify({ ...common, ...settings }), { mode: 0o600 });
  }

  /** Starts a process; resolves once it is ready, or with `isReady: false` once it serves. */
  async serve(name: ProcessName, { isReady = true }: { readonly isReady?: boolean } = {}): Promise<void> {
    const running = remit(['serve', '--config', join(this.folder, `${name}.yaml`)]);
    this.#running.set(name, running);
    await running.said(/checks on|no checks/);
    if (isReady) await until(async () => (await this.readiness(name)).startsWith('200'), { what: `${name} is ready` });
  }

  /** The verifier key of the ledger of an authority, as whoever started it pinned it. */
  ledgerKey(name: AuthorityName = 'authority'): string {
    const origin = mustFind(readLog(join(this.folder, `ledger-${name}`), (log) => log.origin));
    const pem = readFileSync(join(this.folder, `ledger-${name}.pem`), 'utf8');
    return noteKeyText(noteKeyOf(origin, createPublicKey(pem)));
  }

  /** The authorities that were started. */
  get authorities(): readonly AuthorityName[] {
    return (['authority', 'second'] as const).filter((name) => this.#running.has(name));
  }

  /** Sends a signal to a process. */
  signal(name: ProcessName, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#running.get(name)?.child.kill(signal);
  }

  /** What a process has written to its standard error. */
  wrote(name: ProcessName): string {
    return this.#running.get(name)?.err() ?? '';
  }

  admin(name: ProcessName): string {
    return `http://127.0.0.1:${this.#ports[name]}`;
  }

  /** How many uses a sidecar has settled at an authority. */
  settled(name: SidecarName): Promise<number> {
    return this.#counted(name, /^remit_sidecar_settles_total\{[^}]*\} (\d+)$/gm);
  }

  /** Of how many tokens a sidecar has told the authority where it saw them used, each time counted. */
  toldUses(name: SidecarName): Promise<number> {
    return this.#counted(name, /^remit_side_writes_total\{kind="uses",result="written"\} (\d+)$/gm);
  }

  async #counted(name: SidecarName, lines: RegExp): Promise<number> {
    const response = await fetch(`${this.admin(name)}/metrics`);
    return [...(await response.text()).matchAll(lines)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** Another process of this trust domain, with a certificate of its own. */
  async workload(path: string): Promise<Agent> {
    const made = new Agent(await this.#domain.svid(path), this.#domain.bundlePem);
    this.#stops.push(() => made.close());
    return made;
  }

  async readiness(name: ProcessName): Promise<string> {
    const response = await fetch(`${this.admin(name)}/readyz`);
    return `${response.status} ${(await response.text()).trim()}`;
  }

  /** A token of a new task, declared at an authority. */
  async declare(
    constraints?: Readonly<Record<string, unknown>>,
    actions: readonly string[] = ['payments.read', 'payments.list'],
    at: AuthorityName = 'authority',
  ): Promise<{ readonly token: string; readonly taskId: string }> {
    const request = tokenRequest(AUDIENCE, { actions, purpose: 'look at payments', constraints });
    const reply = await this.ask(at, request.path, request);
    if (reply.status !== 200) throw new Error(`the issuer refused: ${reply.body}`);
    const body = JSON.parse(reply.body);
    return { token: body.access_token, taskId: body.txn };
  }

  /** Completes a task at an authority; gives its answer. */
  async complete(taskId: string, at: AuthorityName = 'authority'): Promise<Readonly<Record<string, unknown>>> {
    const reply = await this.ask(at, `/tasks/${taskId}/complete`);
    if (reply.status !== 200) throw new Error(`the issuer refused: ${reply.body}`);
    return JSON.parse(reply.body);
  }

  /** The answer to a call through the Envoy of a sidecar: `200`, or status and reason. */
  async call(
    name: SidecarName,
    token: string,
    path = '/v1/payments/p-1',
    method = 'GET',
    by = this.agent,
  ): Promise<string> {
    const { status, body } = await by.call(this.#envoys.get(name)?.address.port ?? 0, {
      host: 'payments.acme.test',
      path,
      method,
      headers: { authorization: `Bearer ${token}` },
    });
    return status === 200 ? '200' : `${status} ${/"reason":"([\w.-]+)"/.exec(body)?.[1] ?? body}`;
  }

  /** The status of a call without a token through the Envoy of a sidecar. */
  async status(name: SidecarName, host: string, path: string): Promise<number> {
    return (await this.agent.call(this.#envoys.get(name)?.address.port ?? 0, { host, path })).status;
  }

  /** Where the issuer of an authority listens. */
  issuerPort(at: AuthorityName): number {
    return this.#ports[`${at}Issuer`];
  }

  /** Where the Envoy of a sidecar listens. */
  envoyPort(name: SidecarName): number {
    return this.#envoys.get(name)?.address.port ?? 0;
  }

  /** The certificate of another process of this trust domain and its key, as files. */
  async credential(
    name: string,
    path: string,
    options: { readonly ttlSeconds?: number } = {},
  ): Promise<{ readonly certificate: string; readonly key: string }> {
    return writeCredential(this.folder, name, await this.#domain.svid(path, options));
  }

  /** Asks the issuer of an authority. */
  ask(at: AuthorityName, path: string, call: Partial<Parameters<Agent['call']>[1]> = {}) {
    const port = this.#ports[`${at}Issuer`];
    return this.agent.call(port, { method: 'POST', ...call, host: `localhost:${port}`, path });
  }

  async stop(): Promise<void> {
    for (const { child, exit } of this.#running.values()) {
      child.kill('SIGKILL');
      await exit;
    }
    for (const stop of this.#stops.toReversed()) await stop();
  }
}
