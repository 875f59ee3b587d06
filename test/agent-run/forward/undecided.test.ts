import { request as requestHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { issuerProblem } from '../../../src/agent-run/issuer-problem.ts';
import { scratch } from '../../builders/scratch.ts';
import { bytesOf, type ForwarderUnderTest, startForwarder } from './upstream.ts';

const { folder, remove } = scratch();
let forwarder: ForwarderUnderTest;
beforeAll(async () => {
  forwarder = await startForwarder(folder());
});
afterAll(async () => {
  await forwarder.close();
  remove();
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
