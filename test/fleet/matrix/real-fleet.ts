import { randomBytes } from 'node:crypto';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Agent } from '../../../src/dev/agent.ts';
import type { AgentReply } from '../../../src/dev/agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../../../src/dev/authority.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../../src/dev/envoy.ts';
import { ToolServer } from '../../../src/dev/upstream.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { mustFind } from '../../builders/must.ts';
import { withTimeForChecks } from '../../dev/time-for-checks.ts';
import { tokenRequest } from '../../../src/dev/issuer-request.ts';
import { examples } from '../../e2e/domain.ts';
import { remit } from '../../e2e/process.ts';
import type { Running } from '../../e2e/process.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { freePorts } from '../../free-port.ts';
import { until } from '../../until.ts';
import { watchUse } from './watched-use.ts';
import type { WatchedUse } from './watched-use.ts';

const AUDIENCE = 'https://payments.acme.test';
/** Life of a lease. */
export const LEASE_MS = 3_000;

/** A process of a fleet. */
export type Party = `authority-${1 | 2}` | `sidecar-${1 | 2}`;
export type AuthorityParty = Extract<Party, `authority-${number}`>;
export type SidecarParty = Extract<Party, `sidecar-${number}`>;

/** What `complete` says of an end. */
export interface Receipt {
  readonly enforced: boolean;
  readonly holders: number;
  readonly acknowledged: number;
  readonly fenced: number;
}

/** What a fleet is made with. */
export interface RealFleetOptions {
  readonly envoy: string;
  /** A folder that does not exist. */
  readonly folder: string;
  /** URL of a migrated PostgreSQL. */
  readonly database: string;
  readonly authorities?: readonly AuthorityParty[];
  readonly sidecars?: readonly SidecarParty[];
  /** Changes the configuration of a process. */
  readonly configure?: (party: Party) => Readonly<Record<string, unknown>>;
  /** More of the section `issuer`. */
  readonly issuer?: Readonly<Record<string, unknown>>;
}

/** A task with its token. */
export interface Declared {
  readonly token: string;
  readonly taskId: string;
}

/**
 * Authorities on a PostgreSQL and sidecars, each sidecar with an Envoy of its own and a fault proxy before each authority: processes of
 * `remit serve`, as users start them.
 *
 * Lifecycle: `start`; `stop`, which kills what still runs.
 */
export class RealFleet {
  readonly folder: string;
  readonly agent: Agent;
  /** The workload `/ns/ops/sa/desk`. */
  readonly operator: Agent;
  readonly #options: Required<RealFleetOptions>;
  readonly #ports = new Map<string, number>();
  readonly #links = new Map<string, FaultProxy>();
  readonly #envoys = new Map<SidecarParty, EnvoyProcess>();
  readonly #running = new Map<Party, Running>();
  readonly #closers: (() => unknown)[] = [];

  readonly #newAgent: () => Agent;

  private constructor(newAgent: () => Agent, operator: Agent, options: Required<RealFleetOptions>) {
    this.folder = options.folder;
    this.agent = newAgent();
    this.operator = operator;
    this.#newAgent = newAgent;
    this.#options = options;
  }

  static async start(options: RealFleetOptions): Promise<RealFleet> {
    const { folder } = options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await cp(examples, join(folder, 'policies'), { recursive: true });
    // It reads the history in every use, so that every use would be settled.
    await rm(join(folder, 'policies', 'policies', 'history.cedar'));
    // Valid also by a clock that is an hour off.
    await writeFile(join(folder, 'state.key'), randomBytes(32), { mode: 0o600 });
    const acme = await createAuthority('acme.test', { ...systemPorts, nowMs: () => Date.now() - 2 * HOUR_MS });
    const valid = { ttlSeconds: 6 * 3_600 };
    const names = { dns: ['localhost', 'payments.acme.test'], ips: ['127.0.0.1'], ...valid };
    const gateway = await writeCredential(folder, 'gateway', await acme.svid('/gateway', names));
    const served = await writeCredential(folder, 'authority', await acme.svid('/authority', names));
    const tools = await writeCredential(folder, 'tools', await acme.svid('/ns/pay/sa/tools-1', valid));
    const bundle = await writeBundle(folder, 'bundle', acme);
    const planner = await acme.svid('/ns/agents/sa/planner', valid);
    const operator = new Agent(await acme.svid('/ns/ops/sa/desk', valid), acme.bundlePem);
    const fleet = new RealFleet(() => new Agent(planner, acme.bundlePem), operator, {
      issuer: {},
      authorities: ['authority-1', 'authority-2'],
      sidecars: ['sidecar-1', 'sidecar-2'],
      configure: () => ({}),
      ...options,
    });
    try {
      await fleet.#start({ gateway, svids: { authority: { ...served, bundle }, sidecar: { ...tools, bundle } } });
    } catch (error) {
      await fleet.stop();
      throw error;
    }
    return fleet;
  }

  async #start({ gateway, svids }: Credentials): Promise<void> {
    const { authorities, database, envoy, sidecars } = this.#options;
    for (const party of authorities) {
      const [grpc = 0, issuer = 0] = await freePorts(2);
      this.#ports.set(`${party} issuer`, issuer);
      this.#ports.set(`${party} grpc`, grpc);
      await this.#write(party, {
        svid: svids.authority,
        issuer: { url: 'https://issuer.acme.test', listen: `127.0.0.1:${issuer}`, ...this.#options.issuer },
        state: database,
        records: `file:received-${party}`,
        authority: {
          listen: `127.0.0.1:${grpc}`,
          sidecars: { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: AUDIENCE },
          leaseSeconds: LEASE_MS / 1_000,
          stateKey: 'state.key',
        },
      });
    }
    const payments = await ToolServer.start('payments');
    const files = await ToolServer.start('files');
    this.#closers.push(
      () => payments.close(),
      () => files.close(),
    );
    const text = withTimeForChecks(await shippedEnvoyConfig());
    for (const party of sidecars) {
      for (const authority of authorities)
        this.#links.set(`${party} ${authority}`, await FaultProxy.start(this.port(`${authority} grpc`)));
      const targets = authorities.map((authority) => `127.0.0.1:${this.link(party, authority).port}`);
      await this.#write(party, {
        svid: svids.sidecar,
        state: `authority://${targets.join(',')}`,
        authority: { id: 'spiffe://acme.test/authority' },
      });
      const addresses = {
        listener: { host: '127.0.0.1', port: 0 },
        remitSocket: this.#socket(party),
        payments: payments.address,
        files: files.address,
        collector: null,
      };
      const bundles = new Map([['acme.test', svids.sidecar.bundle]]);
      const started = await EnvoyProcess.start({
        binary: envoy,
        config: (adminSocket) => envoyConfigWithFiles(text, { ...addresses, adminSocket }, { ...gateway, bundles }),
      });
      if (!(started instanceof EnvoyProcess)) throw new Error(started.problem);
      this.#closers.push(() => started.stop());
      this.#envoys.set(party, started);
    }
    await Promise.all([...authorities, ...sidecars].map((party) => this.serve(party)));
  }

  async #write(party: Party, settings: Readonly<Record<string, unknown>>): Promise<void> {
    const [admin = 0] = await freePorts(1);
    this.#ports.set(party, admin);
    const all = {
      trustDomains: ['acme.test'],
      extAuthz: { listen: `unix:${this.#socket(party)}` },
      admin: { listen: `127.0.0.1:${admin}` },
      policies: 'policies',
      ledger: { folder: `ledger-${party}`, name: party, key: `${party}.pem`, checkpoints: `${party}.txt` },
      ...settings,
      ...this.#options.configure(party),
    };
    await writeFile(this.config(party), stringify(all), { mode: 0o600 });
  }

  #socket(party: Party): string {
    return join(this.folder, `${party}.sock`);
  }

  /** The configuration of a process. */
  config(party: Party): string {
    return join(this.folder, `${party}.yaml`);
  }

  /** A port: the admin port of a party, or another one by its name. */
  port(name: string): number {
    return mustFind(this.#ports.get(name));
  }

  /** The proxy through which a sidecar reaches an authority. */
  link(sidecar: SidecarParty, authority: AuthorityParty): FaultProxy {
    return mustFind(this.#links.get(`${sidecar} ${authority}`));
  }

  /** The proxies of a sidecar. */
  links(sidecar: SidecarParty): readonly FaultProxy[] {
    return this.#options.authorities.map((authority) => this.link(sidecar, authority));
  }

  /** Starts a process, with further environment; resolves once it says that it serves, and by default once it is ready. */
  async serve(
    party: Party,
    {
      environment = {},
      isReady = true,
      says = /checks on|no checks/,
    }: {
      readonly environment?: Readonly<Record<string, string>>;
      readonly isReady?: boolean;
      /** What it says once it serves, or does what the test waits for. */
      readonly says?: RegExp;
    } = {},
  ): Promise<void> {
    await until(
      async () => {
        const running = remit(['serve', '--config', this.config(party)], environment);
        this.#running.set(party, running);
        return running.said(says).then(
          () => true,
          () => {
            // As a service manager does. On a loaded machine a host of the database may not answer within a second.
            if (running.err().includes('no primary among')) return false;
            // While it was down, another program was given its port for a moment.
            if (running.err().includes('EADDRINUSE')) return false;
            throw new Error(`${party} did not start: ${running.err()}`);
          },
        );
      },
      { what: `${party} starts`, withinMs: 180_000 },
    );
    if (isReady) await this.ready(party);
  }

  /** Brings everything back: heals all links, lets stopped processes go on, starts those that have ended, and waits until all are ready. */
  async restore(): Promise<void> {
    for (const link of this.#links.values()) link.heal();
    const restored = [...this.#running].map(async ([party, { child }]) => {
      child.kill('SIGCONT');
      await (child.exitCode === null && child.signalCode === null ? this.ready(party) : this.serve(party));
    });
    await Promise.all(restored);
  }

  /** Waits until a process is ready. */
  async ready(party: Party): Promise<void> {
    await until(async () => (await this.readiness(party)).startsWith('200'), { what: `${party} is ready` });
  }

  async readiness(party: Party): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port(party)}/readyz`).catch(() => null);
    return response === null ? 'no answer' : `${response.status} ${(await response.text()).trim()}`;
  }

  /** A running process. */
  process(party: Party): Running {
    return mustFind(this.#running.get(party));
  }

  /** Kills a process, and waits for its end. */
  async kill(party: Party): Promise<void> {
    const { child, exit } = this.process(party);
    child.kill('SIGKILL');
    await exit;
  }

  /** The value of a metric at a process, summed over its labels. */
  async metric(party: Party, name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.port(party)}/metrics`)).text();
    const values = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  /** Sidecars that are connected to an authority. */
  async streams(party: AuthorityParty): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.port(party)}/fleet`)).text();
    const sidecars: readonly { readonly connected: boolean }[] = JSON.parse(text).sidecars;
    return sidecars.filter(({ connected }) => connected).length;
  }

  /** Declares a task, at the first authority unless another one is named. */
  async declare(
    constraints?: Readonly<Record<string, unknown>>,
    at: AuthorityParty = 'authority-1',
  ): Promise<Declared> {
    const actions = ['payments.read', 'payments.list', 'payments.refund'];
    const request = tokenRequest(AUDIENCE, { actions, purpose: 'look at payments', constraints });
    const reply = await this.ask(at, request.path, request);
    if (reply.status !== 200) throw new Error(`the issuer refused: ${reply.body}`);
    const { access_token: token, txn: taskId } = JSON.parse(reply.body);
    return { token, taskId };
  }

  /** Completes a task until that is acknowledged; asks again where it is not. By default it waits until that is enforced. */
  async complete(
    taskId: string,
    { at = 'authority-1', wait = 'enforced' }: { readonly at?: AuthorityParty; readonly wait?: string } = {},
  ): Promise<Receipt> {
    const reply = await until(
      async () => {
        const answered = await this.ask(at, `/tasks/${taskId}/complete?wait=${wait}`).catch(() => null);
        return answered !== null && answered.status === 200 && answered;
      },
      { what: `${at} acknowledges an end` },
    );
    return JSON.parse(reply.body).enforcement;
  }

  /** Posts to the issuer of an authority. */
  ask(at: AuthorityParty, path: string, call: Partial<Parameters<Agent['call']>[1]> = {}): Promise<AgentReply> {
    const port = this.port(`${at} issuer`);
    return this.agent.call(port, { method: 'POST', ...call, host: `localhost:${port}`, path });
  }

  /** The answer to a call through the Envoy of a sidecar: `200`, or status and reason. */
  async call(
    sidecar: SidecarParty,
    token: string,
    { agent = this.agent, isRefund = false }: { readonly agent?: Agent; readonly isRefund?: boolean } = {},
  ): Promise<string> {
    const { status, body } = await agent.call(mustFind(this.#envoys.get(sidecar)).address.port, {
      host: 'payments.acme.test',
      headers: { authorization: `Bearer ${token}` },
      // A refund is of high risk.
      ...(isRefund ? { method: 'POST', path: '/v1/payments/p-1/refund' } : { path: '/v1/payments/p-1' }),
    });
    return status === 200 ? '200' : `${status} ${/"reason":"([\w.-]+)"/.exec(body)?.[1] ?? body}`;
  }

  /** Calls at a sidecar by many callers, until an answer has that reason. Gives how often each answer came. */
  async flood(
    sidecar: SidecarParty,
    { token, until: reason }: { readonly token: string; readonly until: string },
  ): Promise<Readonly<Record<string, number>>> {
    const answers: Record<string, number> = {};
    const agents = Array.from({ length: FLOODERS }, () => this.#newAgent());
    const isOver = (): boolean => Object.keys(answers).some((answer) => answer.endsWith(reason));
    const calling = agents.flatMap((agent) =>
      Array.from({ length: 4 }, async () => {
        while (!isOver()) {
          const answer = await this.call(sidecar, token, { agent }).catch(() => 'no answer');
          answers[answer] = (answers[answer] ?? 0) + 1;
        }
      }),
    );
    await Promise.all(calling);
    for (const agent of agents) agent.close();
    return answers;
  }

  /** Uses a task at a sidecar all the time until the watch is stopped. Resolves once uses are allowed that settle nothing. */
  async watch(sidecar: SidecarParty, { token }: Declared): Promise<WatchedUse> {
    // The history that a first use makes has to come back first.
    const isPlain = async (): Promise<boolean> => {
      const before = await this.metric(sidecar, 'remit_sidecar_settles_total');
      const isAllowed = (await this.call(sidecar, token)) === '200';
      return isAllowed && (await this.metric(sidecar, 'remit_sidecar_settles_total')) === before;
    };
    await until(isPlain, { what: `a use at ${sidecar} that settles nothing` });
    const use = watchUse(() => this.call(sidecar, token));
    this.#closers.push(() => use.stop());
    return use;
  }

  async stop(): Promise<void> {
    for (const close of this.#closers.splice(0).toReversed()) await close();
    for (const party of this.#running.keys()) await this.kill(party);
    for (const link of this.#links.values()) await link.close();
    this.agent.close();
    this.operator.close();
  }
}

/** Agents of a flood, each with four connections. */
const FLOODERS = 4;
const HOUR_MS = 3_600_000;

interface Svid {
  readonly certificate: string;
  readonly key: string;
  readonly bundle: string;
}

interface Credentials {
  readonly gateway: Omit<Svid, 'bundle'>;
  readonly svids: { readonly authority: Svid; readonly sidecar: Svid };
}
