import { describe, expect, it } from '@jest/globals';
import type { JsonRpcMessage } from '../../../../src/core/action/json-rpc.ts';
import { mcpReadingProblem } from '../../../../src/core/action/mcp/mcp-cross-check.ts';
import type { McpReading, McpScalar } from '../../../../src/core/action/mcp/mcp-reading.ts';

type Members = Readonly<Record<string, McpScalar>>;

const reading = (
  envelope: Members,
  more: { readonly params?: Members; readonly ref?: Members } & Partial<
    Pick<McpReading, 'isMcp' | 'isCut' | 'fault'>
  > = {},
): McpReading => {
  const { params = {}, ref = {}, ...rest } = more;
  return {
    isMcp: true,
    isCut: false,
    fault: null,
    envelope: new Map(Object.entries(envelope)),
    params: new Map(Object.entries(params)),
    ref: new Map(Object.entries(ref)),
    ...rest,
  };
};

const call = (method: string, params: object = {}, id: string | number | null = 1): JsonRpcMessage => ({
  kind: 'call',
  method,
  id,
  params: new Map(Object.entries(params)),
});
const tool = call('tools/call', { name: 'read', arguments: { name: 'x' } });
const head = { jsonrpc: '2.0', method: 'tools/call', id: 1 };

describe('mcpReadingProblem lets pass', () => {
  it.each<[string, readonly McpReading[], JsonRpcMessage | null]>([
    ['a message that no filter read', [], tool],
    ['the same in all that was read', [reading(head, { params: { name: 'read' } })], tool],
    ['a filter that reads no params', [reading(head)], tool],
    ['two readings that agree', [reading(head, { params: { name: 'read' } }), reading(head)], tool],
    ['an id that is text', [reading({ ...head, id: 'a' })], call('tools/call', {}, 'a')],
    ['the largest id', [reading({ ...head, id: 2 ** 53 - 1 })], call('tools/call', {}, Number.MAX_SAFE_INTEGER)],
    ['minus zero for zero', [reading({ ...head, id: -0 })], call('tools/call', {}, 0)],
    ['a notification', [reading({ method: 'notifications/initialized' })], call('notifications/initialized', {}, null)],
    ['an answer', [reading({ method: '__jsonrpc_response', id: 7 })], { kind: 'answer', id: 7, of: { result: {} } }],
    [
      'a reference',
      [reading({ ...head, method: 'completion/complete' }, { ref: { type: 'ref/prompt', name: 'p' } })],
      call('completion/complete', { ref: { type: 'ref/prompt', name: 'p' } }),
    ],
    ['a stream nothing was read of', [reading({})], null],
  ])('%s', (_name, readings, message) => {
    expect(mcpReadingProblem(readings, message)).toBeNull();
  });
});

const another = (what: string) => `request.not-canonical: the MCP filter of the proxy read another \`${what}\``;

describe('mcpReadingProblem denies', () => {
  it.each<[string, readonly McpReading[], JsonRpcMessage | null, string]>([
    [
      'what the filter does not take for MCP',
      [reading(head, { isMcp: false })],
      tool,
      'request.not-canonical: the MCP filter of the proxy does not recognise the request as MCP',
    ],
    [
      'what it did not read to the end',
      [reading(head, { isCut: true, fault: 'mcp_body_too_large' })],
      tool,
      'request.body-incomplete: the MCP filter of the proxy did not read the whole message',
    ],
    [
      'what it found a fault in',
      [reading(head, { fault: 'mcp_duplicate_keys' })],
      tool,
      'request.not-canonical: the MCP filter of the proxy found `mcp_duplicate_keys`',
    ],
    ['another method', [reading({ ...head, method: 'ping' })], tool, another('method')],
    ['no method', [reading({ jsonrpc: '2.0', id: 1 })], tool, another('method')],
    ['another id', [reading({ ...head, id: 2 })], tool, another('id')],
    ['an id of another type', [reading({ ...head, id: '1' })], tool, another('id')],
    ['no id', [reading({ method: 'tools/call' })], tool, another('id')],
    ['an id of a notification', [reading(head)], call('tools/call', {}, null), another('id')],
    ['another name', [reading(head, { params: { name: 'drop' } })], tool, another('params.name')],
    ['a name in other case', [reading(head, { params: { name: 'Read' } })], tool, another('params.name')],
    [
      'a name if there is none',
      [reading({ ...head, method: 'ping' }, { params: { name: 'a' } })],
      call('ping'),
      another('params.name'),
    ],
    [
      'another uri',
      [reading({ ...head, method: 'resources/read' }, { params: { uri: 'b' } })],
      call('resources/read', { uri: 'a' }),
      another('params.uri'),
    ],
    [
      'another reference',
      [reading({ ...head, method: 'completion/complete' }, { ref: { name: 'q' } })],
      call('completion/complete', { ref: { name: 'p' } }),
      another('params.ref.name'),
    ],
    [
      'a member named as the prototype has it',
      [reading(head, { params: { constructor: 'x' } })],
      tool,
      another('params.constructor'),
    ],
    [
      'the second of two readings',
      [reading(head, { params: { name: 'read' } }), reading(head, { params: { name: 'drop' } })],
      tool,
      another('params.name'),
    ],
    [
      'a call for an answer',
      [reading({ method: 'ping', id: 7 })],
      { kind: 'answer', id: 7, of: { result: {} } },
      another('method'),
    ],
    [
      'a call that has the name of an answer',
      [reading({ method: '__jsonrpc_response', id: 1 })],
      call('__jsonrpc_response'),
      another('method'),
    ],
    [
      'a message if there is none',
      [reading(head)],
      null,
      'request.not-canonical: the MCP filter of the proxy read a message where there is none',
    ],
    [
      'a stream it does not take for MCP',
      [reading({}, { isMcp: false })],
      null,
      'request.not-canonical: the MCP filter of the proxy does not recognise the request as MCP',
    ],
  ])('%s', (_name, readings, message, expected) => {
    const problem = mcpReadingProblem(readings, message);
    expect(`${problem?.reason}: ${problem?.detail}`).toBe(expected);
  });
});
