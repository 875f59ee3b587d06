import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client } from 'pg';
import type { QueryResultRow } from 'pg';
import { stringify } from 'yaml';
import { DevProcess } from '../../src/dev/child.ts';
import { mustFind } from '../builders/must.ts';
import { freePorts } from '../free-port.ts';
import type { PatroniParts } from '../parts.ts';
import { makePostgresTls } from '../../src/dev/postgres/data-folder.ts';
import type { PostgresTls } from '../../src/dev/postgres/data-folder.ts';
import { asDatabaseUser, SUPERUSER } from '../../src/dev/postgres/database-user.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { until } from '../until.ts';

const NAMES = ['a', 'b', 'c'] as const;
type Name = (typeof NAMES)[number];

/** The role that serves. */
const APP = { user: 'app', password: 'of-the-app' };
const SCOPE = 'remit';
const OWN = { superuser: 'of-postgres', replication: 'of-replication', rewind: 'of-rewind' };

interface Node {
  readonly folder: string;
  readonly port: number;
  readonly api: number;
}

/** What a cluster is made with. */
interface PatroniOptions {
  /** Programs of PostgreSQL. */
  readonly binaries: string;
  readonly parts: PatroniParts;
  /** An empty folder. */
  readonly folder: string;
}

/**
 * Three nodes of PostgreSQL under Patroni, with quorum commits and the shortest times that it takes, and one etcd. As `operate/postgresql.md`
 * recommends: `synchronous_mode: quorum`, strict, `failsafe_mode`.
 *
 * Lifecycle: `startPatroni`; `close`, which kills all.
 */
export class PatroniCluster {
  readonly #options: PatroniOptions;
  readonly #tls: PostgresTls;
  readonly #nodes: ReadonlyMap<Name, Node>;
  readonly #etcdPort: number;
  readonly #running = new Map<Name, DevProcess>();
  #etcd: DevProcess | null = null;

  constructor(options: PatroniOptions, at: { readonly tls: PostgresTls; readonly ports: readonly number[] }) {
    this.#options = options;
    this.#tls = at.tls;
    this.#etcdPort = at.ports[0] ?? 0;
    this.#nodes = new Map(
      NAMES.map((name, n) => [
        name,
        { folder: join(options.folder, name), port: at.ports[2 + n * 2] ?? 0, api: at.ports[3 + n * 2] ?? 0 },
      ]),
    );
  }

  /** Starts etcd with a port for its peers, then the nodes; resolves once the leader has a quorum. */
  async start(peerPort: number): Promise<void> {
    const { folder, parts } = this.#options;
    const [client, peer] = [`http://127.0.0.1:${this.#etcdPort}`, `http://127.0.0.1:${peerPort}`];
    const urls = ['--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peer];
    const initial = ['--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`];
    this.#etcd = new DevProcess(parts.etcd, ['--data-dir', join(folder, 'etcd'), ...urls, ...initial]);
    for (const name of NAMES) {
      await this.#configure(name);
      this.run(name);
    }
    await this.whole();
    await this.sql(`CREATE ROLE ${APP.user} LOGIN PASSWORD '${APP.password}'; GRANT pg_monitor TO ${APP.user}`);
    await writeFile(join(folder, 'password'), `${APP.password}\n`, { mode: 0o600 });
  }

  /** Starts Patroni on a node. */
  run(name: Name): void {
    const { parts } = this.#options;
    const command = [`PYTHONPATH=${parts.modules}`, 'python3', join(parts.modules, 'bin', 'patroni'), this.#file(name)];
    this.#running.set(name, new DevProcess(...asDatabaseUser('env', command)));
  }

  /** The URL that `state` has. */
  get url(): string {
    const hosts = [...this.#nodes.values()].map(({ port }) => `127.0.0.1:${port}`).join(',');
    const { folder } = this.#options;
    return `postgres://${APP.user}@${hosts}/postgres?sslrootcert=${this.#tls.ca}&passwordfile=${folder}/password`;
  }

  /** The URL of the leader as the superuser. */
  async ownerUrl(): Promise<string> {
    const { folder, port } = this.#node(await this.leader());
    return `postgres://${SUPERUSER}@/postgres?host=${folder}:${port}`;
  }

  /** The node that Patroni calls the leader. */
  async leader(): Promise<Name> {
    return until(async () => (await this.#members()).find(({ role }) => role === 'leader')?.name, { what: 'a leader' });
  }

  /** Waits until one node leads and two stream with a quorum. */
  async whole(): Promise<void> {
    await until(
      async () => {
        const members = await this.#members();
        const standbys = members.filter(({ role, state }) => role === 'quorum_standby' && state === 'streaming');
        return standbys.length === 2 && members.some(({ role }) => role === 'leader');
      },
      { what: 'a leader with two standbys', withinMs: 240_000 },
    );
  }

  /** `patronictl switchover` to a standby, without asking. */
  async switchover(): Promise<void> {
    const { parts } = this.#options;
    const leader = await this.leader();
    const to = mustFind(NAMES.find((name) => name !== leader));
    const args = ['-c', this.#file(leader), 'switchover', SCOPE, '--leader', leader, '--candidate', to, '--force'];
    execFileSync('python3', [join(parts.modules, 'bin', 'patronictl'), ...args], {
      env: { ...process.env, PYTHONPATH: parts.modules },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  }

  /** Kills a node: Patroni and PostgreSQL, at once. */
  async kill(name: Name): Promise<void> {
    const running = mustFind(this.#running.get(name));
    const postmaster = Number(
      readFileSync(join(this.#node(name).folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0],
    );
    if (running.pid !== undefined) process.kill(running.pid, 'SIGKILL');
    process.kill(postmaster, 'SIGKILL');
    await running.exited;
  }

  /** Kills PostgreSQL on a node; its Patroni goes on. */
  killPostgres(name: Name): void {
    process.kill(
      Number(readFileSync(join(this.#node(name).folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]),
      'SIGKILL',
    );
  }

  /** Runs SQL on the leader as the superuser. */
  async sql(text: string): Promise<QueryResultRow[]> {
    const { folder, port } = this.#node(await this.leader());
    const client = new Client({ host: folder, port, user: SUPERUSER, database: 'postgres' });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query(text)).rows ?? [];
    } finally {
      await client.end();
    }
  }

  async close(): Promise<void> {
    for (const name of this.#running.keys()) await this.kill(name).catch(() => undefined);
    await this.#etcd?.end();
  }

  #node(name: Name): Node {
    return mustFind(this.#nodes.get(name));
  }

  #file(name: Name): string {
    return join(this.#node(name).folder, 'patroni.yaml');
  }

  /** What the first node that answers says of all. */
  async #members(): Promise<readonly { readonly name: Name; readonly role: string; readonly state: string }[]> {
    for (const { api } of this.#nodes.values()) {
      const signal = AbortSignal.timeout(2_000);
      const response = await fetch(`http://127.0.0.1:${api}/cluster`, { signal }).catch(() => null);
      if (response?.ok === true) return JSON.parse(await response.text()).members ?? [];
    }
    return [];
  }

  async #configure(name: Name): Promise<void> {
    const { folder, port, api } = this.#node(name);
    await mkdir(folder, { mode: 0o700 });
    const { ca, server } = this.#tls;
    const tls = { ssl: 'on', ssl_ca_file: ca, ssl_cert_file: server.certificate, ssl_key_file: server.key };
    const all = {
      scope: SCOPE,
      name,
      restapi: { listen: `127.0.0.1:${api}`, connect_address: `127.0.0.1:${api}` },
      etcd3: { host: `127.0.0.1:${this.#etcdPort}` },
      bootstrap: {
        dcs: {
          ttl: 20,
          loop_wait: 1,
          retry_timeout: 3,
          primary_start_timeout: 0,
          synchronous_mode: 'quorum',
          synchronous_mode_strict: true,
          synchronous_node_count: 1,
          failsafe_mode: true,
          maximum_lag_on_failover: 1_048_576,
          postgresql: { use_pg_rewind: true, use_slots: true },
        },
        initdb: [{ encoding: 'UTF8' }, { locale: 'C.UTF-8' }, 'data-checksums', { auth: 'trust' }],
      },
      postgresql: {
        listen: `127.0.0.1:${port}`,
        connect_address: `127.0.0.1:${port}`,
        bin_dir: this.#options.binaries,
        data_dir: join(folder, 'data'),
        pgpass: join(folder, 'pgpass'),
        authentication: {
          superuser: { username: SUPERUSER, password: OWN.superuser },
          replication: { username: 'replication', password: OWN.replication },
          rewind: { username: 'rewind', password: OWN.rewind },
        },
        parameters: { ...tls, unix_socket_directories: folder, shared_buffers: '16MB' },
        pg_hba: [
          'local all postgres trust',
          'host all,replication postgres,replication,rewind 127.0.0.1/32 scram-sha-256',
          'hostssl all all 127.0.0.1/32 scram-sha-256',
        ],
      },
    };
    await writeFile(this.#file(name), stringify(all), { mode: 0o600 });
  }
}

/** Makes a cluster and starts it. */
export async function startPatroni(options: PatroniOptions): Promise<PatroniCluster> {
  const tls = await makePostgresTls(options.folder, systemPorts);
  const ports = await freePorts(2 + 2 * NAMES.length);
  const cluster = new PatroniCluster(options, { tls, ports });
  try {
    await cluster.start(ports[1] ?? 0);
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}
