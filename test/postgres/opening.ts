import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { openPostgresState } from '../../src/authority/state/postgres/postgres-state.ts';
import type { PostgresState, PostgresStateOptions } from '../../src/authority/state/postgres/postgres-state.ts';
import { postgresTargetFrom } from '../../src/core/config/postgres-url.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { connectionOf } from '../../src/authority/state/postgres/primary.ts';
import { must, mustFind } from '../builders/must.ts';
import type { Closers } from '../builders/with-closers.ts';

/** How an authority of a test opens its state in a database, on a machine that may be loaded. */
export const openingOf = (url: string, over: Partial<PostgresStateOptions> = {}): PostgresStateOptions => ({
  target: must(postgresTargetFrom(url)),
  durability: 'single',
  clocks: systemPorts,
  randomBytes,
  address: '',
  askMs: 60_000,
  ...over,
});

/** The state of an authority in a database. The caller closes it. */
export const mustOpenState = async (url: string, over: Partial<PostgresStateOptions> = {}): Promise<PostgresState> =>
  must(await openPostgresState(openingOf(url, over)));

/** The login of the authorities in the hands of an attacker: runs a statement, and gives how many rows it changed, or why it was refused. */
export async function openAttack(url: string, closers: Closers): Promise<(text: string) => Promise<string>> {
  const target = must(postgresTargetFrom(url));
  const client = new Client(connectionOf(target, mustFind(target.hosts[0])));
  await client.connect();
  closers.push(() => client.end());
  return (text) =>
    client.query(text).then(
      ({ rowCount }) => `${rowCount} rows`,
      (error: Error) => error.message,
    );
}
