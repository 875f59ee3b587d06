import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import type { ClientConfig } from 'pg';
import type { PostgresHost, PostgresTarget } from '../../../core/config/postgres-url.ts';
import { storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { failureOfPostgres } from './postgres-failure.ts';

/** The server that takes writes. */
export interface Primary {
  readonly host: PostgresHost;
  /** Grows with each promotion of a standby. */
  readonly timeline: number;
}

/** Once a primary has answered, the others have as long again as it took, and at least this: another host may be a later primary. */
const LEAST_REST_MS = 250;

const ROLE = `SELECT pg_is_in_recovery() AS standby, CASE WHEN pg_is_in_recovery() THEN NULL
  ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline,
  (SELECT received_tli FROM pg_stat_wal_receiver) AS received`;

/** What a server of the database is now. */
export type HostRole =
  | { readonly host: PostgresHost; readonly role: 'primary'; readonly timeline: number }
  | { readonly host: PostgresHost; readonly role: 'standby'; readonly timeline: number | null }
  | { readonly host: PostgresHost; readonly role: 'unknown'; readonly failure: StoreFailure };

/** Asks all hosts at once. Each has `askMs` to connect and `askMs` to answer; default `connect_timeout` of the URL. */
export const rolesOf = (target: PostgresTarget, askMs = target.connectMs): Promise<readonly HostRole[]> =>
  Promise.all(target.hosts.map((host) => roleOf(target, host, askMs)));

/**
 * Finds the primary among all hosts: the host that is not in recovery and has the highest timeline. An old primary that still runs has a
 * lower timeline. Connecting takes some eight round trips, so the time limit for all hosts is long; but a failover does not wait for a host
 * that does not answer.
 */
export async function primaryOf(target: PostgresTarget, askMs = target.connectMs): Promise<Primary | StoreFailure> {
  const roles = await rolesInTime(target.hosts.map((host) => roleOf(target, host, askMs)));
  const [primary] = roles
    .filter((role) => role.role === 'primary')
    .toSorted((one, other) => other.timeline - one.timeline);
  if (primary !== undefined) return { host: primary.host, timeline: primary.timeline };
  const [first] = roles.flatMap((role) => (role.role === 'primary' ? [] : [failureOf(role)]));
  const hosts = target.hosts.map((host) => `\`${hostText(host)}\``).join(', ');
  return storeFailure(
    first?.code ?? 'busy',
    `no primary among ${hosts}${first === undefined ? '' : `: ${first.detail}`}`,
  );
}

/** The roles of all hosts, or of those that have answered some time after the first primary. */
async function rolesInTime(asked: readonly Promise<HostRole>[]): Promise<readonly HostRole[]> {
  const beganMs = performance.now();
  const answered: HostRole[] = [];
  return new Promise((resolve) => {
    let rest: NodeJS.Timeout | null = null;
    const over = (): void => {
      if (rest !== null) clearTimeout(rest);
      resolve([...answered]);
    };
    for (const one of asked)
      void one.then((role) => {
        answered.push(role);
        if (answered.length === asked.length) return over();
        if (role.role === 'primary') rest ??= setTimeout(over, Math.max(LEAST_REST_MS, performance.now() - beganMs));
        return undefined;
      });
  });
}

/** A host for people. */
export const hostText = ({ host, port }: PostgresHost): string => `${host}:${port}`;

const failureOf = (role: Exclude<HostRole, { readonly role: 'primary' }>): StoreFailure =>
  role.role === 'unknown' ? role.failure : storeFailure('busy', `\`${hostText(role.host)}\` is a standby`);

async function roleOf(target: PostgresTarget, host: PostgresHost, askMs: number): Promise<HostRole> {
  const client = new Client({ ...connectionOf(target, host), connectionTimeoutMillis: askMs, query_timeout: askMs });
  // The query reports the loss of the connection.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query(ROLE);
    const { standby, timeline, received } = rows[0] ?? {};
    return standby === false
      ? { host, role: 'primary', timeline: Number.parseInt(String(timeline), 16) }
      : { host, role: 'standby', timeline: typeof received === 'number' ? received : null };
  } catch (error) {
    return { host, role: 'unknown', failure: failureOfPostgres(error) };
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
