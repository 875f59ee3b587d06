import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { CertificateAuthority, CredentialFiles } from '../../src/dev/authority.ts';
import { CACHE_MARKER, intoCache } from '../../src/dev/envoy-binary.ts';
import { systemPorts } from '../../src/runtime/ports.ts';
import { cacheFolder, POSTGRES_VERSION } from '../parts/cache.ts';
import { asDatabaseUser, SUPERUSER } from './database-user.ts';

/** The certificates of a cluster. */
export interface PostgresTls {
  readonly authority: CertificateAuthority;
  /** Path of the CA's certificate, for `sslrootcert`. */
  readonly ca: string;
  /** The server's own, for `localhost` and 127.0.0.1. */
  readonly server: CredentialFiles;
}

/** A new CA with a server certificate, written to `folder`. */
export async function makePostgresTls(folder: string): Promise<PostgresTls> {
  const authority = await createAuthority('postgres.test', systemPorts);
  const server = await authority.certificate({ uris: [], dns: ['localhost'], ips: ['127.0.0.1'] });
  return {
    authority,
    ca: await writeBundle(folder, 'ca', authority),
    server: await writeCredential(folder, 'server', server),
  };
}

/** Made once, since `initdb` takes seconds on a loaded machine. */
const template = join(cacheFolder, `postgres-${POSTGRES_VERSION}-data`);

/**
 * Makes the data folder `data` as `initdb` does, with page checksums, which `pg_rewind` needs. All such folders have the same system
 * identifier, so a node that was never started becomes a standby of any other.
 */
export async function makeDataFolder(binaries: string, data: string): Promise<void> {
  if (!existsSync(join(template, CACHE_MARKER)))
    await intoCache(template, (scratch) => {
      const made = ['-D', join(scratch, 'data'), '-U', SUPERUSER, '-A', 'trust', '-E', 'UTF8'];
      run(join(binaries, 'initdb'), [...made, '--locale=C.UTF-8', '--data-checksums']);
      return Promise.resolve(template);
    });
  execFileSync('cp', ['-a', join(template, 'data'), data]);
}

/** Runs a program of PostgreSQL to its end. */
export function run(program: string, args: readonly string[]): void {
  const [command, all] = asDatabaseUser(program, args);
  execFileSync(command, all, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Where a node keeps its data, and what it listens on. */
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
