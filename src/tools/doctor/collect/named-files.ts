import { hash, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { writablePathProblem } from '../../../core/config/writable-path.ts';
import type { EnvoyConfig } from '../envoy/envoy-config.ts';
import type { NamedFile, TrustedCa } from '../envoy/envoy-facts.ts';
import { pathsOf } from '../envoy/named-paths.ts';

const MAX_FILES = 1_000;
const MAX_BYTES = 1_048_576;
/** Envoy also takes the former names of the block. @see PEM_read_bio_X509 of BoringSSL */
const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]{1,65536}-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g;

/** The files on this machine at the paths of trust anchors and of configuration that an Envoy names. */
export async function namedFilesOf(config: EnvoyConfig): Promise<ReadonlyMap<string, NamedFile>> {
  const paths = [...new Set(pathsOf(config).map(({ path }) => path))].filter((path) => isAbsolute(path));
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
    return {
      kind: found.isDirectory() ? 'folder' : 'file',
      writable: problem?.includes('can be changed by others') === true ? (problem.split(': remove')[0] ?? '') : null,
      cas: isPlain ? casIn(await readFile(path, 'latin1')) : [],
    };
  } catch (error) {
    // By shape: under a test runner the error is of another realm.
    const { code } = error as { readonly code?: unknown };
    return { kind: code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unreadable', writable: null, cas: [] };
  }
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
