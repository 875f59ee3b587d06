import { join } from 'node:path';
import { Client } from 'pg';
import type { QueryResult, QueryResultRow } from 'pg';
import { DevProcess } from '../child.ts';
import { until } from '../until.ts';
import type { NodePlace, PostgresTls } from './data-folder.ts';
import { asDatabaseUser, SUPERUSER } from './database-user.ts';

/** Long enough for a loaded machine. */
const START_MS = 90_000;
const END_MS = 30_000;

/**
 * A real PostgreSQL server on a port of loopback and a socket. TCP takes TLS only, with a password (SCRAM), or the client certificate
 * of the role it names. The socket takes the superuser without a password. It does not outlive this process.
 *
 * Lifecycle: `start` on a configured data folder; `stop` or `kill`, then `start` again, as often as needed; `stop` or `kill` at last.
 */
export class PostgresNode implements NodePlace {
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

  /** Starts it, with further environment variables, and waits until it takes connections. */
  async start(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const command = [...variables, join(this.#binaries, 'postgres'), '-D', this.data];
    const started = new DevProcess(...asDatabaseUser('env', command));
    this.#process = started;
    await until(
      async () => {
        if (started.ended) throw new Error(`PostgreSQL did not start: ${started.stderr.slice(-5).join(' | ')}`);
        return this.sql('SELECT 1').then(
          () => true,
          () => false,
        );
      },
      { what: 'PostgreSQL takes connections', withinMs: START_MS },
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
    // If the server ends while connected, the query rejects.
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
    if (running === null || running.ended) return;
    running.signal(signal);
    const slow = setTimeout(() => void running.end(0), END_MS);
    await running.exited;
    clearTimeout(slow);
  }
}
