import { describe, expect, it } from '@jest/globals';
import {
  type AskMcp,
  type McpReply,
  type McpRequest,
  serverTools,
} from '../../../../src/core/action/mcp/server-tools.ts';
import { isObject } from '../../../../src/core/runtime/fields.ts';

/** An answer: the outcome of a JSON-RPC request, or what differs from status 200 with JSON. */
type Answer = (
  page: number,
) => { readonly result: object } | { readonly error: object } | { readonly reply: Partial<McpReply> };

/** A server that answers requests for lists as `answer` says, by the number of the request, and has no `initialize`. */
function serverOf(answer: Answer): { readonly ask: AskMcp; readonly asked: () => number } {
  let asked = 0;
  const ask = async ({ message }: McpRequest): Promise<McpReply> => {
    const { id, method } = isObject(message) ? message : {};
    const json = { 'content-type': 'application/json' };
    if (method !== 'tools/list') return { status: 400, headers: json, body: '' };
    asked += 1;
    const answered = answer(asked);
    const body = JSON.stringify({ jsonrpc: '2.0', id, ...answered });
    return { status: 200, headers: json, body, ...('reply' in answered ? answered.reply : {}) };
  };
  return { ask, asked: () => asked };
}

const events = { 'content-type': 'text/event-stream' };
const zeros = (count: number): readonly number[] => Array.from({ length: count }, () => 0);

describe('serverTools', () => {
  it('gives the tools of all pages', async () => {
    const { ask } = serverOf((page) => ({
      result: { tools: [{ name: `t${page}` }], ...(page < 3 ? { nextCursor: String(page) } : {}) },
    }));
    expect(await serverTools(ask)).toEqual([{ name: 't1' }, { name: 't2' }, { name: 't3' }]);
  });

  it('gives the tools of a result with any other members', async () => {
    const { ask } = serverOf(() => ({ result: { tools: [5], problem: 'nothing', isAnswered: false } }));
    expect(await serverTools(ask)).toEqual([5]);
  });

  it.each<[string, Answer, string]>([
    ['200,000 entries', () => ({ result: { tools: zeros(200_000) } }), 'the server lists more than 4096 tools'],
    [
      '5,000 tools on two pages',
      (page) => ({ result: { tools: zeros(2_500), nextCursor: String(page) } }),
      'the server lists more than 4096 tools',
    ],
    [
      'pages without end',
      (page) => ({ result: { tools: [], nextCursor: String(page) } }),
      'the server lists its tools in more than 64 pages',
    ],
    ['the same page', () => ({ result: { tools: [], nextCursor: '1' } }), 'the server gives the same page again'],
    ['no tools', () => ({ result: {} }), 'the answer to tools/list has no `tools`'],
    ['an error', () => ({ error: { code: -32_603 } }), 'the server answers with the error -32603'],
    ['an error of no code', () => ({ error: { code: [] } }), 'the server answers with the error of no code'],
    ['no JSON', () => ({ reply: { body: '<html>' } }), 'the answer is no JSON-RPC message'],
    ['status 404', () => ({ reply: { status: 404 } }), 'status 404'],
    [
      'events without end',
      () => ({ reply: { headers: events, body: 'data:\n\n'.repeat(100_000) } }),
      'an answer of more than 1024 events',
    ],
  ])('says that a server answered, if it answers with %s', async (_what, answer, problem) => {
    expect(await serverTools(serverOf(answer).ask)).toEqual({ problem, isAnswered: true });
  });

  it.each([429, 500, 502, 503])('says that a server was not reached, if it answers with status %i', async (status) => {
    expect(await serverTools(serverOf(() => ({ reply: { status } })).ask)).toEqual({
      problem: `status ${status}`,
      isAnswered: false,
    });
  });

  it.each<[string, string, Readonly<Record<string, string>>]>([
    ['a revision', '2025\r\nx: y', {}],
    ['a revision', '\u2028', {}],
    ['a revision', 'x'.repeat(8_193), {}],
    ['a session id', '2025-11-25', { 'mcp-session-id': 'a b' }],
    ['a session id', '2025-11-25', { 'mcp-session-id': '\u00e9' }],
  ])('says that a server answered, if it gives %s that no request can have: %j', async (what, revision, more) => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, result: { protocolVersion: revision } });
    const headers = { 'content-type': 'application/json', ...more };
    expect(await serverTools(async () => ({ status: 200, headers, body }))).toEqual({
      problem: `${what} that is not visible ASCII of at most 8,192 characters`,
      isAnswered: true,
    });
  });

  it('asks for 64 pages at most', async () => {
    const { ask, asked } = serverOf((page) => ({ result: { tools: [], nextCursor: String(page) } }));
    await serverTools(ask);
    expect(asked()).toBe(64);
  });
});
