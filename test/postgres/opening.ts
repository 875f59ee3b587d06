import { randomBytes } from 'node:crypto';
import { openPostgresState } from '../../src/authority/state/postgres/postgres-state.ts';
import type { PostgresState, PostgresStateOptions } from '../../src/authority/state/postgres/postgres-state.ts';
import { postgresTargetFrom } from '../../src/core/config/postgres-url.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { must } from '../builders/must.ts';

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
