import { execFileSync } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import type { QueryResult, QueryResultRow } from 'pg';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { CertificateAuthority } from '../../src/dev/authority.ts';
import { DevProcess } from '../../src/dev/child.ts';
import { systemPorts } from '../../src/runtime/ports.ts';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';

/** The superuser of every cluster here. */
const SUPERUSER = 'postgres';

/** What a cluster is made with. */
export interface PostgresOptions {
  /** Folder of the programs, from `postgresPart`. */
  readonly binaries: string;
  /** An empty folder, for data, sockets and certificates. */
  readonly folder: string;
  /** Further settings of `postgresql.conf`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** The certificates of a cluster. */
export interface PostgresTls {
  readonly authority: CertificateAuthority;
  /** Path of the CA's certificate, for `sslrootcert`. */
  readonly ca: string;
}

/**
 * A real PostgreSQL of one node, on a port of loopback and a socket. TCP takes TLS only, with a password (SCRAM), or the client certificate
 * of the role it names. The socket takes the superuser without a password.
 *
 * Lifecycle: `startPostgres` makes and starts it; `stop` or `kill`, then `start` again, as often as needed; `stop` at last.
 */
export class Postgres {
  readonly port: number;
  /** The data folder. */
  readonly data: string;
  /** Folder of the socket: the host of a connection through it. */
  readonly sockets: string;
  readonly tls: PostgresTls;
  readonly #binaries: string;
  #process: DevProcess | null = null;

  constructor(at: {
    readonly binaries: string;
    readonly folder: string;
    readonly port: number;
    readonly tls: PostgresTls;
  }) {
    this.port = at.port;
    this.data = join(at.folder, 'data');
    this.sockets = at.folder;
    this.tls = at.tls;
    this.#binaries = at.binaries;
  }

  /** Process id of the postmaster. */
  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('PostgreSQL does not run');
    return pid;
  }

  /** Starts it and waits until it takes connections. */
  async start(): Promise<void> {
    const started = new DevProcess(...asDatabaseUser(join(this.#binaries, 'postgres'), ['-D', this.data]));
    this.#process = started;
    await until(
      async () => {
        if (started.ended) throw new Error(`PostgreSQL did not start: ${started.stderr.slice(-5).join(' | ')}`);
        return this.sql('SELECT 1').then(
          () => true,
          () => false,
        );
      },
      { what: 'PostgreSQL takes connections' },
    );
  }

  /** A fast shutdown: connections are ended, and what is committed is written. */
  async stop(): Promise<void> {
    await this.#end('SIGINT');
  }

  /** The end by SIGKILL of the postmaster, whose processes then end at once too. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Runs one statement, or several without values, as the superuser through the socket. */
  async sql(text: string, values: readonly unknown[] = [], database = 'postgres'): Promise<QueryResultRow[]> {
    const client = new Client({ host: this.sockets, port: this.port, user: SUPERUSER, database });
    // The end of the server while connected is told by the query.
    client.on('error', () => undefined);
    await client.connect();
    try {
      const results: QueryResult | readonly QueryResult[] =
        values.length === 0 ? await client.query(text) : await client.query(text, [...values]);
      return Array.isArray(results) ? (results.at(-1)?.rows ?? []) : results.rows;
    } finally {
      await client.end();
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const running = this.#process;
    this.#process = null;
    if (running?.pid === undefined || running.ended) return;
    process.kill(running.pid, signal);
    const slow = setTimeout(() => void running.end(0), 30_000);
    await running.exited;
    clearTimeout(slow);
  }
}

/** Makes a cluster with one node and starts it. */
export async function startPostgres({ binaries, folder, settings = {} }: PostgresOptions): Promise<Postgres> {
  const port = await freePort();
  const authority = await createAuthority('postgres.test', systemPorts);
  const ca = await writeBundle(folder, 'ca', authority);
  const server = await authority.certificate({ uris: [], dns: ['localhost'], ips: ['127.0.0.1'] });
  const files = await writeCredential(folder, 'server', server);
  const data = join(folder, 'data');
  const made = ['-D', data, '-U', SUPERUSER, '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '-N'];
  const [command, args] = asDatabaseUser(join(binaries, 'initdb'), made);
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const all: Readonly<Record<string, string>> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: folder,
    ssl: 'on',
    ssl_ca_file: ca,
    ssl_cert_file: files.certificate,
    ssl_key_file: files.key,
    max_connections: '100',
    shared_buffers: '16MB',
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`);
  appendFileSync(join(data, 'postgresql.conf'), lines.join(''));
  writeFileSync(join(data, 'pg_hba.conf'), HBA, { mode: 0o600 });
  const started = new Postgres({ binaries, folder, port, tls: { authority, ca } });
  await started.start();
  return started;
}

/** A role whose name ends in `-cert` logs in by its client certificate. */
const HBA = `
local all,replication ${SUPERUSER} trust
hostssl all /-cert$ 127.0.0.1/32 cert
hostssl all,replication all 127.0.0.1/32 scram-sha-256
`;

/**
 * A command and its arguments, run as a user that PostgreSQL accepts: it refuses root, so root runs it as `nobody` of a user namespace of
 * its own, in which root's files are nobody's.
 */
export function asDatabaseUser(command: string, args: readonly string[]): readonly [string, readonly string[]] {
  if (process.getuid?.() !== 0) return [command, args];
  return ['unshare', ['--user', '--map-user=65534', '--map-group=65534', command, ...args]];
}
