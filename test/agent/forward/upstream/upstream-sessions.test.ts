import { once } from 'node:events';
import {
  connect,
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { forwardHttp2 } from '../../../../src/agent/forward/http2-request.ts';
import { secured, UpstreamSessions } from '../../../../src/agent/forward/upstream/upstream-sessions.ts';
import { createAuthority } from '../../../../src/dev/authority.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { until } from '../../../until.ts';

let server: Http2SecureServer;
let open: () => Promise<TLSSocket>;
let sessions: UpstreamSessions;
beforeAll(async () => {
  const authority = await createAuthority('acme.test', systemPorts);
  const { keyPem: key, certPem: cert } = await authority.svid('/ns/tools/sa/server', { dns: ['tools.acme.test'] });
  server = createSecureServer({ key, cert });
  server.on('stream', (stream: ServerHttp2Stream) => stream.respond({ ':status': 204 }, { endStream: true }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  open = () =>
    secured(
      connectTls({
        host: '127.0.0.1',
        port,
        ca: authority.bundlePem,
        servername: 'tools.acme.test',
        ALPNProtocols: ['h2'],
      }),
    );
  sessions = new UpstreamSessions('https://tools.acme.test', open);
});
afterAll(async () => {
  sessions.destroy();
  await new Promise<void>((resolve) => void server.close(() => resolve()));
});

// Issue 37, point 19.
describe('the sessions to an upstream', () => {
  it.each(['close', 'destroy'] as const)('lease none after its %s, before it is gone', async (end) => {
    const first = await sessions.lease();
    first.session[end]();
    const second = await sessions.lease();
    const stream = second.session.request({ ':path': '/' });
    const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];
    await once(stream.resume(), 'close');
    second.release();
    first.release();
    expect([headers[':status'], second.session === first.session]).toEqual([204, false]);
  });

  it('end with their streams after GOAWAY too, and others are leased until then', async () => {
    const [client, upstream] = [new UpstreamSessions('http://tools.acme.test', () => plain()), createServer()];
    const served: ServerHttp2Stream[] = [];
    upstream.on('stream', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200 });
      served.push(stream.on('error', () => undefined));
    });
    await once(upstream.listen(0, '127.0.0.1'), 'listening');
    const plain = async (): Promise<Socket> => {
      const socket = connectTcp({ host: '127.0.0.1', port: (upstream.address() as AddressInfo).port });
      await once(socket, 'connect');
      return socket;
    };
    const { session } = await client.lease();
    const stream = session.request({ ':path': '/events' }).on('error', () => undefined);
    await once(stream, 'response');
    served[0]?.session?.close();
    await until(() => session.closed, { what: 'the GOAWAY arrives' });
    const other = await client.lease();
    expect([client.isUsed, stream.closed, other.session === session]).toEqual([true, false, false]);
    client.destroy();
    await until(() => stream.closed && session.destroyed, { what: 'the stream ends' });
    await new Promise<void>((resolve) => void upstream.close(() => resolve()));
  });

  it('lease none of a connection that was under way at their end', async () => {
    const made = Promise.withResolvers<TLSSocket>();
    const ended = new UpstreamSessions('https://tools.acme.test', () => made.promise);
    const lease = ended.lease();
    ended.destroy();
    const socket = await open();
    made.resolve(socket);
    await expect(lease).rejects.toThrow('its connections were closed');
    expect(socket.destroyed).toBe(true);
  });

  it.each(['close', 'destroy'] as const)(
    'answer 503 at its %s between lease and call: nothing was sent',
    async (end) => {
      const lease = await sessions.lease();
      lease.session[end]();
      const target = { origin: 'https://tools.acme.test', base: '' };
      const forwarded = {
        target,
        localUrls: { hidden: (value: string) => value },
        proofKey: null,
        bounds: { idleMs: 60_000 },
        current: async () => ({ token: 'token', boundTo: '' }),
        connections: { boundTo: async () => ({ sessions: { lease: async () => lease } }) },
      };
      const local: Http2Server = createServer().on(
        'stream',
        (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, lines: string[]) => {
          const call = { stream, method: headers[':method'] ?? '', lines, isEnded: true, rest: '/', prefix: '' };
          void forwardHttp2(call, forwarded as never);
        },
      );
      local.listen(0, '127.0.0.1');
      await once(local, 'listening');
      const client = connect(`http://127.0.0.1:${(local.address() as AddressInfo).port}`);
      const stream = client.request({ ':path': '/' }).setEncoding('utf8');
      const [headers] = (await once(stream, 'response')) as [{ ':status'?: number; 'retry-after'?: string }];
      let text = '';
      for await (const chunk of stream as AsyncIterable<string>) text += chunk;
      client.close();
      await new Promise<void>((resolve) => void local.close(() => resolve()));
      expect([headers[':status'], headers['retry-after'], JSON.parse(text)]).toEqual([
        503,
        '1',
        expect.objectContaining({ reason: 'forward.upstream-closing', next: 'retry_later' }),
      ]);
    },
  );
});
