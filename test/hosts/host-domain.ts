import { realpathSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { Agent } from '../../src/dev/agent.ts';
import { ToolServer } from '../../src/dev/upstream.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';
import { firstSvid } from '../../src/core/identity/first-svid.ts';
import { tlsMaterialOf } from '../../src/core/identity/svid.ts';
import { workloadApiTargetFrom } from '../../src/core/identity/workload-api-address.ts';
import { WorkloadApiSource } from '../../src/core/identity/workload-api.ts';
import type { LedgerRecord } from '../../src/core/ledger/record.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { startRemit, type Remit } from '../../src/serve/remit.ts';
import { mustConfig } from '../builders/config.ts';
import { must } from '../builders/must.ts';
import { mustSpiffeId } from '../builders/spiffe-id.ts';
import { ledgerTimeline } from '../builders/ledger-timeline.ts';
import { freePort } from '../free-port.ts';
import type { SpireBinaries } from '../parts.ts';
import { type EntryOptions, Spire } from '../spire/spire.ts';

/** Host of the tool server. */
export const HOST = 'payments.acme.test';

/** What a host domain is made from. */
export interface HostDomainOptions {
  readonly spire: SpireBinaries;
  /** The program that is given the SVID of the proxy; none where no proxy runs. */
  readonly envoy?: string;
  /** The section `extAuthz` without `listen`. */
  readonly extAuthz: Readonly<Record<string, unknown>>;
}

/** An agent with the certificate that it shows. */
export interface HostAgent {
  readonly agent: Agent;
  /** Its leaf. */
  readonly certPem: string;
  /** What a client of its own needs. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
}

/** The path of the SPIFFE ID that the proxy has in front of the tools. */
export const PROXY = '/ns/demo/sa/tools';
/** Lives of its SVIDs, longer than any test: the first, and those after `renewProxy`. */
const [PROXY_SVID_SECONDS, NEXT_SVID_SECONDS] = [3600, 3500];
const PLANNER = '/ns/agents/sa/planner';
const THIEF = '/ns/agents/sa/thief';
const SIDECAR = '/ns/remit/sa/remit';

/**
 * What a host is put in front of and asks: SPIRE, Remit with its issuer, a tool server, and two agents. Each of them has its SVID from SPIRE, and
 * the proxy is the only one with the SVID of the proxy. Lifecycle: `start` gives one that answers or throws with nothing left; `stop` once.
 */
export class HostDomain {
  readonly folder: string;
  readonly spire: Spire;
  readonly payments: ToolServer;
  readonly planner: HostAgent;
  readonly thief: HostAgent;
  /** Where Remit is asked. */
  readonly checkSocket: string;
  readonly checkPort: number;
  readonly #settings: Settings;
  readonly #proxy: EntryOptions | null;
  readonly #stops: (() => Promise<void> | void)[];
  #remit: Remit | null = null;

  private constructor(parts: Parts, stops: (() => Promise<void> | void)[]) {
    this.folder = parts.folder;
    this.spire = parts.spire;
    this.payments = parts.payments;
    this.planner = parts.planner;
    this.thief = parts.thief;
    this.checkSocket = parts.checkSocket;
    this.checkPort = parts.checkPort;
    this.#settings = parts.settings;
    this.#proxy = parts.proxy;
    this.#stops = stops;
  }

  static async start(options: HostDomainOptions): Promise<HostDomain> {
    const stops: (() => Promise<void> | void)[] = [];
    try {
      const domain = new HostDomain(await build(options, stops), stops);
      stops.push(() => domain.stopRemit());
      await domain.startRemit();
      return domain;
    } catch (error) {
      await end(stops);
      throw error;
    }
  }

  /** Starts Remit, which was stopped, with changes of `extAuthz`. */
  async startRemit(extAuthz: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const settings = { ...this.#settings, extAuthz: { ...this.#settings.extAuthz, ...extAuthz } };
    this.#remit = must(
      await startRemit(mustConfig(stringify(settings), { folder: this.folder }), {
        ports: systemPorts,
        environment: {},
        log: () => undefined,
        onFatal: () => undefined,
      }),
    );
  }

  async stopRemit(): Promise<void> {
    await this.#remit?.close();
    this.#remit = null;
  }

  /** A token of the planner for `actions`. */
  async declare(actions: readonly string[]): Promise<string> {
    const port = this.#remit?.issuerPort ?? 0;
    const request = tokenRequest(`https://${HOST}`, { actions, purpose: 'settle payment p-1' });
    const reply = await this.planner.agent.call(port, { host: `localhost:${port}`, ...request });
    if (reply.status !== 200) throw new Error(`the issuer answered ${reply.status}: ${reply.body}`);
    return JSON.parse(reply.body).access_token;
  }

  /** Ends the connections of the agents. Envoy serves a connection with the configuration it had when that began, and drains it over minutes. */
  reconnect(): void {
    for (const { agent } of [this.planner, this.thief]) agent.close();
  }

  /** Has SPIRE issue the next SVID of the proxy. */
  async renewProxy(): Promise<void> {
    if (this.#proxy === null) throw new Error('no proxy is registered');
    await this.spire.change(PROXY, { ...this.#proxy, ttlSeconds: NEXT_SVID_SECONDS });
  }

  /** All records of the ledger. */
  async records(): Promise<readonly LedgerRecord[]> {
    await this.#remit?.flush();
    return ledgerTimeline(this.folder);
  }

  /** Has `stop` called before the parts of this end: a host ends before Remit. */
  onStop(stop: () => Promise<void>): void {
    this.#stops.push(stop);
  }

  stop(): Promise<void> {
    return end(this.#stops);
  }
}

/** A configuration of Remit. */
type Settings = Readonly<Record<string, unknown>> & { readonly extAuthz: Readonly<Record<string, unknown>> };

interface Parts {
  readonly folder: string;
  readonly spire: Spire;
  readonly proxy: EntryOptions | null;
  readonly payments: ToolServer;
  readonly planner: HostAgent;
  readonly thief: HostAgent;
  readonly checkSocket: string;
  readonly checkPort: number;
  readonly settings: Settings;
}

async function end(stops: (() => Promise<void> | void)[]): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

async function build(options: HostDomainOptions, stops: (() => Promise<void> | void)[]): Promise<Parts> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-host-'));
  stops.push(() => rm(folder, { recursive: true, force: true }));
  const spire = await Spire.start(options.spire);
  stops.push(() => spire.stop());
  const program = realpathSync(process.execPath);
  for (const path of [PLANNER, THIEF]) await spire.register(path, { program });
  await spire.register(SIDECAR, { program, dns: ['localhost'] });
  const proxy = options.envoy === undefined ? null : { program: realpathSync(options.envoy), dns: [HOST] };
  if (proxy !== null) await spire.register(PROXY, { ...proxy, ttlSeconds: PROXY_SVID_SECONDS });
  const payments = await ToolServer.start('payments');
  stops.push(() => payments.close());
  const [planner, thief] = [await agentOf(spire, PLANNER), await agentOf(spire, THIEF)];
  stops.push(() => [planner, thief].forEach(({ agent }) => agent.close()));
  const checkSocket = join(folder, 'check.sock');
  const checkPort = await freePort();
  const settings = {
    trustDomains: [spire.trustDomain],
    extAuthz: { ...options.extAuthz, listen: [`unix:${checkSocket}`, `127.0.0.1:${checkPort}`] },
    svid: { workloadApi: `unix://${spire.workloadSocket}`, id: `spiffe://${spire.trustDomain}${SIDECAR}` },
    issuer: { listen: '127.0.0.1:0', url: 'https://issuer.acme.test', signingKey: 'signing-key.pem' },
    admin: { listen: '127.0.0.1:0' },
    policies: resolve(import.meta.dirname, '../../cedar-policies'),
    state: 'sqlite:state.db',
  };
  return { folder, spire, proxy, payments, planner, thief, checkSocket, checkPort, settings };
}

/** An agent with its SVID from SPIRE, which lives longer than any test. */
async function agentOf(spire: Spire, path: string): Promise<HostAgent> {
  const target = workloadApiTargetFrom(`unix://${spire.workloadSocket}`);
  if (typeof target !== 'string') throw new Error('no source of an svid');
  const id = mustSpiffeId(`spiffe://${spire.trustDomain}${path}`);
  const source = new WorkloadApiSource({ target, id, hint: null, ports: systemPorts, after, onProblem: () => {} });
  const svid = must(await firstSvid(source, { withinMs: 60_000, after }));
  source.close();
  const { certificate, key, bundle } = tlsMaterialOf(svid);
  return {
    agent: new Agent({ id: svid.id, certPem: certificate, keyPem: key }, bundle),
    certPem: certificate,
    tls: { cert: certificate, key, ca: bundle },
  };
}
