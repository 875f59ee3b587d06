import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { postgresTargetFrom } from '../../core/config/postgres-url.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { migratePostgres } from '../../authority/state/postgres/migrate.ts';
import { Agent } from '../agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../authority.ts';
import type { CertificateAuthority, CredentialFiles } from '../authority.ts';
import { isBinaryProblem } from '../envoy-binary.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../tools/init/envoy-config.ts';
import { EnvoyProcess } from '../envoy.ts';
import { freePortSource } from '../free-port-source.ts';
import { failover } from '../postgres/failover.ts';
import type { Failover } from '../postgres/failover.ts';
import { initDataFolder } from '../postgres/data-folder.ts';
import { makeNodes, NODES, PostgresNodes } from '../postgres/nodes.ts';
import { ToolServer } from '../upstream.ts';
import { Relay } from './relay.ts';
import { ServedRemit } from './served-remit.ts';

/** The authorities, by number. */
export const AUTHORITIES = [1, 2] as const;
/** The number of an authority. */
export type AuthorityNumber = (typeof AUTHORITIES)[number];
/** The sidecars, each with an Envoy, by number. */
export const SIDECARS = [1, 2, 3] as const;
/** The number of a sidecar. */
export type SidecarNumber = (typeof SIDECARS)[number];

/** The lease of the sidecars, in seconds. */
export const LEASE_SECONDS = 3;

/** Options of a fleet. */
export interface FleetOptions {
  /** An empty folder, which the caller removes. Its path must be at most 70 bytes. */
  readonly folder: string;
  /** Envoy's binary. */
  readonly envoy: string;
  /** Folder of the programs of PostgreSQL. */
  readonly postgres: string;
  /** The policy folder. */
  readonly policies: string;
  /** Program and first arguments that run `remit`. */
  readonly remit: readonly string[];
  readonly ports: Ports;
  /** Aborts the start. */
  readonly signal: AbortSignal;
  /** Called with each part that is about to start. */
  readonly progress: (line: string) => void;
}

/** What the parts of a fleet share. */
interface Common {
  readonly options: FleetOptions;
  readonly ca: CertificateAuthority;
  readonly bundle: string;
  readonly nextPort: () => Promise<number>;
}

interface AuthorityPart {
  readonly running: ServedRemit;
  readonly issuerPort: number;
  readonly port: number;
}

/**
 * A fleet on loopback. It has three nodes of PostgreSQL, two authorities, three Envoys each with its sidecar, and a tool server, all real
 * processes. The third sidecar reaches the authorities through relays that can be cut.
 *
 * Lifecycle: `start`, which leaves nothing running if it rejects; `stop` ends everything.
 */
export class DevFleet {
  readonly agent: Agent;
  readonly nodes: PostgresNodes;
  readonly #authorities: ReadonlyMap<AuthorityNumber, AuthorityPart>;
  readonly #envoys: ReadonlyMap<SidecarNumber, EnvoyProcess>;
  readonly #relays: readonly Relay[];
  readonly #stop: () => Promise<void>;

  private constructor(
    parts: {
      readonly agent: Agent;
      readonly nodes: PostgresNodes;
      readonly authorities: ReadonlyMap<AuthorityNumber, AuthorityPart>;
      readonly envoys: ReadonlyMap<SidecarNumber, EnvoyProcess>;
      readonly relays: readonly Relay[];
    },
    stop: () => Promise<void>,
  ) {
    this.agent = parts.agent;
    this.nodes = parts.nodes;
    this.#authorities = parts.authorities;
    this.#envoys = parts.envoys;
    this.#relays = parts.relays;
    this.#stop = stop;
  }

  static async start(options: FleetOptions): Promise<DevFleet> {
    const stops: (() => unknown)[] = [];
    const stop = async (): Promise<void> => {
      for (const end of stops.splice(0).reverse()) await end();
    };
    try {
      return new DevFleet(await build(options, stops), stop);
    } catch (error) {
      await stop();
      throw error;
    }
  }

  issuerPort(at: AuthorityNumber): number {
    return this.#authorities.get(at)?.issuerPort ?? 0;
  }

  envoyPort(at: SidecarNumber): number {
    return this.#envoys.get(at)?.address.port ?? 0;
  }

  /** Kills the primary of the database, or stops it in order, and promotes a standby. Resolves with the names of both. */
  async failOver(by: 'kill' | 'stop'): Promise<Failover> {
    await this.nodes.nodes[this.nodes.primary][by]();
    return failover(this.nodes);
  }

  async killAuthority(at: AuthorityNumber): Promise<void> {
    await this.#authorities.get(at)?.running.kill();
  }

  /** Cuts the third sidecar off from both authorities. */
  cutOff(): void {
    for (const relay of this.#relays) relay.cut();
  }

  heal(): void {
    for (const relay of this.#relays) relay.heal();
  }

  stop(): Promise<void> {
    return this.#stop();
  }
}

async function build(options: FleetOptions, stops: (() => unknown)[]) {
  const { folder, ports, progress, signal } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const ca = await createAuthority('acme.test', ports);
  const start = Buffer.from(ports.randomBytes(2)).readUInt16BE();
  const bundle = await writeBundle(folder, 'bundle', ca);
  const common: Common = { options, ca, bundle, nextPort: freePortSource(start) };
  const agent = new Agent(await ca.svid('/ns/agents/sa/planner'), ca.bundlePem);
  stops.push(() => agent.close());
  progress('starting PostgreSQL: a primary and two standbys');
  const nodes = await startNodes(common, stops);
  signal.throwIfAborted();
  progress('starting two authorities');
  const authorities = await startAuthorities(common, nodes, stops);
  signal.throwIfAborted();
  const relays: Relay[] = [];
  for (const { port } of authorities.values()) {
    const relay = await Relay.start(port);
    stops.push(() => relay.close());
    relays.push(relay);
  }
  progress('starting three Envoys, each with its sidecar');
  const direct = [...authorities.values()].map(({ port }) => port);
  const relayed = relays.map(({ port }) => port);
  const sidecars: ServedRemit[] = [];
  for (const n of SIDECARS)
    sidecars.push(await startSidecar(common, { n, authorities: n === 3 ? relayed : direct }, stops));
  const payments = await ToolServer.start('payments');
  stops.push(() => payments.close());
  const envoys = new Map<SidecarNumber, EnvoyProcess>();
  for (const n of SIDECARS) {
    signal.throwIfAborted();
    envoys.set(n, await startEnvoy(common, { n, payments }, stops));
  }
  await Promise.all(sidecars.map((sidecar, at) => sidecar.ready(`sidecar ${at + 1}`)));
  signal.throwIfAborted();
  return { agent, nodes, authorities, envoys, relays };
}

async function startNodes({ options, nextPort }: Common, stops: (() => unknown)[]): Promise<PostgresNodes> {
  const { postgres: binaries, ports: random, signal } = options;
  const folder = join(options.folder, 'postgres');
  await mkdir(folder, { mode: 0o700 });
  const template = join(folder, 'template');
  await initDataFolder(binaries, template);
  signal.throwIfAborted();
  const ports: number[] = [];
  while (ports.length < NODES.length) ports.push(await nextPort());
  const client = { user: 'remit', password: Buffer.from(random.randomBytes(16)).toString('hex') };
  const made = { binaries, folder, template, client, ports, random };
  const nodes = new PostgresNodes(await makeNodes(made), made, {
    ofClients: (to) => nodes.nodes[to].port,
    ofStandby: (_standby, upstream) => nodes.nodes[upstream].port,
  });
  stops.push(() => nodes.close());
  await nodes.start();
  const owner = postgresTargetFrom(nodes.ownerUrl);
  if (isProblem(owner)) throw new Error(owner.problem);
  const migrated = await migratePostgres(owner, { grant: client.user, randomBytes: random.randomBytes, askMs: 10_000 });
  if (isStoreFailure(migrated)) throw new Error(migrated.detail);
  return nodes;
}

async function startAuthorities(
  common: Common,
  nodes: PostgresNodes,
  stops: (() => unknown)[],
): Promise<ReadonlyMap<AuthorityNumber, AuthorityPart>> {
  const { ca, options, nextPort } = common;
  const names = { dns: ['localhost', 'issuer.acme.test'], ips: ['127.0.0.1'] };
  const svid = await writeCredential(options.folder, 'authority', await ca.svid('/authority', names));
  const started = new Map<AuthorityNumber, AuthorityPart>();
  for (const n of AUTHORITIES) {
    options.signal.throwIfAborted();
    const [port, issuerPort] = [await nextPort(), await nextPort()];
    const running = await startRemit(
      common,
      {
        name: `authority-${n}`,
        svid,
        settings: {
          issuer: { url: 'https://issuer.acme.test', listen: `127.0.0.1:${issuerPort}` },
          state: nodes.url,
          records: `file:records-${n}`,
          authority: {
            listen: `127.0.0.1:${port}`,
            sidecars: { id: 'spiffe://acme.test/ns/pay/sa/tools-*', audiences: 'https://payments.acme.test' },
            leaseSeconds: LEASE_SECONDS,
          },
        },
      },
      stops,
    );
    started.set(n, { running, port, issuerPort });
  }
  await Promise.all([...started].map(([n, { running }]) => running.ready(`authority ${n}`)));
  return started;
}

async function startSidecar(
  common: Common,
  { n, authorities }: { readonly n: SidecarNumber; readonly authorities: readonly number[] },
  stops: (() => unknown)[],
): Promise<ServedRemit> {
  const { ca, options } = common;
  const name = `sidecar-${n}`;
  const svid = await writeCredential(options.folder, name, await ca.svid(`/ns/pay/sa/tools-${n}`));
  const settings = {
    state: `authority://${authorities.map((port) => `127.0.0.1:${port}`).join(',')}`,
    authority: { id: 'spiffe://acme.test/authority' },
  };
  return startRemit(common, { name, svid, settings }, stops);
}

async function startRemit(
  { options, bundle, nextPort }: Common,
  {
    name,
    svid,
    settings,
  }: {
    readonly name: string;
    readonly svid: CredentialFiles;
    readonly settings: Readonly<Record<string, unknown>>;
  },
  stops: (() => unknown)[],
): Promise<ServedRemit> {
  const { folder, policies, remit } = options;
  const adminPort = await nextPort();
  const file = join(folder, `${name}.yaml`);
  const common = {
    trustDomains: ['acme.test'],
    extAuthz: { listen: `unix:${join(folder, `${name}.sock`)}` },
    admin: { listen: `127.0.0.1:${adminPort}` },
    svid: { ...svid, bundle },
    policies,
    ledger: {
      folder: `ledger-${name}`,
      name,
      key: `ledger-${name}.pem`,
      checkpoints: `checkpoints-${name}.txt`,
    },
  };
  await writeFile(file, stringify({ ...common, ...settings }), { mode: 0o600 });
  const started = ServedRemit.start(remit, { file, adminPort });
  stops.push(() => started.kill());
  return started;
}

async function startEnvoy(
  { options, ca, bundle }: Common,
  { n, payments }: { readonly n: SidecarNumber; readonly payments: ToolServer },
  stops: (() => unknown)[],
): Promise<EnvoyProcess> {
  const { folder, envoy: binary } = options;
  const names = { dns: ['localhost', 'payments.acme.test'], ips: ['127.0.0.1'] };
  const files = await writeCredential(folder, `gateway-${n}`, await ca.svid('/gateway', names));
  const shipped = await shippedEnvoyConfig();
  const addresses = {
    listener: { host: '127.0.0.1', port: 0 },
    remitSocket: join(folder, `sidecar-${n}.sock`),
    payments: payments.address,
    files: payments.address,
    collector: null,
  };
  const bundles = new Map([['acme.test', bundle]]);
  const started = await EnvoyProcess.start({
    binary,
    config: (adminSocket) => envoyConfigWithFiles(shipped, { ...addresses, adminSocket }, { ...files, bundles }),
  });
  if (isBinaryProblem(started)) throw new Error(started.problem);
  stops.push(() => started.stop());
  return started;
}
