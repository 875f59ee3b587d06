import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { bits, explicit, implicit, derInteger, octets, oid, sequence, setOf, time, utf8, yes } from './der.ts';

/** The content of a certificate. X509-SVID rules are not checked: tests need certificates that break them. */
export interface CertificateContent {
  /** Serial number: 1 to 20 bytes, big-endian, minimal and positive. */
  readonly serial: Uint8Array;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  /** Start of its validity and end, milliseconds since the epoch, truncated to seconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly publicKey: KeyObject;
  readonly ca: boolean;
  readonly keyUsages: readonly KeyUsage[];
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  /** IPv4 addresses. */
  readonly ips: readonly string[];
}

/** A distinguished name, as far as used here. An empty name has no parts. */
export interface DistinguishedName {
  readonly organization?: string;
  readonly commonName?: string;
}

/** The key usages of certificates in an X509-SVID trust domain. */
export type KeyUsage = 'digitalSignature' | 'keyCertSign' | 'cRLSign';

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));
const organization = oid('2.5.4.10');
const commonName = oid('2.5.4.3');
const basicConstraints = oid('2.5.29.19');
const keyUsage = oid('2.5.29.15');
const extendedKeyUsage = oid('2.5.29.37');
const subjectAlternativeName = oid('2.5.29.17');
const subjectKeyIdentifier = oid('2.5.29.14');
const authorityKeyIdentifier = oid('2.5.29.35');
const serverAndClient = sequence(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2'));
const keyUsageBits: Readonly<Record<KeyUsage, number>> = { digitalSignature: 0x80, keyCertSign: 0x04, cRLSign: 0x02 };

/**
 * An X.509 v3 certificate as PEM. It is signed by `issuerKey`, an ECDSA P-256 private key, with SHA-256.
 * @see RFC 5280 section 4.1
 */
export function certificateFrom(content: CertificateContent, issuerKey: KeyObject): string {
  const signed = sequence(
    explicit(0, derInteger(Buffer.from([2]))),
    derInteger(content.serial),
    ecdsaWithSha256,
    nameFrom(content.issuer),
    sequence(time(content.notBeforeMs), time(content.notAfterMs)),
    nameFrom(content.subject),
    content.publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...extensionsFrom(content, issuerKey))),
  );
  const signature = sign('sha256', signed, issuerKey);
  return pemFrom(sequence(signed, ecdsaWithSha256, bits(signature)));
}

function extensionsFrom(content: CertificateContent, issuerKey: KeyObject): readonly Uint8Array[] {
  const names = [
    ...content.uris.map((uri) => implicit(6, Buffer.from(uri, 'latin1'))),
    ...content.dns.map((name) => implicit(2, Buffer.from(name, 'latin1'))),
    ...content.ips.map((address) => implicit(7, addressBytes(address))),
  ];
  return [
    extension(basicConstraints, content.ca ? sequence(yes) : sequence(), { critical: true }),
    extension(keyUsage, keyUsageFrom(content.keyUsages), { critical: true }),
    ...(content.ca ? [] : [extension(extendedKeyUsage, serverAndClient)]),
    ...(names.length === 0 ? [] : [extension(subjectAlternativeName, sequence(...names))]),
    extension(subjectKeyIdentifier, octets(keyIdentifier(content.publicKey))),
    extension(authorityKeyIdentifier, sequence(implicit(0, keyIdentifier(createPublicKey(issuerKey))))),
  ];
}

const extension = (id: Uint8Array, value: Uint8Array, { critical = false } = {}): Uint8Array =>
  sequence(id, ...(critical ? [yes] : []), octets(value));

function keyUsageFrom(usages: readonly KeyUsage[]): Uint8Array {
  const value = usages.reduce((sum, usage) => sum | keyUsageBits[usage], 0);
  // DER omits trailing zero bits.
  const unused = value === 0 ? 0 : Math.clz32(value & -value) ^ 31;
  return bits(Buffer.from(value === 0 ? [] : [value]), unused);
}

const nameFrom = (name: DistinguishedName): Uint8Array =>
  sequence(
    ...(name.organization === undefined ? [] : [setOf(sequence(organization, utf8(name.organization)))]),
    ...(name.commonName === undefined ? [] : [setOf(sequence(commonName, utf8(name.commonName)))]),
  );

/** The leftmost 160 bits of the SHA-256 of the key's SPKI. @see RFC 7093 section 2, method 4 */
const keyIdentifier = (key: KeyObject): Uint8Array =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 20);

function addressBytes(address: string): Uint8Array {
  if (!isIPv4(address)) throw new TypeError(`\`${address}\` is not an IPv4 address`);
  return Buffer.from(address.split('.').map(Number));
}

const pemFrom = (der: Uint8Array): string => {
  const lines = Buffer.from(der)
    .toString('base64')
    .replaceAll(/.{1,64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`;
};
