import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import { asDatabaseUser, SUPERUSER } from '../../src/dev/postgres/database-user.ts';
import { configure, copyDataFolder } from '../../src/dev/postgres/data-folder.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { dataTemplate } from '../postgres/data-template.ts';
import { until } from '../until.ts';
import type { Cluster } from './cluster.ts';
import { NODE_ADDRESS } from './machine/layout.ts';

const PORT = 5432;
const NAMESPACE = 'remit';
/** The name of its Service, which its certificate has. */
const DATABASE_HOST = `db.${NAMESPACE}.svc`;

/** `authority.database` of the chart's values for it. */
export const DATABASE_VALUES = {
  type: 'postgres',
  postgres: {
    hosts: [DATABASE_HOST],
    passwordSecret: 'authority-login',
    caSecret: 'database-ca',
    durability: 'single',
    migration: { passwordSecret: 'owner-login' },
  },
};
const LOGIN = `
local all ${SUPERUSER} trust
hostssl all all 0.0.0.0/0 scram-sha-256
`;

/** A PostgreSQL in the network of a cluster's node. */
export interface Database {
  close(): Promise<void>;
}

/**
 * Starts a PostgreSQL as a program of the node, with the roles, the database and the Secrets that the pages ask for, and a Service that leads to it.
 *
 * @param binaries folder of the programs, from `postgresPart`
 */
export async function startDatabase(cluster: Cluster, binaries: string): Promise<Database> {
  const folder = mkdtempSync(join(tmpdir(), 'rd-'));
  const authority = await createAuthority('postgres.test', systemPorts);
  const server = await authority.certificate({ uris: [], dns: [DATABASE_HOST], ips: [], ttlSeconds: 86_400 });
  const tls = {
    authority,
    ca: await writeBundle(folder, 'ca', authority),
    server: await writeCredential(folder, 'server', server),
  };
  const data = join(folder, 'data');
  await copyDataFolder(await dataTemplate(binaries), data);
  await configure(
    { data, port: PORT, sockets: folder, tls },
    { listen_addresses: NODE_ADDRESS, log_min_messages: 'fatal' },
  );
  writeFileSync(join(data, 'pg_hba.conf'), LOGIN, { mode: 0o600 });
  const [program, args] = asDatabaseUser(join(binaries, 'postgres'), ['-D', data]);
  const [enter = '', ...words] = cluster.wordsFor([program, ...args]);
  const child = spawn(enter, words, { stdio: 'ignore' });

  const owner = randomBytes(12).toString('hex');
  const login = randomBytes(12).toString('hex');
  await statements(folder, [
    `CREATE ROLE remit_owner LOGIN PASSWORD '${owner}'`,
    `CREATE ROLE remit_authority LOGIN PASSWORD '${login}'`,
    'GRANT pg_monitor TO remit_authority',
    "CREATE DATABASE remit OWNER remit_owner ENCODING 'UTF8' TEMPLATE template0",
  ]);
  const secret = (name: string, stringData: Readonly<Record<string, string>>) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: NAMESPACE },
    stringData,
  });
  const [name] = DATABASE_HOST.split('.');
  await cluster.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    secret('owner-login', { password: owner }),
    secret('authority-login', { password: login }),
    secret('database-ca', { 'ca.crt': readFileSync(tls.ca, 'utf8') }),
    { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: NAMESPACE }, spec: { ports: [{ port: PORT }] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      endpoints: [{ addresses: [NODE_ADDRESS], conditions: { ready: true } }],
      ports: [{ port: PORT, protocol: 'TCP' }],
    },
  );
  return { close: () => end(cluster, child, data, folder) };
}

/** Runs each as the superuser, once the server answers. */
async function statements(folder: string, all: readonly string[]): Promise<void> {
  await until(
    async () => {
      const client = new Client({ host: folder, port: PORT, user: SUPERUSER, database: 'postgres' });
      client.on('error', () => undefined);
      const isConnected = await client.connect().then(
        () => true,
        () => false,
      );
      if (isConnected) for (const each of all) await client.query(each);
      await client.end();
      return isConnected;
    },
    { what: 'a PostgreSQL that answers' },
  );
}

/** A fast shutdown. */
async function end(cluster: Cluster, child: ChildProcess, data: string, folder: string): Promise<void> {
  const ended = once(child, 'exit');
  const [pid = ''] = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  await cluster.run(['kill', '-INT', pid]);
  await ended;
  rmSync(folder, { recursive: true });
}
