import { createHash, randomBytes } from 'node:crypto';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { createServer, connect as connectSocket, type AddressInfo, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { bytesOf, type ForwarderUnderTest, raw, startForwarder } from './upstream.ts';

const folder = testFolders();
const open: { close: () => Promise<void> | void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const started = async (options?: Parameters<typeof startForwarder>[1]): Promise<ForwarderUnderTest> => {
  const forwarder = await startForwarder(folder(), options);
  open.push(forwarder);
  return forwarder;
};

const get = (url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    requestHttp(url, { agent: false, headers }).once('response', resolve).once('error', reject).end();
  });
/** Status, reason and message of an answer of the forwarder itself. */
const refused = async (forwarder: ForwarderUnderTest): Promise<readonly unknown[]> => {
  const answer = await get(forwarder.url);
  const body = JSON.parse((await bytesOf(answer)).toString()) as Record<string, string>;
  return [answer.statusCode, body['reason'], body['message'], body['next']];
};

/** A server that does with each connection as it is told. */
async function tcpServer(handle: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    handle(socket.on('error', () => undefined));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  return server;
}
const placeOf = (server: Server): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;

describe('the forwarder: an upstream that fails', () => {
  it('says that it is down', async () => {
    const server = await tcpServer(() => undefined);
    const connect = placeOf(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await refused(await started({ connect }))).toEqual([
      502,
      'forward.upstream-unreachable',
      `the upstream https://tools.acme.test could not be called: connect ECONNREFUSED ${connect}. This is a fault on our side: try the same call again later.`,
      'retry_later',
    ]);
  });

  it('says that it is silent during TLS', async () => {
    const connect = placeOf(await tcpServer(() => undefined));
    expect(await refused(await started({ connect, bounds: { connectMs: 200 } }))).toEqual([
      504,
      'forward.upstream-slow',
      'the upstream https://tools.acme.test did not answer in time: no connection within 0.2 s. This is a fault on our side: try the same call again later.',
      'retry_later',
    ]);
  });

  it('says that it sends nothing for too long', async () => {
    const forwarder = await started({ bounds: { idleMs: 300 } });
    forwarder.answer(() => undefined);
    expect((await refused(forwarder)).slice(0, 3)).toEqual([
      504,
      'forward.upstream-slow',
      'the upstream https://tools.acme.test did not answer in time: no byte within 0.3 s. This is a fault on our side: try the same call again later.',
    ]);
  });

  it.each([
    [
      'a certificate for another host',
      { server: { dns: ['other.acme.test'] } },
      "Host: tools.acme.test. is not in the cert's altnames: ",
    ],
    ['a certificate of another trust domain', { settings: `,ca=system` }, '(SELF_SIGNED_CERT_IN_CHAIN)'],
    [
      'another SPIFFE ID',
      { settings: ',id=spiffe://acme.test/envoy' },
      'the server of the upstream is `spiffe://acme.test/ns/tools/sa/server`, expected `spiffe://acme.test/envoy`',
    ],
  ])('names %s', async (_name, options, words) => {
    const [status, , message] = await refused(await started(options));
    expect([status, message]).toEqual([502, expect.stringContaining(words)]);
  });

  it('takes a certificate by its SPIFFE ID, without a host name', async () => {
    const forwarder = await started({ server: {}, settings: ',id=spiffe://acme.test/ns/tools/sa/server' });
    expect((await get(forwarder.url)).statusCode).toBe(200);
  });
});

const peers = (forwarder: ForwarderUnderTest): string[] => {
  const seen: string[] = [];
  forwarder.answer((request, response) => {
    const { raw: der } = (request.socket as TLSSocket).getPeerCertificate();
    seen.push(createHash('sha256').update(der).digest('base64url'));
    if (request.url !== '/stream') return response.end('ok');
    response.flushHeaders();
    return void setTimeout(() => response.end('later'), 1_500);
  });
  return seen;
};

describe('the forwarder: rotation of the SVID', () => {
  it('calls with the new SVID at once; streams under way go on', async () => {
    const forwarder = await started();
    const seen = peers(forwarder);
    const stream = await get(`${forwarder.url}/stream`);
    const before = seen[0];
    const after = await forwarder.rotate();
    await get(`${forwarder.url}/next`);
    await get(`${forwarder.url}/next`);
    expect(seen).toEqual([before, after, after]);
    expect(after).not.toBe(before);
    expect((await bytesOf(stream)).toString()).toBe('later');
  });
});

describe('the forwarder: connections that are used again', () => {
  it('repeats an idempotent request if the upstream closed the connection as it was used again; others are not', async () => {
    const forwarder = await started();
    const seen: string[] = [];
    const used = new WeakSet<object>();
    forwarder.answer((request, response) => {
      seen.push(`${request.method ?? ''} ${request.url ?? ''}`);
      if (request.url === '/x' && used.has(request.socket)) return request.socket.destroy();
      used.add(request.socket);
      return response.end('ok');
    });
    const ask = (method: string, path: string): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const sent = requestHttp(forwarder.url + path, { method, agent: false });
        sent.once('response', resolve).once('error', reject).end();
      });
    await bytesOf(await ask('GET', '/first'));
    expect((await bytesOf(await ask('GET', '/x'))).toString()).toBe('ok');
    await bytesOf(await ask('GET', '/first'));
    expect((await ask('POST', '/x')).statusCode).toBe(502);
    expect(seen).toEqual(['GET /first', 'GET /x', 'GET /x', 'GET /first', 'POST /x']);
  });

  it('says that the upstream sends nothing for too long, also to a repeated request', async () => {
    const forwarder = await started({ bounds: { idleMs: 300 } });
    let count = 0;
    forwarder.answer((request, response) => {
      count += 1;
      if (count === 1) return response.end('ok');
      return count === 2 ? request.socket.destroy() : undefined;
    });
    await bytesOf(await get(forwarder.url));
    expect([...(await refused(forwarder)).slice(0, 2), count]).toEqual([504, 'forward.upstream-slow', 3]);
  });

  it('keeps a stream without a byte for longer than an unused connection', async () => {
    const forwarder = await started({ bounds: { unusedMs: 100 } });
    forwarder.answer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      setTimeout(() => response.end('data: late\n\n'), 800);
    });
    expect((await bytesOf(await get(forwarder.url))).toString()).toBe('data: late\n\n');
  });

  it('counts a byte now and then as life', async () => {
    const forwarder = await started({ bounds: { idleMs: 500 } });
    forwarder.answer((_request, response) => {
      let beats = 0;
      response.flushHeaders();
      const timer = setInterval(() => {
        response.write('.');
        if ((beats += 1) < 12) return;
        clearInterval(timer);
        response.end();
      }, 100);
    });
    expect((await bytesOf(await get(forwarder.url))).length).toBe(12);
  });
});

describe('the forwarder: bodies', () => {
  const MIB = 1_048_576;

  it('passes 64 MiB in both directions in little memory, and waits for a slow reader', async () => {
    const forwarder = await started();
    const size = 64 * MIB;
    let arrived = 0;
    let isReading = false;
    forwarder.answer((request, response) => {
      // The upstream reads nothing for a while.
      setTimeout(() => {
        isReading = true;
        request.on('data', (chunk: Buffer) => {
          arrived += chunk.length;
          if (!response.write(chunk)) request.pause();
        });
        response.on('drain', () => request.resume());
        request.once('end', () => response.end());
      }, 300);
    });
    const chunk = randomBytes(MIB);
    const hash = { sent: createHash('sha256'), received: createHash('sha256') };
    const sent = requestHttp(forwarder.url, { method: 'POST', agent: false, headers: { 'content-length': size } });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve).once('error', reject);
    });
    let written = 0;
    let early = 0;
    for (let at = 0; at < size; at += MIB) {
      hash.sent.update(chunk);
      if (!sent.write(chunk)) await new Promise((resolve) => sent.once('drain', resolve));
      written += MIB;
      if (!isReading) early = written;
      if (at === 0) void answered.then((answer) => answer.on('data', (part: Buffer) => hash.received.update(part)));
    }
    sent.end();
    const answer = await answered;
    await new Promise((resolve) => answer.once('end', resolve));
    expect(hash.received.digest('hex')).toBe(hash.sent.digest('hex'));
    expect(arrived).toBe(size);
    // Buffers of sockets and streams hold some; the rest waits at the client.
    expect(early).toBeLessThan(24 * MIB);
  });
});

const upgrading = (forwarder: ForwarderUnderTest, upgrade = 'websocket'): string =>
  `GET ${forwarder.prefix}/ws HTTP/1.1\r\nhost: 127.0.0.1:${forwarder.port}\r\nconnection: Upgrade\r\nupgrade: ${upgrade}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n`;

const ANSWERS = [
  '401 Unauthorized',
  '503 Service Unavailable\r\nretry-after: 0\r\nx-remit-decision: deny;reason=overloaded',
];

/** Agrees to each upgrade, and echoes. */
const echoing = (forwarder: ForwarderUnderTest): string[] => {
  const seen: string[] = [];
  forwarder.server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
    seen.push(`${request.url ?? ''} ${request.headers.authorization ?? ''} ${request.headers.upgrade ?? ''}`);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-a: b\r\n\r\n');
    socket.on('data', (chunk) => socket.write(`<${chunk.toString()}>`)).on('error', () => undefined);
    socket.once('end', () => socket.end());
  });
  return seen;
};

describe('the forwarder: WebSocket', () => {
  it('passes it if allowed, with the token, in both directions', async () => {
    const forwarder = await started({ settings: ',upgrade=websocket' });
    const seen = echoing(forwarder);
    const socket = connectSocket(forwarder.port, '127.0.0.1');
    let text = '';
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (text.endsWith('\r\n\r\n')) socket.write('one');
      if (text.endsWith('<one>')) socket.end('two');
    });
    socket.write(upgrading(forwarder));
    await ended;
    expect(text).toMatch(/^HTTP\/1\.1 101 [^]*x-a: b\r\n[^]*\r\n\r\n<one><two>$/);
    expect(seen).toEqual(['/ws Bearer token-0 websocket']);
  });

  it('passes a refusal of the upstream, and refuses other protocols itself', async () => {
    const forwarder = await started({ settings: ',upgrade=websocket' });
    forwarder.answer((_request, response) => void response.writeHead(404).end('none'));
    expect(await raw(forwarder.port, upgrading(forwarder))).toMatch(/^HTTP\/1\.1 404 [^]*none/);
    expect(await raw(forwarder.port, upgrading(forwarder, 'tls/1.0'))).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('sends it again with another token, or if it was not decided', async () => {
    const forwarder = await started({ settings: ',upgrade=websocket' });
    const seen: unknown[] = [];
    forwarder.server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
      seen.push(request.headers.authorization);
      const head = ANSWERS[seen.length - 1] ?? '404 Not Found\r\nx-end: 1';
      socket.on('error', () => undefined).end(`HTTP/1.1 ${head}\r\ncontent-length: 0\r\n\r\n`);
    });
    expect(await raw(forwarder.port, upgrading(forwarder))).toMatch(/^HTTP\/1\.1 404 [^]*x-end: 1/);
    expect(seen).toEqual(['Bearer token-0', 'Bearer token-1', 'Bearer token-1']);
  });

  it('says that it is no proxy', async () => {
    const forwarder = await started();
    const { port } = forwarder;
    const connect = `CONNECT tools.acme.test:443 HTTP/1.1\r\nhost: tools.acme.test:443\r\n\r\n`;
    expect(await raw(port, connect)).toMatch(/^HTTP\/1\.1 405 [^]*"forward\.method"[^]*this address is no proxy/);
  });

  it('passes a last 401 as 403', async () => {
    const forwarder = await started({ settings: ',upgrade=websocket' });
    forwarder.keep({ another: async (known) => known });
    forwarder.answer((_request, response) => void response.writeHead(401).end('none'));
    expect(await raw(forwarder.port, upgrading(forwarder))).toMatch(/^HTTP\/1\.1 403 [^]*none/);
  });

  it('says that the upstream answers nothing for too long', async () => {
    const forwarder = await started({ settings: ',upgrade=websocket', bounds: { idleMs: 300 } });
    forwarder.server.on('upgrade', (_request: IncomingMessage, socket: Socket) => socket.on('error', () => undefined));
    expect(await raw(forwarder.port, upgrading(forwarder))).toMatch(/^HTTP\/1\.1 504 [^]*no byte within 0\.3 s/);
  });

  it('outlives a client that goes while its upgrade is refused', async () => {
    const forwarder = await started();
    for (let count = 0; count < 20; count += 1) {
      const socket = connectSocket(forwarder.port, '127.0.0.1').on('error', () => undefined);
      socket.write(upgrading(forwarder));
      await new Promise((resolve) => setTimeout(resolve, count % 4));
      socket.resetAndDestroy();
    }
    expect((await get(forwarder.url)).statusCode).toBe(200);
  });

  it('goes on with HTTP/1.1 if a client offers h2c', async () => {
    const forwarder = await started();
    const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' };
    expect((await get(forwarder.url, headers)).statusCode).toBe(200);
  });
});

describe('the forwarder: its address', () => {
  it('says that a port is taken, and leaves nothing behind', async () => {
    const taken = await tcpServer(() => undefined);
    const { port } = taken.address() as AddressInfo;
    await expect(started({ settings: `,port=${port}` })).rejects.toThrow(
      `--forward \`tools\`: cannot listen at port ${port} of 127.0.0.1: it is already in use`,
    );
  });

  it('closes connections with the run', async () => {
    const forwarder = await startForwarder(folder());
    forwarder.answer((_request, response) => response.flushHeaders());
    const answer = await get(forwarder.url);
    const ended = new Promise((resolve) => answer.once('error', resolve));
    await forwarder.close();
    expect(await ended).toMatchObject({ message: 'aborted' });
    await expect(get(forwarder.url)).rejects.toThrow('ECONNREFUSED');
  });
});
