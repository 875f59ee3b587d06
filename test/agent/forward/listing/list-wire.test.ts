import { once } from 'node:events';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { connect, type ServerHttp2Stream } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ListedTools } from '../../../../src/agent/task/listed-tools.ts';
import { scratch } from '../../../builders/scratch.ts';
import { bytesOf, type ForwarderUnderTest, startForwarder } from '../upstream.ts';

const tools: ListedTools = { shown: new Map([['a', { limits: null }]]), hidden: null };
const list = (...names: readonly string[]): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools: names.map((name) => ({ name, inputSchema: {} })) } });
const LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"b"}}';
const UNREADABLE = {
  jsonrpc: '2.0',
  id: 1,
  error: { code: -32_010, message: expect.stringContaining('cannot be read'), data: expect.anything() },
};

const { folder, remove } = scratch();
let forwarder: ForwarderUnderTest;
beforeAll(async () => {
  forwarder = await startForwarder(folder(), { listed: async () => tools });
});
afterAll(async () => {
  await forwarder.close();
  remove();
});

interface Sent {
  readonly type?: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
}

const headersOf = ({ type = 'application/json', body, headers = {} }: Sent): Record<string, string> => ({
  'content-type': type,
  'content-length': String(Buffer.byteLength(body)),
  ...headers,
});

interface Got {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Asks over HTTP/1.1; the upstream answers as `sent`. */
async function overHttp1(body: string, sent: Sent, method = 'POST'): Promise<Got> {
  forwarder.answer((request, response) => {
    void bytesOf(request).then(() => response.writeHead(sent.status ?? 200, headersOf(sent)).end(sent.body));
  });
  const asked = requestHttp(`${forwarder.url}/mcp`, {
    method,
    agent: false,
    headers: method === 'POST' ? { 'content-type': 'application/json' } : {},
  });
  asked.end(method === 'POST' ? body : undefined);
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: (await bytesOf(answer)).toString() };
}

/** The same over HTTP/2. */
async function overHttp2(body: string, sent: Sent, method = 'POST'): Promise<Got> {
  forwarder.server.removeAllListeners('stream').on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => undefined);
    stream.resume().once('end', () => {
      stream.respond({ ':status': sent.status ?? 200, ...headersOf(sent) });
      stream.end(sent.body);
    });
  });
  const session = connect('http://localhost', { createConnection: () => connectSocket(forwarder.socketPath) });
  try {
    const stream = session.request({
      ':method': method,
      ':path': '/mcp',
      ':authority': 'localhost',
      ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
    });
    stream.end(method === 'POST' ? body : undefined);
    const [headers] = (await once(stream, 'response')) as [Record<string, string> & { ':status': number }];
    return { status: headers[':status'], headers, body: (await bytesOf(stream)).toString() };
  } finally {
    session.close();
  }
}

describe.each([
  ['HTTP/1.1', overHttp1],
  ['HTTP/2', overHttp2],
])('the forwarder, lists of tools over %s', (_name, ask) => {
  it('show the tools of the task alone, in JSON', async () => {
    const { headers, body } = await ask(LIST, { body: list('a', 'b'), headers: { etag: '"x"', 'x-other': 'y' } });
    expect(body).toBe(list('a'));
    expect([headers['content-length'], headers['etag'], headers['x-other']]).toEqual([undefined, undefined, 'y']);
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ])('are read if they are compressed with %s', async (encoding, compress) => {
    const sent = { body: compress(list('a', 'b')), headers: { 'content-encoding': encoding } };
    const { headers, body } = await ask(LIST, sent);
    expect([body, headers['content-encoding']]).toEqual([list('a'), undefined]);
  });

  it('do not pass in an encoding that is not known', async () => {
    const { body } = await ask(LIST, { body: 'b\u0000', headers: { 'content-encoding': 'x-new' } });
    expect(JSON.parse(body)).toEqual(UNREADABLE);
    const events = { type: 'text/event-stream', body: 'b\u0000', headers: { 'content-encoding': 'x-new' } };
    expect(JSON.parse((await ask(LIST, events)).body.replace(/^data: /, ''))).toEqual(UNREADABLE);
  });

  it('end if few bytes become too many, or are not what the headers say', async () => {
    const bomb = { body: gzipSync(Buffer.alloc(80 * 1_048_576)), headers: { 'content-encoding': 'gzip' } };
    await expect(ask(LIST, bomb)).rejects.toThrow();
    await expect(ask(LIST, { body: 'no gzip', headers: { 'content-encoding': 'gzip' } })).rejects.toThrow();
  });

  it('show the tools of the task alone, in events', async () => {
    const type = 'text/event-stream';
    const { body } = await ask(LIST, { type, body: `event: message\ndata: ${list('a', 'b')}\n\n` });
    expect(body).toBe(`event: message\ndata: ${list('a')}\n\n`);
  });

  it('show the tools of the task alone in the stream that a client keeps open', async () => {
    const type = 'text/event-stream';
    const changed = 'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n';
    const { body } = await ask('', { type, body: `${changed}data: ${list('b', 'a')}\n\n` }, 'GET');
    expect(body).toBe(`${changed}data: ${list('a')}\n\n`);
  });

  it.each<[string, string, Sent]>([
    ['the answer to a call', CALL, { body: `${list('a', 'b')} ` }],
    ['an answer with another status', LIST, { status: 500, body: `${list('a', 'b')} ` }],
  ])('leave %s as it is', async (_what, body, sent) => {
    const got = await ask(body, sent);
    expect([got.status, got.body, got.headers['content-length']]).toEqual([
      sent.status ?? 200,
      `${list('a', 'b')} `,
      String(list('a', 'b').length + 1),
    ]);
  });
});
