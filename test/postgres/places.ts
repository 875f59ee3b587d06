import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll } from '@jest/globals';
import { postgresTargetFrom } from '../../src/core/config/postgres-url.ts';
import { migratePostgres } from '../../src/authority/state/postgres/migrate.ts';
import { PARTS_OF_SETTLED } from '../../src/authority/state/postgres/rows/settled-parts.ts';
import { must, mustFind } from '../builders/must.ts';
import { startPostgres } from './postgres.ts';
import type { Postgres } from './postgres.ts';

/** The roles of a database: one owns the tables, one serves with them. */
export const OWNER = 'remit_owner';
export const RUNTIME = 'remit_authority';

/** One PostgreSQL with a migrated database for each test, reached over TLS by a role without DDL. Lifecycle: `start`, then `stop` once. */
export class PostgresPlaces {
  readonly #binaries: string;
  readonly #folder: string;
  #postgres: Postgres | null = null;
  #count = 0;

  constructor(binaries: string, folder: string) {
    this.#binaries = binaries;
    this.#folder = folder;
  }

  get postgres(): Postgres {
    return mustFind(this.#postgres);
  }

  async start(): Promise<void> {
    this.#postgres = await startPostgres({ binaries: this.#binaries, folder: this.#folder });
    for (const role of [OWNER, RUNTIME]) {
      const password = randomBytes(16).toString('hex');
      writeFileSync(this.#passwordFile(role), `${password}\n`, { mode: 0o600 });
      await this.postgres.sql(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    }
    await this.postgres.sql(`CREATE DATABASE template_of_tests OWNER ${OWNER}`);
    const owner = must(postgresTargetFrom(this.url('template_of_tests', OWNER)));
    must(await migratePostgres(owner, { grant: RUNTIME, randomBytes, askMs: 60_000 }));
  }

  async stop(): Promise<void> {
    await this.#postgres?.stop();
  }

  /** The URL of a new database with the tables, for the role that serves. */
  async next(): Promise<string> {
    const name = `place_${(this.#count += 1)}`;
    await this.postgres.sql(`CREATE DATABASE ${name} TEMPLATE template_of_tests`);
    return this.url(name);
  }

  /** The URL of a database. */
  url(database: string, role: string = RUNTIME): string {
    const { port, tls } = this.postgres;
    return `postgres://${role}@localhost:${port}/${database}?sslrootcert=${tls.ca}&passwordfile=${this.#passwordFile(role)}`;
  }

  /** Runs a statement as the superuser in the database of a URL. */
  async sql(url: string, text: string, values: readonly unknown[] = []): Promise<readonly Record<string, unknown>[]> {
    return this.postgres.sql(text, values, must(postgresTargetFrom(url)).database);
  }

  /** The value of the call counter of a task. */
  async spent(url: string, taskId: string): Promise<number> {
    const rows = await this.sql(
      url,
      "SELECT spent - given AS spent FROM remit.budgets WHERE task = $1 AND name NOT LIKE 'lent %'",
      [taskId],
    );
    return Number(rows[0]?.['spent'] ?? 0);
  }

  /** How many decisions are remembered as settled, without the names of transactions. */
  async settled(url: string): Promise<number> {
    const rows = await this.sql(url, "SELECT count(*) AS n FROM remit.settled WHERE id NOT LIKE 'tx:%'");
    return Number(rows[0]?.['n']);
  }

  /** The records that wait for the ledger, in order. */
  async outbox(url: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const rows = await this.sql(url, 'SELECT bytes FROM remit.outbox ORDER BY seq');
    return rows.map(({ bytes }) => JSON.parse(Buffer.from(bytes as Uint8Array).toString('utf8')));
  }

  /** Makes what was settled older by slots: its age goes by the clock of the database, which no test sets. */
  async age(url: string, slots: number): Promise<void> {
    await this.sql(url, 'UPDATE remit.settled SET slot = slot - $1::bigint, part = (slot - $1::bigint) % $2::bigint', [
      slots,
      PARTS_OF_SETTLED,
    ]);
  }

  #passwordFile(role: string): string {
    return join(this.#folder, `${role}.password`);
  }
}

/** The places of a `describe` or a file: started before its tests and stopped after them. */
export function startedPlaces(binaries: string, folder: string): PostgresPlaces {
  const places = new PostgresPlaces(binaries, folder);
  beforeAll(() => places.start());
  afterAll(() => places.stop());
  return places;
}
