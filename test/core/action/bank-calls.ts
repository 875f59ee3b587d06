import { actionFrom } from '../../../src/core/action/action.ts';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import { allReadings } from '../../../src/core/action/http/http.ts';
import { noPriorCalls } from '../../../src/core/action/mcp/prior-calls.ts';
import type { PriorCalls } from '../../../src/core/action/mcp/prior-calls.ts';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import { headersOf, httpCall } from '../../builders/http-call.ts';

/** A bank whose tools ask back, and a wiki of low risk. */
/** The catalog that they are read by. */
export const bankCatalog = mustCatalog(
  `servers:
  bank:
    hosts: [bank.acme.test]
    audience: https://bank.acme.test
    mcp:
      path: /mcp
      meta: [acme/locale]
      query: [profile]
      tools:
        pay:
          action: bank.pay
          risk: medium
          otherArguments: deny
          args: { amount: { type: long, required: true } }
        transfer:
          action: bank.transfer
          risk: medium
          args: { amount: { type: long, required: true }, iban: {} }
          state: sealed
          inputs:
            limit: { content: { amount: { type: long }, remark: { as: note } } }
            confirm: { content: {} }
            summary: { text: { as: note } }
          meta: { acme/account: { as: account } }
        folders: { action: bank.folders, risk: medium, inputs: { where: { roots: { as: folders } } } }
        report: { action: bank.report, risk: medium, tasks: true, args: { year: { type: long } }, inputs: { page: { content: { page: { type: long } } } } }
        erase: { action: bank.erase, risk: high }
        balance: { action: bank.balance, risk: low }
      prompts: { action: bank.prompt, risk: medium, args: { city: {} } }
      resources: { action: bank.resource, risk: medium }
  shop:
    hosts: [shop.acme.test]
    audience: https://shop.acme.test
    mcp:
      path: /mcp
      tools:
        lend: { action: shop.lend, risk: low, args: { days: { type: long } }, inputs: { days: { content: { days: { type: long } } } } }
  rooted:
    hosts: [rooted.acme.test]
    audience: https://rooted.acme.test
    mcp:
      path: /mcp
      tools: { erase: { action: rooted.erase, risk: high } }
      roots: { action: rooted.folders, risk: low }
  wiki:
    hosts: [wiki.acme.test]
    audience: https://wiki.acme.test
    mcp:
      path: /mcp
      tools: { read: { action: wiki.read, risk: low } }
      prompts: { action: wiki.prompt, risk: low, otherArguments: ignore }
`,
);

type Headers = Readonly<Record<string, string>>;
export const AT_11: Headers = { 'mcp-protocol-version': '2025-11-25', 'mcp-session-id': 's' };
export const AT_26: Headers = { 'mcp-protocol-version': '2026-07-28' };
export const MODERN = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'planner', version: '1', title: 'Planner' },
  'io.modelcontextprotocol/clientCapabilities': {
    elicitation: { form: {} },
    extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } },
  },
};

export const post = (body: object, headers: Headers = {}, over: Partial<HttpCall> = {}): HttpCall =>
  httpCall({
    method: 'POST',
    host: 'bank.acme.test',
    path: '/mcp',
    headers: headersOf({ 'content-type': 'application/json', ...headers }),
    body: Buffer.from(JSON.stringify(body)),
    ...over,
  });

export const request = (method: string, params: object): object => ({ jsonrpc: '2.0', id: 1, method, params });
export const at11 = (method: string, params: object = {}): HttpCall => post(request(method, params), AT_11);
/** @param meta further keys of its `_meta` */
export const at26 = (method: string, params: object = {}, meta: object = {}): HttpCall =>
  post(request(method, { ...params, _meta: { ...MODERN, ...meta } }), { ...AT_26, 'mcp-method': method });
export const tool = (name: string, args: object, more: { readonly [name: string]: object | string } = {}): HttpCall => {
  const { _meta: meta, ...params } = more;
  return at26('tools/call', { name, arguments: args, ...params }, typeof meta === 'object' ? meta : {});
};
export const answer = (result: unknown, headers: Headers = AT_11): HttpCall =>
  post({ jsonrpc: '2.0', id: 0, result }, headers);
export const accepted = (content: object): object => ({ action: 'accept', content });

export const transferred: PriorCalls = {
  ...noPriorCalls,
  calls: [{ action: 'bank.transfer', args: new Map([['amount', 1]]) }],
};
export const reported: PriorCalls = {
  ...noPriorCalls,
  calls: [{ action: 'bank.report', args: new Map([['year', 2026]]) }],
};

/** The action with the arguments of each reading, or the reason and detail of the denial. */
export function outcome(call: HttpCall, prior: PriorCalls = noPriorCalls): unknown {
  const action = actionFrom(call, bankCatalog, prior);
  if (isDeny(action)) return `${action.reason}: ${action.detail}`;
  return [action.id, ...allReadings(action).map(({ args }) => Object.fromEntries(args))];
}

export const carriedIn = (call: HttpCall): readonly string[] | undefined => {
  const action = actionFrom(call, bankCatalog);
  return isDeny(action) ? undefined : action.carried?.names;
};

export const unnamed = (action: string, name: string): string =>
  `action.arguments: arguments of \`${action}\`: the catalog does not name \`${name}\`, and the action takes no other arguments`;
export const unasked = 'action.unasked: no call of the session is known about which the server can have asked';
export const noTask = 'action.unasked: no call of the caller is known that can have become a task';
