import {
  connect,
  constants,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect as connectSocket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { issuerProblem } from '../../../src/agent/task/issuer-problem.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { bytesOf, credentialOf, type ForwarderUnderTest, RESOURCE, startForwarder } from './upstream.ts';

const folder = testFolders(() => forwarder.close());
let forwarder: ForwarderUnderTest;
beforeAll(async () => {
  forwarder = await startForwarder(folder());
});

type StreamHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
/** Answers every later stream. */
const answer = (handler: StreamHandler): void => {
  forwarder.server
    .removeAllListeners('stream')
    .on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on('error', () => undefined);
      handler(stream, headers);
    });
};
beforeEach(() => answer((stream) => stream.respond({ ':status': 204 }, { endStream: true })));

interface Answered {
  readonly headers: IncomingHttpHeaders & { readonly ':status'?: number };
  readonly body: string;
  readonly trailers: IncomingHttpHeaders;
}

/** One stream with prior knowledge, over the socket or the port. */
async function ask(
  headers: Readonly<Record<string, string>>,
  {
    over = 'socket',
    body,
    use,
  }: { over?: 'socket' | 'port'; body?: Buffer; use?: (stream: ClientHttp2Stream) => void } = {},
): Promise<Answered> {
  const session = connect('http://localhost', {
    createConnection: () =>
      over === 'socket' ? connectSocket(forwarder.socketPath) : connectSocket(forwarder.port, '127.0.0.1'),
  });
  try {
    const stream = session.request(
      { ':authority': 'localhost', ...headers },
      { endStream: body === undefined && !use },
    );
    let trailers: IncomingHttpHeaders = {};
    stream.once('trailers', (received) => (trailers = received));
    const answered = new Promise<IncomingHttpHeaders>((resolve, reject) => {
      stream.once('response', resolve).once('error', reject);
    });
    if (use === undefined) stream.end(body);
    else use(stream);
    const received = await answered;
    const closed = new Promise((resolve) => stream.once('close', resolve));
    const text = (await bytesOf(stream)).toString();
    await closed;
    return { headers: received, body: text, trailers };
  } finally {
    session.close();
  }
}

const grpc = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };

describe('the forwarder: HTTP/2 with prior knowledge', () => {
  it('outlives a client that resets its stream before the upstream asks for the body', async () => {
    const arrived = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    answer((stream) => {
      arrived.resolve();
      setTimeout(() => {
        if (!stream.destroyed && !stream.closed) stream.additionalHeaders({ ':status': 100 });
        asked.resolve();
      }, 300);
    });
    const session = connect('http://localhost', { createConnection: () => connectSocket(forwarder.socketPath) });
    const headers = { ':authority': 'localhost', ':method': 'POST', ':path': '/', expect: '100-continue' };
    const stream = session.request(headers, { endStream: false }).on('error', () => undefined);
    stream.write(Buffer.alloc(8 * 2 ** 20));
    // Reset earlier, the stream would never reach the upstream.
    await arrived.promise;
    stream.close(constants.NGHTTP2_NO_ERROR);
    await asked.promise;
    await new Promise((resolve) => setTimeout(resolve, 200));
    session.destroy();
    answer((next) => next.respond({ ':status': 204 }, { endStream: true }));
    expect((await ask({ ':path': '/' })).headers[':status']).toBe(204);
  });

  it('passes a call of gRPC with its trailers, and adds the token', async () => {
    const seen: IncomingHttpHeaders[] = [];
    answer((stream, headers) => {
      seen.push(headers);
      stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-sum': '3' }));
      stream.pipe(stream);
    });
    const sent = { ...grpc, ':path': '/acme.Shop/Buy', authorization: 'Bearer mine', 'x-forwarded-for': '1.2.3.4' };
    const { headers, body, trailers } = await ask(sent, { body: Buffer.from('abc') });
    expect([headers[':status'], body, trailers['grpc-status'], trailers['x-sum']]).toEqual([200, 'abc', '0', '3']);
    expect(seen).toMatchObject([
      {
        ':path': '/acme.Shop/Buy',
        ':authority': 'tools.acme.test',
        ':scheme': 'https',
        te: 'trailers',
        authorization: 'Bearer token-0',
      },
    ]);
    expect(seen[0]).not.toHaveProperty('x-forwarded-for');
    expect(forwarder.told).toHaveLength(1);
  });

  it.each<['socket' | 'port', string]>([
    ['port', '/.well-known/agent-card.json'],
    ['socket', '/.well-known/agent-card.json'],
    ['port', '/team/.well-known/agent.json?v=1'],
  ])('leads the URLs in the card of an agent to the local address, over the %s: %s', async (over, path) => {
    const seen: unknown[] = [];
    const card = {
      name: 'é',
      url: `${RESOURCE}/a2a`,
      supportedInterfaces: [{ url: `${RESOURCE}/rest` }, { url: 'x' }],
    };
    answer((stream, headers) => {
      seen.push(headers['accept-encoding']);
      const body = Buffer.from(JSON.stringify(card));
      stream.respond(
        { 'content-type': 'application/json', 'content-length': body.length, etag: '"1"' },
        { waitForTrailers: true },
      );
      stream.once('wantTrailers', () => stream.sendTrailers({ 'x-sum': '3' }));
      stream.end(body);
    });
    const at = over === 'port' ? `127.0.0.1:${forwarder.port}` : 'localhost';
    const prefix = over === 'port' ? forwarder.prefix : '';
    const { headers, body, trailers } = await ask(
      { ':path': `${prefix}${path}`, ':authority': at, 'accept-encoding': 'gzip' },
      { over },
    );
    expect(JSON.parse(body)).toEqual({
      name: 'é',
      url: `http://${at}${prefix}/a2a`,
      supportedInterfaces: [{ url: `http://${at}${prefix}/rest` }, { url: 'x' }],
    });
    expect([headers[':status'], headers['content-length'], headers.etag]).toEqual([200, undefined, undefined]);
    expect([seen, trailers['x-sum']]).toEqual([[undefined], '3']);
  });

  it.each<[what: string, path: string, headers: Readonly<Record<string, string>>]>([
    ['another file', '/v1/agent-card.json', { 'content-type': 'application/json' }],
    ['another type', '/.well-known/agent-card.json', { 'content-type': 'text/plain' }],
    [
      'an encoded body',
      '/.well-known/agent-card.json',
      { 'content-type': 'application/json', 'content-encoding': 'x' },
    ],
  ])('passes on unchanged what is no card of an agent: %s', async (_what, path, headers) => {
    const card = JSON.stringify({ url: `${RESOURCE}/a2a` });
    answer((stream) => {
      stream.respond({ ...headers, 'content-length': card.length });
      stream.end(card);
    });
    const { body, headers: received } = await ask({ ':path': path });
    expect([body, received['content-length']]).toEqual([card, String(card.length)]);
  });

  it('rewrites the address in the endpoint event of MCP, and passes later events as they come', async () => {
    answer((stream) => {
      stream.respond({ 'content-type': 'text/event-stream' });
      stream.write('event: endpoint\ndata: /messages?session=1\n\n');
      stream.end('data: /messages\n\n');
    });
    const at = { ':path': `${forwarder.prefix}/sse`, ':authority': `127.0.0.1:${forwarder.port}` };
    const { body } = await ask(at, { over: 'port' });
    expect(body).toBe(`event: endpoint\ndata: ${forwarder.prefix}/messages?session=1\n\ndata: /messages\n\n`);
  });

  it('passes an answer of trailers alone, and each message of a stream as it comes', async () => {
    answer((stream) => stream.respond({ 'grpc-status': '5' }, { endStream: true }));
    expect((await ask({ ...grpc, ':path': '/a/B' }, { body: Buffer.from('x') })).headers['grpc-status']).toBe('5');
    answer((stream) => {
      stream.respond({ ':status': 200 });
      stream.on('data', (chunk: Buffer) => stream.write(`<${chunk.toString()}>`)).once('end', () => stream.end());
    });
    let step = 0;
    const { body } = await ask(
      { ...grpc, ':path': '/a/B' },
      {
        use: (stream) => {
          stream.write('0');
          stream.on('data', () => (step < 2 ? stream.write(String((step += 1))) : stream.end()));
        },
      },
    );
    expect(body).toBe('<0><1><2>');
  });

  it('is guarded on TCP like HTTP/1.1', async () => {
    const local = { ':authority': `127.0.0.1:${forwarder.port}` };
    const tried = [
      { ...local, ':path': '/v1' },
      { ':authority': 'evil.test', ':path': `${forwarder.prefix}/v1` },
      { ...local, ':path': `${forwarder.prefix}/v1`, origin: 'https://evil.test' },
      { ...local, ':path': `${forwarder.prefix}/v1` },
    ];
    const statuses = [];
    for (const headers of tried) statuses.push((await ask(headers, { over: 'port' })).headers[':status']);
    expect(statuses).toEqual([404, 421, 403, 204]);
  });

  it('passes a reset on in both directions', async () => {
    answer((stream) => {
      stream.respond({ ':status': 200 });
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
    await expect(ask({ ':path': '/x' })).rejects.toThrow('NGHTTP2_ENHANCE_YOUR_CALM');
    const reset = new Promise<number | undefined>((resolve) =>
      answer((stream) => {
        stream.once('close', () => resolve(stream.rstCode)).on('error', () => undefined);
        stream.respond({ ':status': 200 });
        stream.write('first');
      }),
    );
    const stopped = ask(
      { ...grpc, ':path': '/x' },
      { use: (stream) => void stream.once('data', () => stream.close(constants.NGHTTP2_CANCEL)) },
    );
    await stopped.catch(() => undefined);
    expect(await reset).toBe(constants.NGHTTP2_CANCEL);
  });

  it('answers gRPC in the terms of gRPC if the task is over, and others with JSON', async () => {
    const other = await startForwarder(folder());
    other.keep({ current: async () => issuerProblem('task_ended', 'the task is already revoked') });
    const before = forwarder;
    forwarder = other;
    try {
      const { headers } = await ask({ ...grpc, ':path': '/a/B' }, { body: Buffer.from('x') });
      expect([headers[':status'], headers['grpc-status'], headers['grpc-message']]).toEqual([
        200,
        '7',
        encodeURIComponent(
          'there is no token of the task any more: the task is already revoked. Stop this task. Do not repeat the call, and do not declare the task again.',
        ),
      ]);
      // A description that is cut within a character.
      other.keep({ current: async () => issuerProblem('unreachable', `${'x'.repeat(499)}\u{1F600}`) });
      const cut = await ask({ ...grpc, ':path': '/a/B' }, { body: Buffer.from('x') });
      expect([cut.headers['grpc-status'], cut.headers['grpc-message']]).toEqual(['14', expect.stringContaining('xxx')]);
      other.keep({ current: async () => issuerProblem('task_ended', 'the task is already revoked') });
      const plain = await ask({ ':path': '/v1' });
      expect([plain.headers[':status'], JSON.parse(plain.body)]).toEqual([
        403,
        expect.objectContaining({ next: 'stop' }),
      ]);
    } finally {
      forwarder = before;
      await other.close();
    }
  });

  it('outlives clients and upstreams that reset at any time', async () => {
    const other = await startForwarder(folder());
    const before = forwarder;
    forwarder = other;
    const bound = await other.rotate();
    try {
      // The client resets while the token is awaited.
      const asked = Promise.withResolvers<void>();
      const given = Promise.withResolvers<void>();
      other.keep({
        current: async () => {
          asked.resolve();
          await given.promise;
          return credentialOf('late', bound);
        },
      });
      const reset = ask(
        { ':path': '/x' },
        { use: (stream) => void asked.promise.then(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR)) },
      );
      await reset.catch(() => undefined);
      given.resolve();
      answer((stream) => {
        stream.respond({ ':status': 200, 'set-cookie': ['a=1', 'b=2'] }, { waitForTrailers: true });
        stream.once('wantTrailers', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
        stream.end('x');
      });
      await ask({ ':path': '/x' }).catch(() => undefined);
      answer((stream) => stream.session?.destroy());
      await ask({ ':path': '/x' }).catch(() => undefined);
      answer((stream) => stream.respond({ ':status': 200 }, { endStream: true }));
      expect((await ask({ ':path': '/x' })).headers[':status']).toBe(200);
    } finally {
      forwarder = before;
      await other.close();
    }
  });

  it('opens a new session with the new certificate after a rotation; a stream under way goes on', async () => {
    const peers = new Set<string>();
    const finish = Promise.withResolvers<void>();
    answer((stream, headers) => {
      const { socket } = stream.session ?? {};
      peers.add((socket as TLSSocket).getPeerX509Certificate()?.fingerprint256 ?? '');
      if (headers[':path'] !== '/long') return stream.respond({ ':status': 204 }, { endStream: true });
      stream.respond({ ':status': 200 });
      stream.write('first');
      void finish.promise.then(() => stream.end('last'));
    });
    const begun = Promise.withResolvers<void>();
    const long = ask({ ':path': '/long' }, { use: (stream) => void stream.once('data', () => begun.resolve()).end() });
    await begun.promise;
    await forwarder.rotate();
    expect((await ask({ ':path': '/x' })).headers[':status']).toBe(204);
    expect(peers.size).toBe(2);
    finish.resolve();
    expect((await long).headers[':status']).toBe(200);
  });

  it('gets another token after a refusal, and answers 403 without a challenge', async () => {
    const other = await startForwarder(folder());
    const before = forwarder;
    forwarder = other;
    const bound = await other.rotate();
    let token = 'old';
    other.keep({
      current: async () => credentialOf(token, bound),
      another: async () => credentialOf((token = 'new'), bound),
    });
    try {
      answer((stream, headers) => {
        const isNew = headers.authorization === 'Bearer new';
        stream.respond({ ':status': isNew ? 200 : 401, 'www-authenticate': 'Bearer' }, { endStream: true });
      });
      const [first, second] = [await ask({ ':path': '/x' }), await ask({ ':path': '/x' })];
      expect([first.headers[':status'], first.headers['www-authenticate'], second.headers[':status']]).toEqual([
        403,
        undefined,
        200,
      ]);
    } finally {
      forwarder = before;
      await other.close();
    }
  });
});
