import { execFile } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Ports } from '../../core/runtime/ports.ts';
import { createAuthority, writeBundle, writeCredential } from '../authority.ts';
import type { CertificateAuthority, CredentialFiles } from '../authority.ts';
import { asDatabaseUser, SUPERUSER } from './database-user.ts';

/** The certificates of a PostgreSQL. */
export interface PostgresTls {
  readonly authority: CertificateAuthority;
  /** Path of the CA's certificate, for `sslrootcert`. */
  readonly ca: string;
  /** The server's own, for `localhost` and 127.0.0.1. */
  readonly server: CredentialFiles;
}

const DAY_SECONDS = 86_400;

/** A new CA with a server certificate, both valid for a day, written to `folder`. */
export async function makePostgresTls(
  folder: string,
  ports: Pick<Ports, 'nowMs' | 'randomBytes'>,
): Promise<PostgresTls> {
  const authority = await createAuthority('postgres.test', ports);
  const names = { dns: ['localhost'], ips: ['127.0.0.1'] };
  const server = await authority.certificate({ uris: [], ...names, ttlSeconds: DAY_SECONDS });
  return {
    authority,
    ca: await writeBundle(folder, 'ca', authority),
    server: await writeCredential(folder, 'server', server),
  };
}

/**
 * Makes the data folder `data` by `initdb`, with page checksums, which `pg_rewind` needs. Copies of one such folder have the same system
 * identifier, so a node that was never started becomes a standby of any other.
 */
export const initDataFolder = (binaries: string, data: string): Promise<void> =>
  runPostgresProgram(join(binaries, 'initdb'), ['-D', data, '-U', SUPERUSER, ...AS_UTF8_WITH_CHECKSUMS]);

const AS_UTF8_WITH_CHECKSUMS = ['-A', 'trust', '-E', 'UTF8', '--locale=C', '--data-checksums', '--no-sync'] as const;

/** Copies a data folder that no server has started on. */
export const copyDataFolder = (from: string, to: string): Promise<void> => cp(from, to, { recursive: true });

/** Runs a program of PostgreSQL to its end. Rejects with its messages if it fails. */
export async function runPostgresProgram(program: string, args: readonly string[]): Promise<void> {
  const [command, all] = asDatabaseUser(program, args);
  await promisify(execFile)(command, [...all]);
}

/** The data folder of a node, and what it listens on. */
export interface NodePlace {
  readonly data: string;
  readonly port: number;
  /** Folder of its socket. */
  readonly sockets: string;
  readonly tls: PostgresTls;
}

/** Writes the whole configuration of a node. */
export async function configure(
  { data, port, sockets, tls }: NodePlace,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const all: Readonly<Record<string, string>> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: sockets,
    ssl: 'on',
    ssl_ca_file: tls.ca,
    ssl_cert_file: tls.server.certificate,
    ssl_key_file: tls.server.key,
    max_connections: '100',
    shared_buffers: '16MB',
    // In the data folder, so that nothing of a killed node is left in the memory of the machine.
    dynamic_shared_memory_type: 'mmap',
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  await writeFile(join(data, 'postgresql.conf'), lines.join(''), { mode: 0o600 });
  await writeFile(join(data, 'pg_hba.conf'), HBA, { mode: 0o600 });
}

/** A role whose name ends in `-cert` logs in by its client certificate. */
const HBA = `
local all,replication ${SUPERUSER} trust
hostssl all /-cert$ 127.0.0.1/32 cert
hostssl all,replication all 127.0.0.1/32 scram-sha-256
`;
