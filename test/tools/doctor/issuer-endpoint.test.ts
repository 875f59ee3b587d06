import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../../src/dev/authority.ts';
import type { CertificateOptions, IssuedCertificate } from '../../../src/dev/authority.ts';
import { certificateFrom } from '../../../src/dev/certificate.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { issuerEndpoint } from '../../../src/tools/doctor/collect/issuer-endpoint.ts';
import { endpointFindings } from '../../../src/tools/doctor/remit/roles.ts';

const URL_OF_ISSUER = 'https://auth.acme.test:9472';
const HOUR_MS = 3_600_000;
const TIMEOUT_MS = 1_000;

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** The port of a server that is closed after the test, with its connections. */
async function portOf(server: Server): Promise<number> {
  server.on('connection', (socket: Socket) => {
    closers.push(() => socket.destroy());
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  closers.push(() => server.close());
  await once(server, 'listening');
  // Safe: it listens on TCP.
  return (server.address() as AddressInfo).port;
}

const issued = async (options: Partial<CertificateOptions>): Promise<IssuedCertificate> =>
  (await createAuthority('acme.test', systemPorts)).certificate({ uris: ['spiffe://acme.test/remit'], ...options });

/** A certificate whose only name is its common name, which clients do not read. */
function withCommonName(commonName: string): IssuedCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const content = {
    serial: Uint8Array.of(1),
    issuer: { commonName },
    subject: { commonName },
    notBeforeMs: systemPorts.nowMs() - HOUR_MS,
    notAfterMs: systemPorts.nowMs() + HOUR_MS,
    publicKey,
    ca: false,
    keyUsages: ['digitalSignature'],
    uris: [],
    dns: [],
    ips: [],
  } as const;
  return { certPem: certificateFrom(content, privateKey), keyPem };
}

const servingTls = ({ certPem, keyPem }: IssuedCertificate, options: object = {}): Promise<number> => {
  const server = createTlsServer({ cert: certPem, key: keyPem, ...options });
  server.on('tlsClientError', () => undefined);
  return portOf(server);
};

const listenAt = (port: number, host = '127.0.0.1') => ({ kind: 'tcp', host, port }) as const;

/** What is found about the issuer of a URL at a port, as `code` and message. */
async function foundAt(port: number, url = URL_OF_ISSUER, host = '127.0.0.1'): Promise<readonly string[]> {
  const endpoint = await issuerEndpoint({ listen: listenAt(port, host), url }, TIMEOUT_MS);
  if (endpoint === null) throw new Error('it was not asked');
  return endpointFindings(endpoint, systemPorts.nowMs()).map(({ code, message }) => `${code}: ${message}`);
}

describe('issuerEndpoint', () => {
  it.each<[name: string, certificate: () => Promise<IssuedCertificate>, url: string]>([
    ['a name', () => issued({ dns: ['auth.acme.test'] }), URL_OF_ISSUER],
    ['a name in other letters', () => issued({ dns: ['AUTH.acme.test'] }), URL_OF_ISSUER],
    ['a name among others', () => issued({ dns: ['a.test', 'auth.acme.test'] }), URL_OF_ISSUER],
    ['a wildcard for a label', () => issued({ dns: ['*.acme.test'] }), URL_OF_ISSUER],
    ['an address', () => issued({ ips: ['127.0.0.1'] }), 'https://127.0.0.1:9472'],
  ])('finds nothing in a certificate with %s', async (_name, certificate, url) => {
    expect(await foundAt(await servingTls(await certificate()), url)).toEqual([]);
  });

  it.each<
    [name: string, certificate: () => IssuedCertificate | Promise<IssuedCertificate>, url: string, found: string]
  >([
    ['another name', () => issued({ dns: ['a.test'] }), URL_OF_ISSUER, 'DNS:a.test'],
    ['no name', () => issued({ uris: [] }), URL_OF_ISSUER, 'for no name'],
    ['a common name alone', () => withCommonName('auth.acme.test'), URL_OF_ISSUER, 'for no name'],
    ['a wildcard for a part of a label', () => issued({ dns: ['a*.acme.test'] }), URL_OF_ISSUER, 'DNS:a*.acme.test'],
    ['a wildcard for two labels', () => issued({ dns: ['*.test'] }), URL_OF_ISSUER, 'DNS:*.test'],
    ['the name of a domain above', () => issued({ dns: ['acme.test'] }), URL_OF_ISSUER, 'DNS:acme.test'],
    ['another address', () => issued({ ips: ['127.0.0.2'] }), 'https://127.0.0.1:9472', 'IP Address:127.0.0.2'],
    ['an address as a name', () => issued({ dns: ['127.0.0.1'] }), 'https://127.0.0.1:9472', 'DNS:127.0.0.1'],
    ['no IPv6 address', () => issued({ dns: ['a.test'] }), 'https://[::1]:9472', 'not for `::1`'],
    [
      'an end in the past',
      () => issued({ dns: ['auth.acme.test'], notBeforeMs: systemPorts.nowMs() - 2 * HOUR_MS }),
      URL_OF_ISSUER,
      'has expired',
    ],
    [
      'a beginning in the future',
      () => issued({ dns: ['auth.acme.test'], notBeforeMs: systemPorts.nowMs() + HOUR_MS }),
      URL_OF_ISSUER,
      'is not valid before',
    ],
  ])('finds a certificate with %s', async (_name, certificate, url, found) => {
    const [only = '', ...others] = await foundAt(await servingTls(await certificate()), url);
    expect([only, others]).toEqual([expect.stringMatching(/^issuer\.certificate: /), []]);
    expect(only).toContain(found);
  });

  it.each<[what: string, server: () => Server]>([
    ['says nothing', () => createServer()],
    ['closes the connection', () => createServer((socket) => void socket.end())],
    ['resets the connection', () => createServer((socket) => void socket.resetAndDestroy())],
    ['speaks HTTP without TLS', () => createServer((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))],
    [
      'sends its handshake a byte at a time',
      () =>
        createServer((socket) => {
          // The header of a record of 16,384 bytes, whose content comes for hours.
          socket.write(Buffer.from([22, 3, 3, 64, 0]));
          const timer = setInterval(() => socket.write(Buffer.of(2)), 20);
          socket.once('close', () => clearInterval(timer));
        }),
    ],
  ])('finds a server that %s', async (_what, server) => {
    expect(await foundAt(await portOf(server()))).toEqual([
      expect.stringMatching(/^issuer\.unreachable: no TLS connection to it: ./),
    ]);
  });

  it('finds a server of an old TLS, and nobody', async () => {
    const old = await servingTls(await issued({ dns: ['auth.acme.test'] }), {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    for (const port of [old, 1]) expect((await foundAt(port)).join()).toMatch(/^issuer\.unreachable: /);
  });

  it('asks over loopback if it listens on all interfaces', async () => {
    const port = await servingTls(await issued({ dns: ['auth.acme.test'] }));
    for (const host of ['0.0.0.0', '::']) expect(await foundAt(port, URL_OF_ISSUER, host)).toEqual([]);
  });

  it('asks nobody if the port is chosen at the start', async () => {
    expect(await issuerEndpoint({ listen: listenAt(0), url: URL_OF_ISSUER })).toBeNull();
    expect(await issuerEndpoint({ listen: { kind: 'unix', path: '/run/x' }, url: URL_OF_ISSUER })).toBeNull();
  });
});
