/** Starts three nodes of a PostgreSQL: a primary and two standbys. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { QueryResultRow } from 'pg';
import type { Ports } from '../../core/runtime/ports.ts';
import { until } from '../until.ts';
import { configure, copyDataFolder, makePostgresTls, runPostgresProgram } from './data-folder.ts';
import type { PostgresTls } from './data-folder.ts';
import { SUPERUSER } from './database-user.ts';
import { PostgresNode } from './node.ts';

/** The nodes. `a` is the first primary. */
export const NODES = ['a', 'b', 'c'] as const;
export type NodeName = (typeof NODES)[number];

/** The role that streams to standbys. */
const REPLICATION = 'replication';
const SLOW_MS = 90_000;

/** A role that logs in over TCP. */
export interface PostgresLogin {
  readonly user: string;
  readonly password: string;
}

/** What three nodes are made with. */
export interface NodesOptions {
  /** Folder of the programs. */
  readonly binaries: string;
  /** An empty folder. */
  readonly folder: string;
  /** The data folder that each node starts with a copy of, from `initDataFolder`. */
  readonly template: string;
  /** The role of the clients. */
  readonly client: PostgresLogin;
  /** Ports of the nodes, in the order of `NODES`. */
  readonly ports: readonly number[];
  /** Further settings of `postgresql.conf`, for all nodes. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly random: Pick<Ports, 'nowMs' | 'randomBytes'>;
}

/** The ports by which nodes are reached, such as those of proxies before them. */
export interface NodePorts {
  readonly ofClients: (to: NodeName) => number;
  readonly ofStandby: (standby: NodeName, upstream: NodeName) => number;
}

/**
 * Three real servers of PostgreSQL on loopback: a primary whose commits wait for any one of two standbys. All TCP is TLS, verified in full.
 * `failover.ts` is its controller.
 *
 * Lifecycle: `makeNodes`, `start` once; `close` kills the nodes that run.
 */
export class PostgresNodes {
  readonly nodes: Readonly<Record<NodeName, PostgresNode>>;
  readonly tls: PostgresTls;
  readonly client: PostgresLogin;
  readonly #binaries: string;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #ports: NodePorts;
  readonly #passwordFile: string;
  readonly #replicationPassword: string;
  #primary: NodeName = 'a';

  constructor(
    nodes: Readonly<Record<NodeName, PostgresNode>>,
    { binaries, folder, client, settings = {}, random }: NodesOptions,
    ports: NodePorts,
  ) {
    this.nodes = nodes;
    this.tls = nodes.a.tls;
    this.client = client;
    this.#binaries = binaries;
    this.#settings = settings;
    this.#ports = ports;
    this.#passwordFile = join(folder, 'password');
    this.#replicationPassword = Buffer.from(random.randomBytes(16)).toString('hex');
  }

  /** The node that was promoted last. */
  get primary(): NodeName {
    return this.#primary;
  }

  /** The other two. */
  get standbys(): readonly NodeName[] {
    return NODES.filter((name) => name !== this.#primary);
  }

  /** The URL that `state` has, of all nodes, as the role of the clients. */
  get url(): string {
    const hosts = NODES.map((name) => `127.0.0.1:${this.#ports.ofClients(name)}`).join(',');
    return `postgres://${this.client.user}@${hosts}/postgres?sslrootcert=${this.tls.ca}&passwordfile=${this.#passwordFile}`;
  }

  /** The URL of the primary as the superuser, through its socket. */
  get ownerUrl(): string {
    const { port, sockets } = this.nodes[this.#primary];
    return `postgres://${SUPERUSER}@/postgres?host=${sockets}:${port}`;
  }

  /** Runs SQL on the primary as the superuser, through its socket. */
  sql(text: string, values: readonly unknown[] = []): Promise<QueryResultRow[]> {
    return this.nodes[this.#primary].sql(text, values);
  }

  /** Lets a node follow another. With `null` it follows nobody, and the call resolves once its present stream has ended. */
  async follow(name: NodeName, upstream: NodeName | null): Promise<void> {
    await this.#configure(name, upstream);
    await this.nodes[name].sql('SELECT pg_reload_conf()');
    if (upstream !== null) return;
    await until(async () => (await this.nodes[name].sql('SELECT 1 FROM pg_stat_wal_receiver')).length === 0, {
      what: `${name} receives no more`,
      withinMs: SLOW_MS,
    });
  }

  /** Promotes a node. The others follow it only after `follow` or `rejoin`. */
  async promote(name: NodeName): Promise<void> {
    await this.nodes[name].sql('SELECT pg_promote(true, 60)');
    this.#primary = name;
  }

  /**
   * Makes a former primary, running or not, or a running standby of another primary, a standby of the present primary: commits that
   * the present primary lacks are undone.
   */
  async rejoin(name: NodeName): Promise<void> {
    const node = this.nodes[name];
    const source = this.nodes[this.#primary];
    // pg_rewind needs a standby that was shut down in order, or a primary that ended in any way.
    const isStandby = await node.sql('SELECT pg_is_in_recovery() AS is').then(
      ([row]) => row?.['is'] === true,
      () => false,
    );
    await (isStandby ? node.stop() : node.kill());
    // The source's control file names its timeline after its first checkpoint only.
    await source.sql('CHECKPOINT');
    const from = `host=${source.sockets} port=${source.port} user=${SUPERUSER} dbname=postgres`;
    const rewind = join(this.#binaries, 'pg_rewind');
    await runPostgresProgram(rewind, ['-D', node.data, '--no-sync', `--source-server=${from}`]);

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
    const isStreaming = async (): Promise<boolean> => (await this.sql(streams, [name])).length === 1;
    await until(isStreaming, { what: `${name} streams`, withinMs: SLOW_MS });
  }

  /** Starts the first primary, with the roles, then its standbys. Once. */
  async start(): Promise<void> {
    await writeFile(this.#passwordFile, `${this.client.password}\n`, { mode: 0o600 });
    await this.#configure('a', null);
    await this.nodes.a.start();
    const { user } = this.client;
    const replication = newRole({ user: REPLICATION, password: this.#replicationPassword });
    // There is no standby yet that could confirm the commit.
    await this.sql(
      `SET synchronous_commit = local; ${replication} REPLICATION; ${newRole(this.client)}; GRANT ALL ON SCHEMA public TO ${user}; GRANT pg_monitor TO ${user}`,
    );
    await Promise.all(this.standbys.map((name) => this.startStandby(name)));
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.nodes).map((node) => node.kill()));
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
      port: this.#ports.ofStandby(name, upstream),
      user: REPLICATION,
      password: this.#replicationPassword,
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

/** Makes the folders and certificates of three nodes. None is started. */
export async function makeNodes({
  binaries,
  folder,
  template,
  ports,
  random,
}: NodesOptions): Promise<Readonly<Record<NodeName, PostgresNode>>> {
  const tls = await makePostgresTls(folder, random);
  const node = async (name: NodeName): Promise<PostgresNode> => {
    const place = join(folder, name);
    await mkdir(place, { mode: 0o700 });
    const port = ports[NODES.indexOf(name)];
    if (port === undefined) throw new Error(`no port for node ${name}`);
    const made = new PostgresNode({ binaries, folder: place, port, tls });
    await copyDataFolder(template, made.data);
    return made;
  };
  return { a: await node('a'), b: await node('b'), c: await node('c') };
}

const newRole = ({ user, password }: PostgresLogin): string => `CREATE ROLE ${user} LOGIN PASSWORD '${password}'`;
