import { request as requestHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { DenialStyle } from '../../../src/core/action/denial-style.ts';
import { issuerProblem } from '../../../src/agent/task/issuer-problem.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { bytesOf, type ForwarderUnderTest, startForwarder } from './upstream.ts';

const folder = testFolders(() => forwarder.close());
let forwarder: ForwarderUnderTest;
/** How the upstream answers denied calls. */
let denials: DenialStyle | null = null;
beforeAll(async () => {
  forwarder = await startForwarder(folder(), { denials: () => denials });
});
afterEach(() => {
  denials = null;
});

const MARKED = { 'x-remit-decision': 'deny;reason=envoy.no-decision', 'retry-after': '0' };

/** Refuses so many requests; gives the bodies of all that arrive. */
function refusing(count: number, headers: Record<string, string> = MARKED, status = 503): string[] {
  const seen: string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    seen.push((await bytesOf(request)).toString().slice(0, 100));
    if (seen.length > count) response.end('done');
    else response.writeHead(status, headers).end('refused');
  };
  forwarder.answer((request, response) => void answer(request, response));
  return seen;
}

async function post(body: string, url = forwarder.url): Promise<readonly [number, string]> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = requestHttp(url, { method: 'POST', agent: false, headers });
    sent.once('response', resolve).once('error', reject).end(body);
  });
  return [answer.statusCode ?? 0, (await bytesOf(answer)).toString()];
}

const toolCall = JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'x' } });
const request = JSON.stringify({ jsonrpc: '2.0', id: 8, method: 'initialize' });

// Issue 37, point 19.
describe('the forwarder: a call that Envoy or Remit could not decide', () => {
  it.each([503, 429])('is sent again after a %d that they mark', async (status) => {
    const seen = refusing(2, MARKED, status);
    expect([await post('{"pay":1}'), seen]).toEqual([
      [200, 'done'],
      ['{"pay":1}', '{"pay":1}', '{"pay":1}'],
    ]);
  });

  it.each([
    ['without the mark: the server may have acted', { 'retry-after': '0' }],
    ['of an allowed call', { ...MARKED, 'x-remit-decision': 'allow;id="1"' }],
    ['without a time to wait', { 'x-remit-decision': MARKED['x-remit-decision'] }],
  ])('is not taken from a 503 %s', async (_name, headers) => {
    const seen = refusing(9, headers);
    expect([await post(toolCall), seen.length]).toEqual([[503, 'refused'], 1]);
  });

  it('is sent four times at most, and not if its body is too large to keep', async () => {
    const seen = refusing(9);
    expect([await post('{"pay":1}'), seen.length]).toEqual([[503, 'refused'], 4]);
    expect([await post(JSON.stringify('x'.repeat(70_000))), seen.length]).toEqual([[503, 'refused'], 5]);
  });

  it('is answered in JSON-RPC at the end, whose clients end their session at a 503', async () => {
    refusing(99);
    const told = [await post(toolCall), await post(request)].map(([status, text]) => [status, JSON.parse(text)]);
    const data = { reason: 'forward.no-decision', next: 'retry_later' };
    expect(told).toMatchObject([
      [200, { id: 7, result: { isError: true, _meta: { 'remit.dev/denial': data } } }],
      [200, { id: 8, error: { code: -32_010, data } }],
    ]);
    expect(await post('{"jsonrpc":"2.0","method":"notifications/initialized"}')).toEqual([202, '']);
  });

  it.each<[DenialStyle, number, object]>([
    ['text', 200, { result: { isError: false } }],
    ['error', 200, { error: { code: -32_010 } }],
    ['http', 503, { error: { code: -32_010 } }],
  ])('is answered as Remit denies with `denials: %s`', async (style, status, outcome) => {
    denials = style;
    refusing(99);
    const [given, text] = await post(toolCall);
    expect([given, JSON.parse(text)]).toMatchObject([status, { id: 7, ...outcome }]);
  });

  it('is answered so too for other faults of the forwarder', async () => {
    const other = await startForwarder(folder(), { connect: '127.0.0.1:1' });
    const [status, text] = await post(request, other.url);
    other.keep({ current: async () => issuerProblem('unreachable', 'no answer') });
    const [without, why] = await post(request, other.url);
    await other.close();
    expect([status, JSON.parse(text), without, JSON.parse(why)]).toMatchObject([
      200,
      { id: 8, error: { data: { reason: 'forward.upstream-unreachable' } } },
      200,
      { id: 8, error: { data: { reason: 'forward.no-token', next: 'retry_later' } } },
    ]);
  });
});

/** Refuses so many streams; gives the bodies of all that arrive, and the trailers of their requests. */
function refusingStreams(
  count: number,
  refusal: OutgoingHttpHeaders = { ':status': 503, ...MARKED },
): { readonly seen: string[]; readonly trailers: unknown[] } {
  const told: { seen: string[]; trailers: unknown[] } = { seen: [], trailers: [] };
  const answer = async (stream: ServerHttp2Stream): Promise<void> => {
    stream.on('error', () => undefined);
    stream.once('trailers', (headers: IncomingHttpHeaders) => told.trailers.push(headers['x-sum']));
    told.seen.push((await bytesOf(stream)).toString().slice(0, 100));
    stream.respond(told.seen.length > count ? { ':status': 200 } : refusal);
    stream.end(told.seen.length > count ? 'done' : 'refused');
  };
  forwarder.server.removeAllListeners('stream').on('stream', (stream: ServerHttp2Stream) => void answer(stream));
  return told;
}

async function streamed(
  body: string | null,
  headers: OutgoingHttpHeaders = {},
): Promise<readonly [number | undefined, string]> {
  const session = connect('http://localhost', { createConnection: () => connectSocket(forwarder.socketPath) });
  try {
    const method = body === null ? 'GET' : 'POST';
    const head = { ':method': method, ':authority': 'localhost', 'content-type': 'application/json', ...headers };
    const stream = session.request(head, { endStream: body === null, waitForTrailers: body !== null });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }));
    const answered = new Promise<IncomingHttpHeaders & { ':status'?: number }>((resolve, reject) => {
      stream.once('response', resolve).once('error', reject);
    });
    if (body !== null) stream.end(body);
    const { ':status': status } = await answered;
    return [status, (await bytesOf(stream)).toString()];
  } finally {
    session.close();
  }
}

// Issue 37, point 19.
describe('the forwarder, over HTTP/2: a call that Envoy or Remit could not decide', () => {
  it.each([503, 429])('is sent again after a %d that they mark, with its trailers', async (status) => {
    const { seen, trailers } = refusingStreams(2, { ':status': status, ...MARKED });
    expect([await streamed('{"pay":1}'), seen, trailers]).toEqual([
      [200, 'done'],
      ['{"pay":1}', '{"pay":1}', '{"pay":1}'],
      ['7', '7', '7'],
    ]);
  });

  it('is sent again without a body, and as gRPC says that it was not decided', async () => {
    const grpc = { 'content-type': 'application/grpc' };
    const unavailable = { ':status': 200, ...grpc, 'grpc-status': '14', ...MARKED };
    const plain = refusingStreams(1);
    expect([await streamed(null), plain.seen]).toEqual([
      [200, 'done'],
      ['', ''],
    ]);
    const { seen } = refusingStreams(1, unavailable);
    expect([await streamed('message', grpc), seen]).toEqual([
      [200, 'done'],
      ['message', 'message'],
    ]);
  });

  it.each([
    ['without the mark: the server may have acted', { ':status': 503, 'retry-after': '0' }],
    ['of an allowed call', { ':status': 503, ...MARKED, 'x-remit-decision': 'allow;id="1"' }],
    ['without a time to wait', { ':status': 503, 'x-remit-decision': MARKED['x-remit-decision'] }],
    ['of gRPC without the mark', { ':status': 200, 'grpc-status': '14', 'retry-after': '0' }],
  ])('is not taken from a refusal %s', async (_name, refusal) => {
    const { seen } = refusingStreams(9, refusal);
    expect([await streamed(toolCall), seen.length]).toEqual([[refusal[':status'], 'refused'], 1]);
  });

  it('is sent four times at most, and not if its body is too large to keep', async () => {
    const { seen } = refusingStreams(9);
    expect([await streamed('{"pay":1}'), seen.length]).toEqual([[503, 'refused'], 4]);
    expect([await streamed(JSON.stringify('x'.repeat(70_000))), seen.length]).toEqual([[503, 'refused'], 5]);
  });

  it('is answered as Remit denies with `denials: text`', async () => {
    denials = 'text';
    refusingStreams(99);
    const [status, text] = await streamed(toolCall);
    expect([status, JSON.parse(text)]).toMatchObject([200, { id: 7, result: { isError: false } }]);
  });

  it('is answered in JSON-RPC at the end', async () => {
    refusingStreams(99);
    const [status, text] = await streamed(toolCall);
    const data = { reason: 'forward.no-decision', next: 'retry_later' };
    expect([status, JSON.parse(text)]).toMatchObject([
      200,
      { id: 7, result: { isError: true, _meta: { 'remit.dev/denial': data } } },
    ]);
  });
});
