import { once } from 'node:events';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { connect, type ServerHttp2Stream } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MAX_LIST_BYTES } from '../../../../src/agent/forward/listing/whole-list.ts';
import type { DenialStyle } from '../../../../src/core/action/denial-style.ts';
import type { ListedTools } from '../../../../src/agent/task/listed-tools.ts';
import { testFolders } from '../../../builders/test-folders.ts';
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

const folder = testFolders(() => forwarder.close());
let forwarder: ForwarderUnderTest;
/** What the tools of the task are, from now on. */
let listed: () => Promise<ListedTools | null>;
/** How the upstream answers denied calls, from now on. */
let denials: DenialStyle | null;
beforeAll(async () => {
  forwarder = await startForwarder(folder(), { listed: () => listed(), denials: () => denials });
});
beforeEach(() => {
  denials = null;
  listed = async () => tools;
});

interface Sent {
  /** `null`: none. */
  readonly type?: string | null;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
}

const headersOf = ({ type = 'application/json', body, headers = {} }: Sent): Record<string, string> => ({
  ...(type === null ? {} : { 'content-type': type }),
  'content-length': String(Buffer.byteLength(body)),
  ...headers,
});

interface Got {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** How it is asked. */
interface Asking {
  readonly method?: string;
  readonly accept?: string;
}

const requestHeaders = ({ method = 'POST', accept }: Asking): Record<string, string> => ({
  ...(method === 'POST' ? { 'content-type': 'application/json' } : {}),
  ...(accept === undefined ? {} : { accept }),
});

/** Asks over HTTP/1.1; the upstream answers as `sent`. */
async function overHttp1(body: string, sent: Sent, asking: Asking = {}): Promise<Got> {
  const { method = 'POST' } = asking;
  forwarder.answer((request, response) => {
    void bytesOf(request).then(() => response.writeHead(sent.status ?? 200, headersOf(sent)).end(sent.body));
  });
  const asked = requestHttp(`${forwarder.url}/mcp`, {
    method,
    agent: false,
    headers: requestHeaders(asking),
  });
  asked.end(method === 'POST' ? body : undefined);
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: (await bytesOf(answer)).toString() };
}

/** The same over HTTP/2. */
async function overHttp2(body: string, sent: Sent, asking: Asking = {}): Promise<Got> {
  const { method = 'POST' } = asking;
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
      ...requestHeaders(asking),
    });
    stream.end(method === 'POST' ? body : undefined);
    const [headers] = (await once(stream, 'response')) as [Record<string, string> & { ':status': number }];
    return { status: headers[':status'], headers, body: (await bytesOf(stream)).toString() };
  } finally {
    session.close();
  }
}

/** How a client opens its stream. */
const STREAM: Asking = { method: 'GET', accept: 'text/event-stream' };
const EVENTS = 'text/event-stream';
/** The answer to a call that cannot be read. */
const UNREADABLE_CALL = {
  jsonrpc: '2.0',
  id: 1,
  result: expect.objectContaining({
    isError: true,
    content: [{ type: 'text', text: expect.stringContaining('cannot be read') }],
  }),
};

/** A list, compressed twice, whose inner form has a comment of 80 MiB. */
function longInner(): Buffer {
  const inner = gzipSync(list('a', 'b'));
  const HAS_COMMENT = 0x10;
  inner[3] = HAS_COMMENT;
  return gzipSync(
    Buffer.concat([inner.subarray(0, 10), Buffer.alloc(80 * 1_048_576, 'x'), Buffer.alloc(1), inner.subarray(10)]),
  );
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
    const { body } = await ask('', { type, body: `${changed}data: ${list('b', 'a')}\n\n` }, STREAM);
    expect(body).toBe(`${changed}data: ${list('a')}\n\n`);
  });

  it.each<[string, string, Sent]>([
    ['another status of success', LIST, { body: list('a', 'b'), status: 203 }],
    ['a status that has no list', LIST, { body: list('a', 'b'), status: 202 }],
    ['the answer to a call', CALL, { body: list('a', 'b') }],
    [
      'the answer to a call, compressed',
      CALL,
      { body: gzipSync(list('a', 'b')), headers: { 'content-encoding': 'gzip' } },
    ],
    ['an answer without a type', CALL, { body: list('a', 'b'), type: null }],
    ['an answer with another type', LIST, { body: list('a', 'b'), type: 'text/plain' }],
    ['an answer to an escaped method', LIST.replace('/', String.raw`\/`), { body: list('a', 'b') }],
    [
      'an answer to a longer request than is kept',
      LIST.replace('}', `,"params":{"x":"${'x'.repeat(70_000)}"}}`),
      { body: list('a', 'b') },
    ],
  ])('show the tools of the task alone in %s', async (_what, body, sent) => {
    const got = await ask(body, sent);
    expect([got.status, got.body, got.headers['content-encoding']]).toEqual([sent.status ?? 200, list('a'), undefined]);
  });

  const events = `data: ${list('b', 'a')}\n\n`;
  it.each<[string, string, Sent, Asking]>([
    ['the answer to a call', CALL, { body: events, type: EVENTS }, {}],
    ['a type in other words', CALL, { body: events, type: 'x; Text/Event-Stream' }, {}],
    [
      'a stream that is compressed',
      '',
      { body: gzipSync(events), type: EVENTS, headers: { 'content-encoding': 'gzip' } },
      STREAM,
    ],
    ['a stream with another type', '', { body: events, type: 'text/plain' }, STREAM],
    ['a stream without a type', '', { body: events, type: null }, { method: 'GET' }],
    ['a stream that nobody asked for by its type', '', { body: events, type: EVENTS }, { method: 'GET' }],
  ])('show the tools of the task alone in events: %s', async (_what, body, sent, asking) => {
    expect((await ask(body, sent, asking)).body).toBe(`data: ${list('a')}\n\n`);
  });

  it('do not pass in an event of the answer to a call that cannot be read', async () => {
    const unreadable = `data: ${list('b').replace('"id":1', '"id":NaN')}\n\n`;
    const { body } = await ask(CALL, { body: `${unreadable}data: {}\n\n`, type: EVENTS });
    const [message = '', ...rest] = body.split('\n\n');
    expect([JSON.parse(message.replace(/^data: /, '')), rest]).toEqual([UNREADABLE_CALL, ['data: {}', '']]);
  });

  it('are read behind two encodings, and not behind more', async () => {
    const twice = { body: gzipSync(brotliCompressSync(list('a', 'b'))), headers: { 'content-encoding': 'br, gzip' } };
    expect((await ask(LIST, twice)).body).toBe(list('a'));
    const more = { body: gzipSync(gzipSync(twice.body)), headers: { 'content-encoding': 'br, gzip, gzip, gzip' } };
    expect(JSON.parse((await ask(LIST, more)).body)).toEqual(UNREADABLE);
    expect(JSON.parse((await ask(CALL, more)).body)).toEqual(UNREADABLE_CALL);
    denials = 'text';
    expect(JSON.parse((await ask(CALL, more)).body)).toMatchObject({ id: 1, result: { isError: false } });
  });

  it('end if the inner one of two encodings has too many bytes', async () => {
    await expect(ask(CALL, { body: longInner(), headers: { 'content-encoding': 'gzip, gzip' } })).rejects.toThrow();
  });

  it('pass in an encoding that is not known if nothing is hidden', async () => {
    listed = async () => null;
    const sent = { body: 'b\u0000', headers: { 'content-encoding': 'x-new', etag: '"x"' } };
    const { body, headers } = await ask(CALL, sent);
    expect([body, headers['content-encoding'], headers['content-length'], headers['etag']]).toEqual([
      'b\u0000',
      'x-new',
      '2',
      '"x"',
    ]);
  });

  it('are shown although the tools of the task are known later than the answer', async () => {
    listed = async () => {
      await delay(100);
      return tools;
    };
    expect((await ask(CALL, { body: list('a', 'b') })).body).toBe(list('a'));
  });

  const long = 'x'.repeat(MAX_LIST_BYTES);
  it('do not pass in a longer answer to a call than is held', async () => {
    const start = { body: `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"x":"${long}"}}` };
    expect(JSON.parse((await ask(CALL, start)).body)).toEqual(UNREADABLE_CALL);
    const end = { body: `{"jsonrpc":"2.0","id":1,"result":{"x":"${long}${long}","tools":[]}}` };
    await expect(ask(CALL, end)).rejects.toThrow();
  });

  it('leave a long answer to a call as it is', async () => {
    const body = `{"jsonrpc":"2.0","id":1,"result":{"content":[],"x":"${long}"}}`;
    const got = await ask(CALL, { body });
    expect([got.body === body, got.headers['content-length']]).toEqual([true, String(body.length)]);
  });

  const called = '{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"tools":[1.0]}}} ';
  it.each<[string, string, Sent, Asking?]>([
    ['the answer to a call', CALL, { body: called }],
    ['an answer with another status', LIST, { status: 500, body: `${list('a', 'b')} ` }],
    ['an answer to what is no JSON-RPC', '{"model":"x"}', { body: `${list('a', 'b')} ` }],
    ['an answer that is no JSON', CALL, { body: `${list('a', 'b')} `, type: 'application/octet-stream' }],
    ['a document', '', { body: `${list('a', 'b')} ` }, { method: 'GET', accept: 'application/json' }],
    ['no content', CALL, { status: 202, body: '', type: null }],
  ])('leave %s as it is', async (_what, body, sent, asking = {}) => {
    const headers = { etag: '"x"' };
    const got = await ask(body, { ...sent, headers }, asking);
    expect([got.status, got.body, got.headers['content-length'], got.headers['etag']]).toEqual([
      sent.status ?? 200,
      String(sent.body),
      String(sent.body.length),
      '"x"',
    ]);
  });

  it('leave a compressed answer to a call as it is but for its encoding', async () => {
    const sent = { body: gzipSync(called), headers: { 'content-encoding': 'gzip', etag: '"x"' } };
    const { body, headers } = await ask(CALL, sent);
    expect([body, headers['content-encoding'], headers['content-length'], headers['etag']]).toEqual([
      called,
      undefined,
      undefined,
      '"x"',
    ]);
  });
});
