import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { actionFrom } from '../../../src/core/action/action.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { envoyVersions } from '../../parts/cache.ts';
import { answerWith, handlerOf, post, Wire } from './wire.ts';
import { mustCatalog } from '../../builders/catalog.ts';

const catalog = mustCatalog(
  `servers:
  tools:
    hosts: [api.test]
    audience: https://api.test
    mcp:
      path: /mcp
      tools:
        read: { action: tools.read, risk: low, args: { region: { header: Region }, text: {} } }
        drop: { action: tools.drop, risk: high }
      resources: { action: tools.resource, risk: low }
      prompts: { action: tools.prompt, risk: low, args: { city: {} } }
`,
);

type Version = (typeof envoyVersions)[number];

/** The outcome: the allowed action, the reason of Remit's denial, or the status of Envoy's own answer. */
type Outcome = string | number;

const message = (method: string, params: object, id: unknown = 1): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params });
const read = (args: object, more: object = {}): string =>
  message('tools/call', { name: 'read', arguments: args, ...more });
const LONG = 'x'.repeat(9_000);

/** The outcome for every version, or by the first version with that outcome. */
type Expected = Outcome | Readonly<Partial<Record<Version, Outcome>>>;

const POSTED: readonly (readonly [string, string, Expected])[] = [
  ['a tool', read({ text: 'x' }), 'tools.read'],
  ['an id that is text', message('tools/call', { name: 'drop' }, 'abc'), 'tools.drop'],
  ['the largest id', message('tools/call', { name: 'drop' }, Number.MAX_SAFE_INTEGER), 'tools.drop'],
  ['an id in another spelling', '{"jsonrpc":"2.0","id":1e2,"method":"ping"}', 'tools.mcp.session'],
  ['a method in another spelling', '{"jsonrpc":"2.0","id":1,"m\\u0065thod":"p\\u0069ng"}', 'tools.mcp.session'],
  [
    'members in another order',
    '{"params":{"arguments":{},"name":"drop"},"method":"tools/call","id":1,"jsonrpc":"2.0"}',
    'tools.drop',
  ],
  ['a notification', '{"jsonrpc":"2.0","method":"notifications/initialized"}', 'tools.mcp.session'],
  ['a resource', message('resources/read', { uri: 'file:///é' }), 'tools.resource'],
  [
    'a completion',
    message('completion/complete', { ref: { type: 'ref/prompt', name: 'p' }, argument: { name: 'city', value: 'R' } }),
    'tools.prompt',
  ],
  [
    'an opening',
    message('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'c', version: '1' } }),
    'tools.mcp.session',
  ],
  // Envoy 1.37.0 itself crashes on JSON that is not a JSON-RPC call.
  ['an answer', '{"jsonrpc":"2.0","id":7,"result":{}}', { '1.38.3': 'tools.mcp.session' }],
  ['a batch', `[${read({})}]`, { '1.38.3': 'request.unsupported' }],
  ['JSON that is not JSON-RPC', '{"a":1}', { '1.38.3': 'request.malformed' }],
  ['text that is not JSON', 'hello', { '1.37.0': 400, '1.40.0': 'request.malformed' }],
  // Here the versions read different tools: 1.37 stops at the first name, later ones read the last.
  [
    'a second name',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","name":"drop"}}',
    'request.malformed',
  ],
  [
    'a second method',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"},"method":"ping"}',
    'request.malformed',
  ],
  // A filter that reads a dot in a name as a path would read the tool `drop` here.
  [
    'a name that looks like a path to the name',
    read({}, { 'x.name': 'drop' }),
    { '1.37.0': 'action.arguments', '1.38.3': 'request.not-canonical', '1.40.0': 'action.arguments' },
  ],
  [
    'a number that the filter cannot read',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"n":1e999}}}',
    { '1.37.0': 'tools.read', '1.38.3': 400, '1.40.0': 'request.not-canonical' },
  ],
  [
    'a message longer than the filter reads, with its name before that',
    read({ text: LONG }),
    { '1.37.0': 'action.arguments', '1.39.3': 'request.body-incomplete' },
  ],
  [
    'a message longer than the filter reads, with its name after that',
    message('tools/call', { arguments: { text: LONG }, name: 'read' }),
    { '1.37.0': 400, '1.39.3': 'request.body-incomplete' },
  ],
];

const expectedOf = (expected: Expected, version: Version): Outcome | null => {
  if (typeof expected !== 'object') return expected;
  const known = envoyVersions.slice(0, envoyVersions.indexOf(version) + 1).toReversed();
  for (const one of known) if (expected[one] !== undefined) return expected[one];
  return null;
};

for (const version of envoyVersions.filter((one) => one !== '1.36.4')) {
  describeWith(envoyPart(version), `mcpActionFrom behind the MCP filter of Envoy ${version}`, (binary) => {
    let wire: Wire;
    let readings: readonly (number | null)[] = [];
    beforeAll(async () => {
      wire = await Wire.start(binary, ['mcp']);
    });
    afterAll(() => wire?.stop());
    beforeEach(() => {
      readings = [];
      wire.forwarded.length = 0;
      wire.handler = handlerOf(async (facts) => {
        if (isDeny(facts)) return answerWith({ decision: facts });
        readings = [...readings, facts.call.mcpReadings?.length ?? null];
        const action = actionFrom(facts.call, catalog);
        return isDeny(action)
          ? answerWith({ decision: action })
          : answerWith({ decision: { kind: 'allow', policyIds: [], observed: null }, taskId: action.id });
      });
    });

    async function outcome(head: readonly string[], body?: string): Promise<Outcome> {
      const { status, headers } = await wire.to('mcp', head, body);
      const reason = /^deny;reason=([^;]+);/.exec(headers.get('x-remit-decision') ?? '')?.[1];
      if (reason !== undefined) return reason;
      const task = wire.forwarded[0]?.headers.find(([name]) => name === 'x-remit-task')?.[1];
      return task ?? status;
    }

    const asked = ['content-type: application/json', 'accept: application/json, text/event-stream'];

    it.each(
      POSTED.flatMap(([name, body, expected]) => {
        const here = expectedOf(expected, version);
        return here === null ? [] : [[name, here, body] as const];
      }),
    )('%s: %s', async (_name, expected, body) => {
      expect(await outcome(post('/mcp', body, ...asked), body)).toBe(expected);
      expect(wire.forwarded).toHaveLength(String(expected).startsWith('tools.') ? 1 : 0);
    });

    it("gets the filter's reading", async () => {
      const body = read({});
      await outcome(post('/mcp', body, ...asked), body);
      expect(readings).toEqual([1]);
    });

    it('uses its own reading if the filter ignores a request, as without `accept`', async () => {
      const body = read({});
      expect(await outcome(post('/mcp', body, 'content-type: application/json'), body)).toBe('tools.read');
      expect(readings).toEqual([null]);
    });

    it.each([
      ['GET', 'accept: text/event-stream'],
      ['DELETE', 'mcp-session-id: s'],
    ])('%s has no message, and the filter has none either', async (method, header) => {
      const head = [`${method} /mcp HTTP/1.1`, 'host: api.test', header];
      expect(await outcome(head)).toBe('tools.mcp.session');
      expect(readings).toEqual([null]);
    });

    it.each([
      ['a header that mirrors its argument', 'Mcp-Param-Region: eu', 'tools.read'],
      ['the same in Base64', 'mcp-param-region: =?base64?ZXU=?=', 'tools.read'],
      ['another region in the header', 'Mcp-Param-Region: us', 'request.not-canonical'],
      ['two of them', 'Mcp-Param-Region: eu\r\nMcp-Param-Region: eu', 'request.not-canonical'],
      ['a header for no argument', 'Mcp-Param-Tenant: a', 'request.not-canonical'],
      [
        'no header, of a revision that has them',
        'mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call',
        'request.malformed',
      ],
    ])('%s', async (_name, header, expected) => {
      const body = read({ region: 'eu' });
      expect(await outcome(post('/mcp', body, ...asked, header), body)).toBe(expected);
    });
  });
}
