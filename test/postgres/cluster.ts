import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import type { QueryResultRow } from 'pg';
import { FaultProxy } from '../fault-proxy.ts';
import { freePorts } from '../free-port.ts';
import { until } from '../until.ts';
import { configure, makeDataFolder, makePostgresTls, run, type PostgresTls } from './data-folder.ts';
import { SUPERUSER } from './database-user.ts';
import { Postgres } from './postgres.ts';

/** The nodes of a cluster. `a` is the first primary. */
const NODES = ['a', 'b', 'c'] as const;
export type NodeName = (typeof NODES)[number];

/** The role of replication, and the one that tests connect as. */
const REPLICATION = { user: 'replication', password: 'of-the-replication' } as const;
const APP = { user: 'app', password: 'of-the-app' } as const;

const newRole = ({ user, password }: { readonly user: string; readonly password: string }): string =>
  `CREATE ROLE ${user} LOGIN PASSWORD '${password}'`;

/** What a cluster is made with. */
export interface ClusterOptions {
  /** Folder of the programs, from `postgresPart`. */
  readonly binaries: string;
  /** An empty folder. */
  readonly folder: string;
  /** Further settings of `postgresql.conf`, for all nodes. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** How a test connects. */
export interface ConnectOptions {
  readonly to?: NodeName;
  /** Whether queries are sent without waiting for the results of those before. Default no. */
  readonly pipeline?: boolean;
}

/**
 * Three real nodes of PostgreSQL on loopback: a primary whose commits wait for any one of two standbys. All TCP is TLS, checked in full. A
 * fault proxy stands between each two nodes, and before each node for its clients. `failover.ts` is its controller.
 *
 * Lifecycle: `startCluster` makes and starts it; `close` kills the nodes that run and ends the proxies.
 */
export class PostgresCluster {
  readonly nodes: Readonly<Record<NodeName, Postgres>>;
  readonly tls: PostgresTls;
  readonly #binaries: string;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #fronts: Readonly<Record<NodeName, FaultProxy>>;
  readonly #links: ReadonlyMap<string, FaultProxy>;
  readonly #passwordFile: string;
  #primary: NodeName = 'a';

  constructor(parts: {
    readonly options: ClusterOptions;
    readonly tls: PostgresTls;
    readonly nodes: Readonly<Record<NodeName, Postgres>>;
    readonly fronts: Readonly<Record<NodeName, FaultProxy>>;
    readonly links: ReadonlyMap<string, FaultProxy>;
  }) {
    this.nodes = parts.nodes;
    this.tls = parts.tls;
    this.#binaries = parts.options.binaries;
    this.#settings = parts.options.settings ?? {};
    this.#passwordFile = join(parts.options.folder, 'password');
    this.#fronts = parts.fronts;
    this.#links = parts.links;
  }

  /** The node that was promoted last. */
  get primary(): NodeName {
    return this.#primary;
  }

  /** The other two. */
  get standbys(): readonly NodeName[] {
    return NODES.filter((name) => name !== this.#primary);
  }

  /** The proxy between clients and a node. */
  front(name: NodeName): FaultProxy {
    return this.#fronts[name];
  }

  /** The proxy through which `standby` streams from `upstream`. */
  link(standby: NodeName, upstream: NodeName): FaultProxy {
    const link = this.#links.get(`${standby} from ${upstream}`);
    if (link === undefined) throw new Error(`no link of ${standby} from ${upstream}`);
    return link;
  }

  /** Cuts a node off from the two others, by holding all that goes between them. Its clients still reach it. */
  isolate(name: NodeName): void {
    for (const other of NODES.filter((node) => node !== name))
      for (const link of [this.link(name, other), this.link(other, name)]) link.set({ kind: 'held' });
  }

  /** Heals all proxies. */
  heal(): void {
    for (const proxy of this.#proxies()) proxy.heal();
  }

  /** Connects to a node, by default the primary, as the role `app`, through its proxy. The caller ends the client. */
  async connect({ to = this.#primary, pipeline = false }: ConnectOptions = {}): Promise<Client> {
    const client = new Client({
      host: '127.0.0.1',
      port: this.#fronts[to].port,
      pipeline,
      database: 'postgres',
      ssl: { ca: readFileSync(this.tls.ca) },
      connectionTimeoutMillis: 5_000,
      ...APP,
    });
    // What ends a connection is told by its query.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** The URL that `state` has, of all nodes through their proxies, as the role `app`. */
  get url(): string {
    const hosts = NODES.map((name) => `127.0.0.1:${this.#fronts[name].port}`).join(',');
    return `postgres://${APP.user}@${hosts}/postgres?sslrootcert=${this.tls.ca}&passwordfile=${this.#passwordFile}`;
  }

  /** The URL of the primary as the superuser, not through a proxy. */
  get ownerUrl(): string {
    const { port, sockets } = this.nodes[this.#primary];
    return `postgres://${SUPERUSER}@/postgres?host=${sockets}:${port}`;
  }

  /** Runs SQL on the primary as the superuser, not through a proxy. */
  sql(text: string, values: readonly unknown[] = []): Promise<QueryResultRow[]> {
    return this.nodes[this.#primary].sql(text, values);
  }

  /** Lets a node follow another, or with `null` nobody. Returns once its present stream has ended. */
  async follow(name: NodeName, upstream: NodeName | null): Promise<void> {
    await this.#configure(name, upstream);
    await this.nodes[name].sql('SELECT pg_reload_conf()');
    if (upstream !== null) return;
    await until(async () => (await this.nodes[name].sql('SELECT 1 FROM pg_stat_wal_receiver')).length === 0, {
      what: `${name} receives no more`,
    });
  }

  /** Promotes a node and lets the cluster take it for the primary. */
  async promote(name: NodeName): Promise<void> {
    await this.nodes[name].sql('SELECT pg_promote(true, 60)');
    this.#primary = name;
  }

  /**
   * Makes a former primary, running or not, or a running standby that followed another one, a standby of the present primary: what the
   * present one does not have is undone.
   */
  async rejoin(name: NodeName): Promise<void> {
    const node = this.nodes[name];
    const source = this.nodes[this.#primary];
    // Only an orderly end of a standby, and any of a primary, is a state that pg_rewind starts from.
    const isStandby = await node.sql('SELECT pg_is_in_recovery() AS is').then(
      ([row]) => row?.['is'] === true,
      () => false,
    );
    await (isStandby ? node.stop() : node.kill());
    // The source's control file names its timeline after its first checkpoint only.
    await source.sql('CHECKPOINT');
    const from = `host=${source.sockets} port=${source.port} user=${SUPERUSER} dbname=postgres`;
    run(join(this.#binaries, 'pg_rewind'), ['-D', node.data, '--no-sync', `--source-server=${from}`]);

    // It has copied the source's configuration.
    await this.startStandby(name);
  }

  /** Starts a node as a standby of the primary, and waits until commits may count on it. */
  async startStandby(name: NodeName): Promise<void> {
    await this.#configure(name, this.#primary);
    await writeFile(join(this.nodes[name].data, 'standby.signal'), '', { mode: 0o600 });
    await this.nodes[name].start();

    await this.streaming(name);
  }

  /** Waits until a standby streams from the primary. */
  async streaming(name: NodeName): Promise<void> {
    const streams = `SELECT 1 FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming' AND sync_state = 'quorum'`;
    await until(async () => (await this.sql(streams, [name])).length === 1, { what: `${name} streams` });
  }

  /** Starts the first primary, with the roles, then its standbys. Once. */
  async start(): Promise<void> {
    await writeFile(this.#passwordFile, `${APP.password}\n`, { mode: 0o600 });
    await this.#configure('a', null);
    await this.nodes.a.start();
    // No standby is there that the commit could wait for.
    await this.sql(
      `SET synchronous_commit = local; ${newRole(REPLICATION)} REPLICATION; ${newRole(APP)}; GRANT ALL ON SCHEMA public TO app; GRANT pg_monitor TO app`,
    );
    await Promise.all(this.standbys.map((name) => this.startStandby(name)));
  }

  async close(): Promise<void> {
    for (const node of Object.values(this.nodes)) await node.kill();
    await Promise.all(this.#proxies().map((proxy) => proxy.close()));
  }

  #proxies(): readonly FaultProxy[] {
    return [...Object.values(this.#fronts), ...this.#links.values()];
  }

  #configure(name: NodeName, upstream: NodeName | null): Promise<void> {
    const others = NODES.filter((node) => node !== name);
    return configure(this.nodes[name], {
      synchronous_standby_names: `ANY 1 (${others.join(', ')})`,
      // As far back as a node that was down may ask.
      wal_keep_size: '512MB',
      wal_receiver_status_interval: '1s',
      wal_retrieve_retry_interval: '100ms',
      primary_conninfo: upstream === null ? '' : this.#connectionTo(upstream, name),
      ...this.#settings,
    });
  }

  #connectionTo(upstream: NodeName, name: NodeName): string {
    const parts: Readonly<Record<string, string | number>> = {
      host: '127.0.0.1',
      port: this.link(name, upstream).port,
      ...REPLICATION,
      application_name: name,
      sslmode: 'verify-full',
      sslrootcert: this.tls.ca,
      connect_timeout: 5,
    };
    return Object.entries(parts)
      .map(([key, value]) => `${key}=${value}`)
      .join(' ');
  }
}

/** Makes a cluster and starts it: about 3 s on an idle machine. */
export async function startCluster(options: ClusterOptions): Promise<PostgresCluster> {
  const { binaries, folder } = options;
  const tls = await makePostgresTls(folder);
  const ports = await freePorts(NODES.length);
  const nodes: Partial<Record<NodeName, Postgres>> = {};
  const fronts: Partial<Record<NodeName, FaultProxy>> = {};
  const links = new Map<string, FaultProxy>();
  for (const [index, name] of NODES.entries()) {
    const port = ports[index] ?? 0;
    const place = join(folder, name);
    await mkdir(place, { mode: 0o700 });
    nodes[name] = new Postgres({ binaries, folder: place, port, tls });
    await makeDataFolder(binaries, join(place, 'data'));
    fronts[name] = await FaultProxy.start(port);
    for (const standby of NODES)
      if (standby !== name) links.set(`${standby} from ${name}`, await FaultProxy.start(port));
  }
  // The loop has made one for each name.
  const made = { nodes: nodes as Record<NodeName, Postgres>, fronts: fronts as Record<NodeName, FaultProxy> };
  const cluster = new PostgresCluster({ options, tls, links, ...made });
  try {
    await cluster.start();
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}
