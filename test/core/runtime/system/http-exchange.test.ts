import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority, type IssuedSvid } from '../../../../src/dev/authority.ts';
import { failureCode, failureWords, httpExchange } from '../../../../src/core/runtime/system/http-exchange.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';

let handle: RequestListener;
const listener: RequestListener = (request, response) => handle(request, response);
let ca: string;
let client: IssuedSvid;
let servers: Readonly<Record<'plain' | 'tls', Server | ReturnType<typeof createHttpServer>>>;

beforeAll(async () => {
  const authority = await createAuthority('exchange.test', systemPorts);
  const { certPem: cert, keyPem: key } = await authority.svid('/server', { dns: ['localhost'] });
  client = await authority.svid('/client');
  ca = authority.bundlePem;
  servers = {
    plain: createHttpServer(listener),
    tls: createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }, listener),
  };
  for (const server of Object.values(servers)) {
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  }
});

afterAll(async () => {
  for (const server of Object.values(servers)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

const urlOf = (name: 'plain' | 'tls'): string =>
  // A server that listens on TCP has an address of this type.
  `http${name === 'tls' ? 's' : ''}://localhost:${(servers[name].address() as AddressInfo).port}/a?b=1`;

const bounds = () => ({ maxBytes: 1_000, signal: AbortSignal.timeout(5_000) });

describe('httpExchange', () => {
  it('posts with a client certificate, and returns status, headers and body', async () => {
    handle = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url, headers } = request;
        response.writeHead(201, { etag: '"1"' });
        const { 'accept-encoding': coding, 'x-name': name } = headers;
        response.end([method, url, coding, name, Buffer.concat(chunks).toString()].join(' '));
      });
    };
    const asked = { ...bounds(), method: 'POST', headers: { 'x-name': 'v' }, body: 'héllo' } as const;
    const tls = { ca, cert: client.certPem, key: client.keyPem };
    const answer = await httpExchange(urlOf('tls'), { ...asked, tls });
    expect({ ...answer, body: answer.body.toString() }).toMatchObject({
      status: 201,
      headers: { etag: '"1"' },
      body: 'POST /a?b=1 identity v héllo',
      fault: null,
    });
    await expect(httpExchange(urlOf('tls'), { ...asked, tls: { ca } })).rejects.toThrow();
  });

  it.each(['', '\n', '# no certificate'])(
    'trusts nobody with trust anchors `%j`, not even the CAs of the runtime',
    async (none) => {
      let asked = 0;
      handle = (_request, response) => {
        asked += 1;
        response.end();
      };
      const before = getCACertificates('default');
      // The CA of the server is one of the runtime, as a public CA is.
      setDefaultCACertificates([ca]);
      try {
        const tls = { cert: client.certPem, key: client.keyPem };
        expect(await httpExchange(urlOf('tls'), { ...bounds(), tls })).toMatchObject({ status: 200 });
        const refused = httpExchange(urlOf('tls'), { ...bounds(), tls: { ...tls, ca: none } });
        await expect(refused).rejects.toThrow('there is no CA certificate in PEM to verify the server with');
        expect(asked).toBe(1);
      } finally {
        setDefaultCACertificates(before);
      }
    },
  );

  it('returns the beginning of a longer body, and reads no more', async () => {
    const closed = Promise.withResolvers<void>();
    handle = (_request, response) => {
      response.on('close', () => closed.resolve());
      response.write('a'.repeat(1_001));
    };
    const { body, fault } = await httpExchange(urlOf('plain'), bounds());
    expect([body.toString(), fault]).toEqual(['a'.repeat(1_000), 'too-long']);
    await closed.promise;
    handle = (_request, response) => response.end('a'.repeat(1_000));
    expect(await httpExchange(urlOf('plain'), bounds())).toMatchObject({ fault: null });
  });

  it('reads nothing of a body in a content coding', async () => {
    handle = (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    const { body, fault } = await httpExchange(urlOf('plain'), bounds());
    expect([body.length, fault]).toEqual([0, 'content-coding']);
  });

  it('follows no redirect', async () => {
    let count = 0;
    handle = (_request, response) => {
      count += 1;
      response.writeHead(302, { location: '/elsewhere' }).end();
    };
    expect((await httpExchange(urlOf('plain'), bounds())).status).toBe(302);
    expect(count).toBe(1);
  });

  it('stops with its signal, and the error repeats nothing that was sent', async () => {
    handle = () => undefined;
    const signal = AbortSignal.timeout(50);
    const headers = { authorization: 'Bearer s3cret' };
    const error: unknown = await httpExchange(urlOf('plain'), { ...bounds(), signal, headers }).catch(
      (cause: unknown) => cause,
    );
    expect(failureCode(error)).toBe('ABORT_ERR');
    expect(failureWords(error)).not.toContain('s3cret');
  });
});
