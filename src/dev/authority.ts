import { generateKeyPair, type KeyObject } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isDeny } from '../core/decision/decision.ts';
import { spiffeIdFrom, trustDomainFrom, type SpiffeId } from '../core/identity/spiffe-id.ts';
import type { Ports } from '../core/runtime/ports.ts';
import { certificateFrom, type DistinguishedName, type KeyUsage } from './certificate.ts';

/** A certificate with its key. */
export interface IssuedCertificate {
  /** The certificate, PEM. The authority signs directly, without an intermediate. */
  readonly certPem: string;
  /** The private key, PKCS#8 PEM. A secret. */
  readonly keyPem: string;
}

/** An X509-SVID with its key. */
export interface IssuedSvid extends IssuedCertificate {
  /** The SPIFFE ID, `spiffe://<trust domain><path>`. */
  readonly id: SpiffeId;
}

/** Lifetime of a certificate, and its names besides the URI. */
export interface SvidOptions {
  /** Whole seconds from `notBeforeMs` to its end; default 3600. */
  readonly ttlSeconds?: number;
  /** Milliseconds since the epoch, truncated to seconds; default 10 s ago, as in SPIRE, to tolerate clock skew. */
  readonly notBeforeMs?: number;
  /** DNS names for TLS clients without SPIFFE support, such as `localhost`. */
  readonly dns?: readonly string[];
  /** IPv4 addresses for the same clients. */
  readonly ips?: readonly string[];
}

/** A certificate of any form, even a form that the X509-SVID standard forbids, to show that it is refused. */
export interface CertificateOptions extends SvidOptions {
  /** URI SANs, in order, unchecked. */
  readonly uris: readonly string[];
  /** Whether it is a CA certificate; default no. */
  readonly ca?: boolean;
  /** Replaces the key usage of a leaf (`digitalSignature`) or a CA (`keyCertSign` and `cRLSign`). */
  readonly keyUsages?: readonly KeyUsage[];
}

/** A throw-away trust domain: its CA exists while the process runs, and its key is never written. */
export interface CertificateAuthority {
  readonly trustDomain: string;
  /** The trust bundle: its only CA certificate, PEM. */
  readonly bundlePem: string;
  /**
   * Issues the X509-SVID of `path` (`/ns/agents/sa/planner`) for TLS clients and servers.
   * @throws TypeError if `path` does not make a SPIFFE ID.
   */
  readonly svid: (path: string, options?: SvidOptions) => Promise<IssuedSvid>;
  /** Issues a certificate of any form. */
  readonly certificate: (options: CertificateOptions) => Promise<IssuedCertificate>;
}

const defaultTtlSeconds = 3600;
const backdateMs = 10_000;
const leafUsages: readonly KeyUsage[] = ['digitalSignature'];
const caUsages: readonly KeyUsage[] = ['keyCertSign', 'cRLSign'];

/**
 * Creates a trust domain with a new ECDSA P-256 CA. It lives for `lifetimeSeconds` (default one day). For the demo, `remit
 * dev` and tests; operators use SPIRE.
 * @throws TypeError if `trustDomain` is invalid.
 * @see https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md sections 2 to 4
 */
export async function createAuthority(
  trustDomain: string,
  ports: Pick<Ports, 'nowMs' | 'randomBytes'>,
  { lifetimeSeconds = 86_400 }: { readonly lifetimeSeconds?: number } = {},
): Promise<CertificateAuthority> {
  if (isDeny(trustDomainFrom(trustDomain))) throw new TypeError(`\`${trustDomain}\` is not a trust domain`);
  const keys = await newKeys();
  const name = { organization: trustDomain, commonName: 'throw-away CA' };
  const sign = signerFor({ name, key: keys.privateKey, ports });
  const bundlePem = sign(keys.publicKey, name, {
    uris: [`spiffe://${trustDomain}`],
    ca: true,
    ttlSeconds: lifetimeSeconds,
  });

  const certificate = async (options: CertificateOptions): Promise<IssuedCertificate> => {
    const leaf = await newKeys();
    const certPem = sign(leaf.publicKey, { organization: trustDomain }, options);
    return { certPem, keyPem: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }) };
  };
  const svid = async (path: string, options: SvidOptions = {}): Promise<IssuedSvid> => {
    const id = spiffeIdFrom(`spiffe://${trustDomain}${path}`);
    if (isDeny(id)) throw new TypeError(`\`${path}\` is not the path of a spiffe id: ${id.detail}`);
    return { id, ...(await certificate({ ...options, uris: [id] })) };
  };
  return { trustDomain, bundlePem, svid, certificate };
}

/** The files of one credential. */
export interface CredentialFiles {
  readonly certificate: string;
  readonly key: string;
}

/** Writes `<name>.pem` and `<name>.key` (mode 0600) to `folder`, which is created with mode 0700 if missing. */
export async function writeCredential(
  folder: string,
  name: string,
  credential: IssuedCertificate,
): Promise<CredentialFiles> {
  return {
    certificate: await writePrivately(folder, `${name}.pem`, credential.certPem),
    key: await writePrivately(folder, `${name}.key`, credential.keyPem),
  };
}

/** Writes the bundle of `authority` as `<name>.pem` (mode 0600) into `folder` and returns its path. */
export const writeBundle = (
  folder: string,
  name: string,
  authority: Pick<CertificateAuthority, 'bundlePem'>,
): Promise<string> => writePrivately(folder, `${name}.pem`, authority.bundlePem);

async function writePrivately(folder: string, name: string, text: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  await writeFile(path, text, { mode: 0o600 });
  // `mode` has an effect on new files only.
  await chmod(path, 0o600);
  return path;
}

const newKeys = (): Promise<{ readonly publicKey: KeyObject; readonly privateKey: KeyObject }> =>
  promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });

interface Signer {
  readonly name: DistinguishedName;
  readonly key: KeyObject;
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
}

function signerFor({ name, key, ports }: Signer) {
  return (publicKey: KeyObject, subject: DistinguishedName, options: CertificateOptions): string => {
    const notBeforeMs = options.notBeforeMs ?? ports.nowMs() - backdateMs;
    const ca = options.ca ?? false;
    const content = {
      serial: serialFrom(ports.randomBytes(16)),
      issuer: name,
      subject,
      notBeforeMs,
      notAfterMs: notBeforeMs + (options.ttlSeconds ?? defaultTtlSeconds) * 1000,
      publicKey,
      ca,
      keyUsages: options.keyUsages ?? (ca ? caUsages : leafUsages),
      uris: options.uris,
      dns: options.dns ?? [],
      ips: options.ips ?? [],
    };
    return certificateFrom(content, key);
  };
}

/** A serial number of 16 bytes, made positive and without a leading zero byte. */
function serialFrom(random: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(random);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}
