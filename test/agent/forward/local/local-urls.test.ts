import { once } from 'node:events';
import { type IncomingHttpHeaders, connect as connectHttp2, type ServerHttp2Stream } from 'node:http2';
import { connect } from 'node:net';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { LocalUrls } from '../../../../src/agent/forward/local/local-urls.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { bytesOf, type ForwarderUnderTest, raw, startForwarder } from '../upstream.ts';

const folder = testFolders(() => forwarder.close());
let forwarder: ForwarderUnderTest;
beforeAll(async () => {
  forwarder = await startForwarder(folder(), { url: 'https://tools.acme.test/base', settings: ',upgrade=websocket' });
});

/** Where clients write the URL they call. */
const carriers = (): Record<string, string> => ({
  referer: `${forwarder.url}/page?x=1`,
  destination: `http://localhost:${forwarder.port}${forwarder.prefix}/copy`,
  'x-original-url': `${forwarder.prefix}/page`,
  'x-callback': `see <${forwarder.url}>, or HTTP://127.0.0.1:${forwarder.port}/x`,
  cookie: `at=${encodeURIComponent(forwarder.url)}`,
  'x-other': 'http://127.0.0.1:1/page',
});
/** What the upstream gets of it. */
const expected = {
  referer: 'https://tools.acme.test/base/page?x=1',
  destination: 'https://tools.acme.test/base/copy',
  'x-callback': 'see <https://tools.acme.test/base>, or https://tools.acme.test/x',
  'x-other': 'http://127.0.0.1:1/page',
};
const secret = (): string => forwarder.prefix.slice(1);

const lines = (): string =>
  Object.entries(carriers())
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');

// Issue 37, point 19.
describe('the local URL of a forwarder, in headers of a request', () => {
  it('goes upstream over HTTP/1.1 as the URL of the upstream, or not at all; in trailers too', async () => {
    forwarder.answer((request, response) => {
      void bytesOf(request).then(() =>
        response.end(JSON.stringify([request.headers, request.trailers, request.rawHeaders])),
      );
    });
    const head = `POST ${forwarder.prefix}/a HTTP/1.1\r\nhost: 127.0.0.1:${forwarder.port}\r\nconnection: close\r\n`;
    const trailers = `x-at: ${forwarder.url}/t\r\nx-raw: ${secret()}\r\n`;
    const text = await raw(
      forwarder.port,
      `${head}${lines()}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${trailers}\r\n`,
    );
    const [received, trailed] = JSON.parse(text.slice(text.indexOf('['), text.lastIndexOf(']') + 1)) as unknown[];
    expect(received).toMatchObject(expected);
    expect(trailed).toEqual({ 'x-at': 'https://tools.acme.test/base/t' });
    expect(text).not.toContain(secret());
  });

  it('goes so over HTTP/2', async () => {
    const seen: IncomingHttpHeaders[] = [];
    const answer = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
      seen.push(headers);
      stream.respond({ ':status': 204 }, { endStream: true });
    };
    forwarder.server.on('stream', answer);
    const session = connectHttp2('http://localhost', { createConnection: () => connect(forwarder.socketPath) });
    const stream = session.request({ ':path': '/a', ...carriers() });
    await once(stream.resume(), 'close');
    session.close();
    forwarder.server.off('stream', answer);
    expect(seen).toMatchObject([expected]);
    expect(JSON.stringify(seen)).not.toContain(secret());
  });

  it('goes so with a WebSocket', async () => {
    const asked = new Promise<IncomingHttpHeaders>((resolve) => {
      forwarder.server.once('upgrade', (request: { headers: IncomingHttpHeaders }, socket: { end: () => void }) => {
        resolve(request.headers);
        socket.end();
      });
    });
    const head = `GET ${forwarder.prefix}/ws HTTP/1.1\r\nhost: 127.0.0.1:${forwarder.port}\r\n`;
    const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n';
    await raw(forwarder.port, `${head}${upgrade}${lines()}\r\n`);
    const received = await asked;
    expect(received).toMatchObject(expected);
    expect(JSON.stringify(received)).not.toContain(secret());
  });

  it('goes upstream in path and query as the URL of the upstream, plain and percent-encoded', async () => {
    const seen: string[] = [];
    forwarder.answer((request, response) => {
      seen.push(request.url ?? '');
      response.end();
    });
    const encoded = encodeURIComponent(`${forwarder.url}/page`);
    const other = encodeURIComponent('http://127.0.0.1:1/page');
    const target = `${forwarder.prefix}/a?at=${forwarder.url}/x&to=${encoded}&lower=${encoded.replaceAll(/%../g, (byte) => byte.toLowerCase())}&no=${other}`;
    const head = `host: 127.0.0.1:${forwarder.port}\r\nconnection: close\r\n\r\n`;
    await raw(forwarder.port, `GET ${target} HTTP/1.1\r\n${head}`);
    const own = encodeURIComponent('https://tools.acme.test/base');
    expect(seen).toEqual([
      `/base/a?at=https://tools.acme.test/base/x&to=${own}%2Fpage&lower=${own}%2fpage&no=${other}`,
    ]);
  });

  it.each([
    ['the query', (hidden: string) => `/a?key=${hidden}`],
    ['the path', (hidden: string) => `/a/${hidden}`],
  ])('is refused if the secret alone is in %s', async (_name, targetOf) => {
    const head = `host: 127.0.0.1:${forwarder.port}\r\nconnection: close\r\n\r\n`;
    const text = await raw(forwarder.port, `GET ${forwarder.prefix}${targetOf(secret())} HTTP/1.1\r\n${head}`);
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(text).toContain('forward.local-url');
  });

  it('is refused so over HTTP/2', async () => {
    const session = connectHttp2('http://localhost', { createConnection: () => connect(forwarder.socketPath) });
    const stream = session.request({ ':path': `/a?key=${secret()}` });
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    stream.resume();
    await once(stream, 'close');
    session.close();
    expect(headers[':status']).toBe(400);
  });

  it('is hidden of each forwarder of the run', () => {
    const urls = new LocalUrls();
    urls.add({ port: 4_100, secret: 'first_-secret', target: { origin: 'https://one.test', base: '' } });
    urls.add({ port: 4_200, secret: 'second', target: { origin: 'https://two.test', base: '/b' } });
    expect(
      [
        'http://127.0.0.1:4200/second/x http://localhost:4100/first_-secret',
        'http://127.0.0.1:42001/x',
        'http://127.0.0.1:4200/second-longer',
        'first_-secret',
      ].map((value) => urls.hidden(value)),
    ).toEqual(['https://two.test/b/x https://one.test', 'http://127.0.0.1:42001/x', null, null]);
  });
});
