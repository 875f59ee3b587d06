import { hash, X509Certificate } from 'node:crypto';
import { realpathSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { writablePathProblem } from '../../../core/config/writable-path.ts';
import type { EnvoyConfig } from '../envoy/envoy-config.ts';
import type { NamedFile, TrustedCa } from '../envoy/envoy-facts.ts';
import { pathsOf } from '../envoy/named-paths.ts';
import { foldersAbove } from './socket-facts.ts';

const MAX_FILES = 1_000;
const MAX_BYTES = 1_048_576;
/** Envoy also takes the former names of the block. @see PEM_read_bio_X509 of BoringSSL */
const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]{1,65536}-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** A private key, in PEM or, as in `inline_bytes`, the base64 of that. */
const PRIVATE_KEY =
  /-----BEGIN (?:[A-Z]{1,20} ){0,2}PRIVATE KEY-----|LS0tLS1CRUdJTiB(?:QUklWQVRF|FQyBQUklWQVRF|SU0EgUFJJVkFUR|FTkNSWVBURUQgUFJJVkFUR)/;

/** The files on this machine at the paths that an Envoy names: trust anchors, configuration, private keys and code. */
export async function namedFilesOf(config: EnvoyConfig): Promise<ReadonlyMap<string, NamedFile>> {
  const named = [config, ...(config.next === null ? [] : [config.next])].flatMap(pathsOf);
  const paths = [...new Set(named.map(({ path }) => path))].filter((path) => isAbsolute(path));
  return new Map(
    await Promise.all(paths.slice(0, MAX_FILES).map(async (path) => [path, await namedFileAt(path)] as const)),
  );
}

/** The file at a path on this machine. */
export async function namedFileAt(path: string): Promise<NamedFile> {
  try {
    const found = statSync(path);
    const isPlain = found.isFile() && found.size <= MAX_BYTES;
    const problem = await writablePathProblem(path);
    const text = isPlain ? await readFile(path, 'latin1') : '';
    return {
      kind: found.isDirectory() ? 'folder' : 'file',
      writable: problem?.includes('can be changed by others') === true ? (problem.split(': remove')[0] ?? '') : null,
      exposed: exposedAt(path),
      hasKey: PRIVATE_KEY.test(text),
      cas: casIn(text),
    };
  } catch (error) {
    // By shape: under a test runner the error is of another realm.
    const { code } = error as { readonly code?: unknown };
    const kind = code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unreadable';
    return { kind, writable: null, exposed: null, hasKey: false, cas: [] };
  }
}

const READABLE_BY_ALL = 0o004;
const SEARCHABLE_BY_ALL = 0o001;

/** Why every user can read what a path leads to, as a clause; `null` if its mode, or that of a folder above it, forbids that. */
function exposedAt(path: string): string | null {
  const place = realpathSync(path);
  const { mode } = statSync(place);
  const isClosed = foldersAbove(place).some((folder) => (statSync(folder).mode & SEARCHABLE_BY_ALL) === 0);
  if ((mode & READABLE_BY_ALL) === 0 || isClosed) return null;
  return `\`${path}\` has mode ${(mode & 0o7777).toString(8).padStart(4, '0')}, and every user of this machine can read it`;
}

const casIn = (text: string): readonly TrustedCa[] => [...text.matchAll(CERTIFICATE)].map(([pem]) => caFrom(pem));

/** @see X.509-SVID section 3.1: a signing certificate has the trust domain as its only URI */
function caFrom(pem: string): TrustedCa {
  try {
    const { publicKey, subjectAltName = '' } = new X509Certificate(pem);
    const key = hash('sha256', publicKey.export({ type: 'spki', format: 'der' }), 'hex');
    return { key, domain: /^URI:(spiffe:\/\/[a-z0-9._-]{1,255})\/?$/.exec(subjectAltName)?.[1] ?? null };
  } catch {
    return { key: hash('sha256', pem, 'hex'), domain: null };
  }
}
