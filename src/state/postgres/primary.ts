import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import type { ClientConfig } from 'pg';
import type { PostgresHost, PostgresTarget } from '../../config/postgres-url.ts';
import { storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { failureOfPostgres } from './postgres-failure.ts';

/** The server that takes writes. */
export interface Primary {
  readonly host: PostgresHost;
  /** Grows with each promotion of a standby. */
  readonly timeline: number;
}

/** How long a host may take to connect and to answer. */
const ASK_MS = 1_000;

const ROLE = `SELECT pg_is_in_recovery() AS standby, CASE WHEN pg_is_in_recovery() THEN NULL
  ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline`;

/**
 * Finds the primary: asks all hosts at once, for a second at most, and takes the one that is not in recovery and has the highest timeline. An
 * old primary that still runs has a lower one.
 */
export async function primaryOf(target: PostgresTarget, askMs = ASK_MS): Promise<Primary | StoreFailure> {
  const asked = await Promise.all(target.hosts.map((host) => roleOf(target, host, askMs)));
  const [primary] = asked
    .filter((role): role is Primary => 'timeline' in role)
    .toSorted((one, other) => other.timeline - one.timeline);
  if (primary !== undefined) return primary;
  const first = asked.find((role): role is StoreFailure => 'code' in role);
  const hosts = target.hosts.map(({ host, port }) => `\`${host}:${port}\``).join(', ');
  return storeFailure(
    first?.code ?? 'busy',
    `no primary among ${hosts}${first === undefined ? '' : `: ${first.detail}`}`,
  );
}

async function roleOf(target: PostgresTarget, host: PostgresHost, askMs: number): Promise<Primary | StoreFailure> {
  const client = new Client({ ...connectionOf(target, host), connectionTimeoutMillis: askMs, query_timeout: askMs });
  // The loss of the connection is told by the query.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query(ROLE);
    const { standby, timeline } = rows[0] ?? {};
    return standby === false
      ? { host, timeline: Number.parseInt(String(timeline), 16) }
      : storeFailure('busy', `\`${host.host}:${host.port}\` is a standby`);
  } catch (error) {
    return failureOfPostgres(error);
  } finally {
    client.end().catch(() => undefined);
  }
}

/** How to connect to a host. Password and certificates are read from their files for each connection, so that they can be rotated. */
export const connectionOf = (target: PostgresTarget, { host, port }: PostgresHost): ClientConfig => ({
  host,
  port,
  database: target.database,
  user: target.user,
  application_name: 'remit',
  password: async () => (target.passwordFile === null ? '' : (await readFile(target.passwordFile, 'utf8')).trimEnd()),
  ssl: target.tls === 'disable' ? false : tlsOf(target),
});

/** `verify-full`: Node verifies chain and host name. The getters are called for each connection. */
const tlsOf = ({ rootCertFile, certFile, keyFile }: PostgresTarget): Exclude<ClientConfig['ssl'], undefined> => ({
  rejectUnauthorized: true,
  minVersion: 'TLSv1.2',
  ...(rootCertFile === null
    ? {}
    : {
        get ca() {
          return readFileSync(rootCertFile);
        },
      }),
  ...(certFile === null || keyFile === null
    ? {}
    : {
        get cert() {
          return readFileSync(certFile);
        },
        get key() {
          return readFileSync(keyFile);
        },
      }),
});
