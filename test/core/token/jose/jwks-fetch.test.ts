import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../../../src/dev/authority.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { httpsJwksFetch } from '../../../../src/core/token/jose/jwks-fetch.ts';
import { KeyRing } from '../../../../src/core/token/jose/keys.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { verifyTaskToken } from '../../../../src/core/token/verify.ts';
import { until } from '../../../until.ts';
import { denied, es256Key, issuer, jwksOf, mint, nowMs, rules } from '../../../builders/tokens.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const key = es256Key();
const jwks = JSON.stringify(jwksOf(key));
const patient = () => AbortSignal.timeout(5_000);

let server: Server;
let url: string;
let ca: string;
let handle: Handler;
let requests: IncomingMessage[];

beforeAll(async () => {
  const authority = await createAuthority('keys.test', systemPorts);
  const { certPem: cert, keyPem } = await authority.svid('/server', { dns: ['localhost'] });
  ca = authority.bundlePem;
  server = createServer({ cert, key: keyPem }, (request, response) => {
    requests.push(request);
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  url = `https://localhost:${portOf(server)}/jwks.json?v=1`;
});

beforeEach(() => {
  requests = [];
  handle = (_request, response) => response.end(jwks);
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

// Safe: a server that listens on TCP has an `AddressInfo`.
const portOf = (listening: Pick<Server, 'address'>): number => (listening.address() as AddressInfo).port;

describe('httpsJwksFetch', () => {
  it('returns body, status, ETag and max-age', async () => {
    handle = (_request, response) => {
      response.writeHead(200, { etag: '"1"', 'cache-control': 'public, Max-Age=120, must-revalidate' }).end(jwks);
    };
    const response = await httpsJwksFetch(url, ca)(patient(), null);
    expect({ ...response, body: Buffer.from(response.body).toString() }).toEqual({
      status: 200,
      body: jwks,
      maxAgeSeconds: 120,
      etag: '"1"',
    });
    expect(requests.map(({ method, url: path }) => [method, path])).toEqual([['GET', '/jwks.json?v=1']]);
    expect(requests[0]?.headers).not.toHaveProperty('if-none-match');
  });

  it('sends the given ETag', async () => {
    handle = (_request, response) => response.writeHead(304).end();
    expect(await httpsJwksFetch(url, [ca])(patient(), '"1"')).toMatchObject({ status: 304, etag: null });
    expect(requests[0]?.headers).toMatchObject({ 'if-none-match': '"1"', 'accept-encoding': 'identity' });
  });

  it.each<[string, number | null]>([
    ['', null],
    ['max-age=0', 0],
    ['no-store', 0],
    ['max-age=60, no-cache', 0],
    ['max-age=-1', null],
    ['max-age=9999999999', null],
    ['s-maxage=10', null],
  ])('reads `cache-control: %s`', async (value, maxAgeSeconds) => {
    handle = (_request, response) => response.writeHead(200, { 'cache-control': value }).end(jwks);
    expect(await httpsJwksFetch(url, ca)(patient(), null)).toMatchObject({ maxAgeSeconds });
  });

  it('follows no redirects', async () => {
    handle = (_request, response) => response.writeHead(302, { location: '/elsewhere' }).end();
    expect(await httpsJwksFetch(url, ca)(patient(), null)).toMatchObject({ status: 302 });
    expect(requests).toHaveLength(1);
  });

  it('aborts an endless body at 256 KiB', async () => {
    let sent = 0;
    handle = (_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384, ' '))) sent += 16_384;
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    };
    await expect(httpsJwksFetch(url, ca)(patient(), null)).rejects.toThrow('the key set is larger than 262144 bytes');
    expect(sent).toBeLessThan(32 * 1024 * 1024);
  });

  it.each<[string, Handler, RegExp]>([
    [
      'a content coding',
      (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      /^the key set has a content coding$/,
    ],
    ['a connection that is cut', (request) => request.socket.destroy(), /socket hang up|ECONNRESET/],
    [
      'a body that is cut',
      (request, response) => {
        response.writeHead(200, { 'content-length': 1000 }).write('{');
        setTimeout(() => request.socket.destroy(), 20);
      },
      /aborted|ECONNRESET/,
    ],
  ])('rejects %s', async (_name, answers, message) => {
    handle = answers;
    await expect(httpsJwksFetch(url, ca)(patient(), null)).rejects.toThrow(message);
  });

  it.each<[string, Handler]>([
    ['that says nothing', () => undefined],
    ['that stops half way', (_request, response) => response.writeHead(200).write('{')],
  ])('gives a server %s up when the signal aborts', async (_name, answers) => {
    handle = answers;
    await expect(httpsJwksFetch(url, ca)(AbortSignal.timeout(100), null)).rejects.toThrow(/abort/i);
  });

  it('rejects a server whose certificate is not of the accepted CAs', async () => {
    await expect(httpsJwksFetch(url)(patient(), null)).rejects.toThrow(/certificate/);
    const other = await createAuthority('other.test', systemPorts);
    await expect(httpsJwksFetch(url, other.bundlePem)(patient(), null)).rejects.toThrow(/certificate/);
    const byAddress = url.replace('localhost', '127.0.0.1');
    await expect(httpsJwksFetch(byAddress, ca)(patient(), null)).rejects.toThrow(/altnames|ECONNREFUSED/);
    expect(requests).toEqual([]);
  });

  it('rejects a server without TLS', async () => {
    const plain = createHttpServer((_request, response) => response.end(jwks));
    await new Promise<void>((resolve) => plain.listen(0, 'localhost', resolve));
    const fetch = httpsJwksFetch(`https://localhost:${portOf(plain)}/`, ca);
    await expect(fetch(patient(), null)).rejects.toThrow();
    plain.closeAllConnections();
    await new Promise((resolve) => plain.close(resolve));
  });

  it('throws for a URL that is not https', () => {
    expect(() => httpsJwksFetch('http://localhost/jwks.json')).toThrow('the URL of a key server must be `https:`');
  });
});

const ringFor = (address: string, problems: string[], timeoutMs = 5_000) =>
  new KeyRing([{ issuer, algorithms: ['ES256'], source: { kind: 'remote', fetch: httpsJwksFetch(address, ca) } }], {
    ports: systemPorts,
    after,
    onProblem: (_name, problem) => problems.push(problem ?? 'over'),
    rules: { timeoutMs },
  });

describe('KeyRing with a real key server', () => {
  it('verifies a token with the keys it serves', async () => {
    const problems: string[] = [];
    const ring = ringFor(url, problems);
    await ring.start();
    expect(problems).toEqual([]);
    expect(verifyTaskToken(mint(key), rules, ring, nowMs)).toMatchObject({ kind: 'task-token' });
    ring.close();
  });

  it.each<[string, Handler, RegExp]>([
    ['slow', () => undefined, /^the key server gave no answer within 200 ms$/],
    ['huge', (_request, response) => response.end(' '.repeat(300_000)), /larger than 262144 bytes$/],
    ['redirecting', (_request, response) => response.writeHead(301, { location: url }).end(), /with status 301$/],
    ['garbled', (_request, response) => response.end('\u{1f4a9}'), /^the key set is not valid JSON$/],
    ['failing', (_request, response) => response.writeHead(503).end(), /with status 503$/],
  ])('holds no keys and says so while it is %s', async (name, answers, problem) => {
    handle = answers;
    const problems: string[] = [];
    const ring = ringFor(url, problems, name === 'slow' ? 200 : undefined);
    await ring.start();
    expect(problems).toEqual([expect.stringMatching(problem)]);
    expect(denied(verifyTaskToken(mint(key), rules, ring, nowMs))).toEqual([
      'token.keys-unavailable',
      'the keys of the issuer are not available',
    ]);
    ring.close();
  });

  it('reports missing keys while the server is down, and loads them a second after it is up', async () => {
    const problems: string[] = [];
    const down = createServer(() => undefined);
    await new Promise<void>((resolve) => down.listen(0, 'localhost', resolve));
    const port = portOf(down);
    await new Promise((resolve) => down.close(resolve));
    const ring = ringFor(`https://localhost:${port}/`, problems);
    await ring.start();
    expect(problems).toEqual([expect.stringMatching(/^the key server could not be asked: .*ECONNREFUSED/)]);
    expect(ring.ready()).toEqual([issuer]);
    ring.close();

    handle = (_request, response) => response.writeHead(503).end();
    const late = ringFor(url, problems);
    await late.start();
    handle = (_request, response) => response.end(jwks);
    await until(() => late.ready().length === 0);
    late.close();
  });
});
