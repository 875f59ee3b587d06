import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isDeny } from '../../src/core/decision/decision.ts';
import { createAuthority, writeBundle, writeCredential, type CertificateAuthority } from '../../src/dev/authority.ts';
import { leafFromPem } from '../../src/core/identity/leaf-certificate.ts';
import { must } from '../builders/must.ts';

const nowMs = Date.UTC(2026, 10, 24, 12, 0, 0, 500);
const ports = { nowMs: () => nowMs, randomBytes: (length: number) => new Uint8Array(length).fill(0xff) };
let acme: CertificateAuthority;
let folder: string;

beforeAll(async () => {
  acme = await createAuthority('acme.test', ports);
  folder = await mkdtemp(join(tmpdir(), 'remit-authority-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('createAuthority', () => {
  it('creates a CA by the X509-SVID rules', () => {
    const ca = new X509Certificate(acme.bundlePem);
    expect(ca.ca).toBe(true);
    expect(ca.subjectAltName).toBe('URI:spiffe://acme.test');
    expect(ca.verify(ca.publicKey)).toBe(true);
    expect(ca.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(ca.validToDate.getTime() - ca.validFromDate.getTime()).toBe(86_400_000);
  });

  it('refuses an invalid trust domain', async () => {
    await expect(createAuthority('Acme.test', ports)).rejects.toThrow('`Acme.test` is not a trust domain');
  });
});

describe('Authority.svid', () => {
  it('issues valid X509-SVIDs', async () => {
    const svid = await acme.svid('/ns/agents/sa/planner', { ttlSeconds: 300 });
    const leaf = must(leafFromPem(svid.certPem));
    expect(leaf.id).toBe('spiffe://acme.test/ns/agents/sa/planner');
    expect(svid.id).toBe(leaf.id);
    expect(leaf.notBeforeMs).toBe(Date.UTC(2026, 10, 24, 11, 59, 50));
    expect(leaf.notAfterMs - leaf.notBeforeMs).toBe(300_000);
    expect(svid.keyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
  });

  it('is signed by the bundle and has a positive serial number', async () => {
    const certificate = new X509Certificate((await acme.svid('/a')).certPem);
    expect(certificate.checkIssued(new X509Certificate(acme.bundlePem))).toBe(true);
    expect(certificate.verify(new X509Certificate(acme.bundlePem).publicKey)).toBe(true);
    expect(certificate.serialNumber).toBe(`7F${'FF'.repeat(15)}`);
  });

  it('starts its validity at the given time', async () => {
    const svid = await acme.svid('/a', { notBeforeMs: nowMs + 60_000, ttlSeconds: 60 });
    expect(new X509Certificate(svid.certPem).validFromDate.toISOString()).toBe('2026-11-24T12:01:00.000Z');
  });

  it.each([
    ['2049-12-31T23:59:59.000Z', '2050-01-01T00:00:00.000Z'],
    ['2050-01-01T00:00:00.000Z', '2050-01-01T00:00:01.000Z'],
  ])('encodes the years before and after 2050: %s', async (from, to) => {
    const svid = await acme.svid('/a', { notBeforeMs: Date.parse(from), ttlSeconds: 1 });
    const certificate = new X509Certificate(svid.certPem);
    expect([certificate.validFromDate.toISOString(), certificate.validToDate.toISOString()]).toEqual([from, to]);
  });

  it('refuses an address that is not IPv4', async () => {
    await expect(acme.svid('/a', { ips: ['::1'] })).rejects.toThrow('`::1` is not an IPv4 address');
  });

  it.each(['', 'a', '/', '/a/', '/a/../b', '/a b'])('refuses the path `%s`', async (path) => {
    await expect(acme.svid(path)).rejects.toThrow(`\`${path}\` is not the path of a spiffe id`);
  });
});

describe('Authority.certificate', () => {
  const id = 'spiffe://acme.test/a';
  it.each([
    ['no URI SAN', { uris: [] }, 'exactly one uri name, it has 0'],
    ['two URI SANs', { uris: [id, 'spiffe://acme.test/b'] }, 'exactly one uri name, it has 2'],
    ['a URI SAN that is not a SPIFFE ID', { uris: ['https://acme.test/a'] }, 'must begin with `spiffe://`'],
    ['a CA', { uris: [id], ca: true }, 'must not be of a ca'],
    ['a leaf with keyCertSign', { uris: [id], keyUsages: ['keyCertSign'] }, 'digitalSignature'],
  ] as const)('makes %s, which the product refuses', async (_name, options, detail) => {
    const leaf = leafFromPem((await acme.certificate(options)).certPem);
    if (!isDeny(leaf)) throw new Error('the certificate was accepted');
    expect(leaf.reason).toBe('identity.invalid');
    expect(leaf.detail).toContain(detail);
  });
});

describe('writeCredential and writeBundle', () => {
  it('write files that only their owner can read', async () => {
    const svid = await acme.svid('/a');
    const files = await writeCredential(join(folder, 'new'), 'a', svid);
    const bundle = await writeBundle(join(folder, 'new'), 'bundle', acme);
    expect(await readFile(files.certificate, 'utf8')).toBe(svid.certPem);
    expect(await readFile(files.key, 'utf8')).toBe(svid.keyPem);
    expect(await readFile(bundle, 'utf8')).toBe(acme.bundlePem);
    for (const path of [files.certificate, files.key, bundle]) expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, 'new'))).mode & 0o777).toBe(0o700);
  });
});

describe('an SVID with DNS and IP names', () => {
  it.each(['localhost', '127.0.0.1'])('serves a stock TLS client that asks for %s', async (host) => {
    const authority = await createAuthority('acme.test', { ...ports, nowMs: Date.now });
    const server = await authority.svid('/issuer', { dns: ['localhost'], ips: ['127.0.0.1'] });
    const client = await authority.svid('/ns/agents/sa/planner');
    const peer = await handshake(host, { ca: authority.bundlePem, server, client });
    expect(peer).toBe('URI:spiffe://acme.test/ns/agents/sa/planner');
  });
});

interface Pair {
  readonly certPem: string;
  readonly keyPem: string;
}

/** Connects with mutual TLS, and returns the subject alternative names that the server saw. */
async function handshake(host: string, by: { ca: string; server: Pair; client: Pair }): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = createServer(
    { cert: by.server.certPem, key: by.server.keyPem, ca: by.ca, requestCert: true, rejectUnauthorized: true },
    (socket: TLSSocket) => {
      resolve(socket.getPeerX509Certificate()?.subjectAltName);
      socket.end();
    },
  );
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { certPem: cert, keyPem: key } = by.client;
  const { promise: closed, resolve: onClosed, reject } = Promise.withResolvers<unknown>();
  connect({ host, port: address.port, cert, key, ca: by.ca }).on('error', reject).on('close', onClosed).resume();
  await closed;
  server.close();
  return promise;
}
