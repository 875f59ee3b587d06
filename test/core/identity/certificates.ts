import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

import {
  bits,
  element,
  explicit,
  implicit,
  derInteger,
  octets,
  oid,
  sequence,
  setOf,
  time,
  utf8,
} from '../../../src/dev/der.ts';

/** The frozen time of the tests: noon of 24 November 2026, UTC. */
export const NOW_MS = Date.UTC(2026, 10, 24, 12);

/** Extended key usages. */
export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** Bits of the key usage. */
export const KEY_USAGES = { digitalSignature: 0x80, keyEncipherment: 0x20, keyCertSign: 0x04, cRLSign: 0x02 } as const;

/** A certificate in the forms in which tests need it. */
export interface Certificate {
  readonly pem: string;
  readonly der: Uint8Array;
  /** In the form of `attributes.source.certificate`. */
  readonly urlEncodedPem: string;
  /** base64url of the SHA-256 of the DER. */
  readonly sha256: string;
  /** The same digest in the form of XFCC, lower-case hex. */
  readonly hash: string;
}

/** The content of a certificate, even an invalid one. Default: a leaf without names, valid an hour around {@link NOW_MS}. */
export interface CertificateOptions {
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  /** cA of the basic constraints; `null` leaves the extension out. */
  readonly ca?: boolean | null;
  /** The sum of {@link KEY_USAGES}; `null` leaves the extension out. */
  readonly keyUsage?: number | null;
  /** None leaves the extension out. */
  readonly extendedKeyUsage?: readonly string[];
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  /** DER of further extensions, see {@link extension}. */
  readonly extensions?: readonly Uint8Array[];
}

/** A certificate authority in memory. */
export interface Authority {
  readonly certificate: Certificate;
  issue(options?: CertificateOptions): Certificate;
}

/** A self-signed authority; `uris: ['spiffe://acme.test']` makes one that names its trust domain. */
export function makeAuthority(options: CertificateOptions = {}, name = 'test ca'): Authority {
  const { privateKey, publicKey } = makeKeys();
  const issuer = { name, privateKey };
  const defaults = { ca: true, keyUsage: KEY_USAGES.keyCertSign | KEY_USAGES.cRLSign };
  return {
    certificate: makeCertificate({ ...defaults, ...options }, { issuer, subject: { name, publicKey } }),
    issue: (leaf = {}) => makeCertificate(leaf, { issuer, subject: { name: 'leaf', publicKey: makeKeys().publicKey } }),
  };
}

/** DER of an extension with any `value`. */
export const extension = (id: string, value: Uint8Array): Uint8Array => sequence(oid(id), octets(value));

/** A PEM block with any base64. */
export const pemOf = (base64: string): string =>
  `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`;

interface Parties {
  readonly issuer: { readonly name: string; readonly privateKey: KeyObject };
  readonly subject: { readonly name: string; readonly publicKey: KeyObject };
}

const HOUR_MS = 3_600_000;
const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));
const nameOf = (text: string): Uint8Array => sequence(setOf(sequence(oid('2.5.4.3'), utf8(text))));
const makeKeys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

function makeCertificate(options: CertificateOptions, { issuer, subject }: Parties): Certificate {
  const signed = sequence(
    explicit(0, derInteger(Buffer.of(2))),
    derInteger(Buffer.of(1)),
    ecdsaWithSha256,
    nameOf(issuer.name),
    sequence(time(options.notBeforeMs ?? NOW_MS - HOUR_MS), time(options.notAfterMs ?? NOW_MS + HOUR_MS)),
    nameOf(subject.name),
    subject.publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...extensionsOf(options))),
  );
  const der = sequence(signed, ecdsaWithSha256, bits(sign('sha256', signed, issuer.privateKey)));
  const pem = pemOf(Buffer.from(der).toString('base64'));
  const digest = createHash('sha256').update(der).digest();
  return {
    pem,
    der,
    urlEncodedPem: urlEncoded(pem),
    sha256: digest.toString('base64url'),
    hash: digest.toString('hex'),
  };
}

function extensionsOf(options: CertificateOptions): readonly Uint8Array[] {
  const { ca = false, keyUsage = KEY_USAGES.digitalSignature, extendedKeyUsage = [], extensions = [] } = options;
  const names = [
    ...(options.uris ?? []).map((uri) => implicit(6, Buffer.from(uri, 'latin1'))),
    ...(options.dns ?? []).map((name) => implicit(2, Buffer.from(name, 'latin1'))),
  ];
  return [
    ...(ca === null ? [] : [extension('2.5.29.19', ca ? sequence(element(0x01, Buffer.of(0xff))) : sequence())]),
    ...(keyUsage === null ? [] : [extension('2.5.29.15', bits(Buffer.of(keyUsage)))]),
    ...(extendedKeyUsage.length === 0 ? [] : [extension('2.5.29.37', sequence(...extendedKeyUsage.map(oid)))]),
    ...(names.length === 0 ? [] : [extension('2.5.29.17', sequence(...names))]),
    ...extensions,
  ];
}

/** The five characters that Envoy escapes in a PEM. */
const ESCAPES: Readonly<Record<string, string>> = { '\n': '%0A', ' ': '%20', '+': '%2B', '/': '%2F', '=': '%3D' };
const urlEncoded = (pem: string): string => pem.replaceAll(/[\n +/=]/g, (character) => ESCAPES[character] ?? character);
