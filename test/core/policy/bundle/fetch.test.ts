import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority } from '../../../../src/dev/authority.ts';
import { MAX_BUNDLE_BYTES } from '../../../../src/core/policy/bundle/bundle.ts';
import { httpsBundle } from '../../../../src/core/policy/bundle/fetch.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';

let server: Server;
let url: string;
let ca: string;
let handle: (request: IncomingMessage, response: ServerResponse) => void;

beforeAll(async () => {
  const authority = await createAuthority('policies.test', systemPorts);
  const { certPem: cert, keyPem } = await authority.svid('/server', { dns: ['localhost'] });
  ca = authority.bundlePem;
  server = createServer({ cert, key: keyPem }, (request, response) => handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  url = `https://localhost:${(server.address() as AddressInfo).port}/policies.jws`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe('httpsBundle', () => {
  it('gives the bundle with its ETag, and asks with it', async () => {
    handle = (request, response) => {
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
      else response.writeHead(200, { etag: '"1"' }).end('jws');
    };
    const fetch = httpsBundle(url, ca);
    expect(await fetch(null)).toEqual({ kind: 'bundle', text: 'jws', etag: '"1"' });
    expect(await fetch('"1"')).toEqual({ kind: 'unchanged' });
  });

  const answers: readonly (readonly [string, typeof handle, string])[] = [
    ['another status', (_request, response) => response.writeHead(500).end(), 'could not be fetched: status 500'],
    [
      'a redirect',
      (_request, response) => response.writeHead(302, { location: url }).end(),
      'could not be fetched: status 302',
    ],
    [
      'a content coding',
      (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'),
      'has a content coding',
    ],
    [
      'more than 16 MiB',
      (_request, response) => response.end(Buffer.alloc(MAX_BUNDLE_BYTES + 1, 'a')),
      'is larger than 16777216 bytes',
    ],
    ['a connection that ends', (request) => request.socket.destroy(), 'could not be fetched: ECONNRESET'],
  ];
  it.each(answers)('refuses %s', async (_name, answer, problem) => {
    handle = answer;
    expect(await httpsBundle(url, ca)(null)).toEqual({ problem });
  });

  it('believes no server that its certificates do not vouch for', async () => {
    handle = (_request, response) => response.end('jws');
    expect(await httpsBundle(url, null)(null)).toMatchObject({
      problem: expect.stringMatching(/^could not be fetched: [A-Z_]+$/),
    });
  });
});
