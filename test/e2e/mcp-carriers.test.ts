import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { type Bank, startBank1, startBank2 } from '../clients/bank.ts';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { both, clientPart, describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ledgerTimeline } from '../builders/ledger-timeline.ts';
import { ISSUING, writePolicies } from './written-policies.ts';
import { mustDeclare, startDomain } from './domain.ts';

const HOST = 'files.acme.test';
const AUDIENCE = `https://${HOST}`;
const CATALOG = `servers:
  files:
    hosts: [${HOST}]
    audience: ${AUDIENCE}
    mcp:
      path: /mcp
      tools:
        pay: { action: bank.pay, risk: medium, otherArguments: deny, args: { amount: { type: long, required: true } } }
        transfer:
          action: bank.transfer
          risk: medium
          otherArguments: deny
          args: { amount: { type: long, required: true } }
          inputs: { limit: { content: { amount: { type: long } } } }
          state: sealed
      prompts: { action: bank.prompt, risk: low }
`;
const POLICIES = `
@id("bank")
permit (principal in Remit::AgentGroup::"agents", action, resource in Remit::Server::"files");

@id("at-most-100")
forbid (principal, action in [Remit::Action::"bank.pay", Remit::Action::"bank.transfer"], resource)
when { context.args.amount > 100 };
`;
const MUCH = 1_000_000;

type Params = Readonly<Record<string, unknown>>;
interface Sent {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object;
  readonly query?: string;
}

const MODERN = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'planner', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
};
const request = (method: string, params: Params): object => ({ jsonrpc: '2.0', id: 1, method, params });
const at11 = (body: object): Sent => ({
  headers: { 'mcp-protocol-version': '2025-11-25', 'mcp-session-id': 's' },
  body,
});
const at26 = (method: string, params: Params, meta: Params = {}): Sent => ({
  headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method },
  body: request(method, { ...params, _meta: { ...MODERN, ...meta } }),
});
const paying = { name: 'pay', arguments: { amount: 1 } };
const much = { action: 'accept', content: { amount: MUCH } };

/** A round of `transfer` in which a person answers its question. */
const answering = (amount: number): Sent =>
  at26('tools/call', {
    name: 'transfer',
    arguments: { amount: 1 },
    inputResponses: { limit: { action: 'accept', content: { amount } } },
  });

/** Every carrier beside `arguments`, each with an amount beyond policy and budget. Issue 37, point 2. */
const CARRIERS: readonly (readonly [string, Sent, string])[] = [
  ['1: `inputResponses`', at26('tools/call', { ...paying, inputResponses: { limit: much } }), 'action.arguments'],
  [
    '1: `inputResponses` in an older revision',
    at11(request('tools/call', { ...paying, inputResponses: { limit: much } })),
    'action.arguments',
  ],
  [
    '1: `inputResponses` without a revision',
    { headers: {}, body: request('tools/call', { ...paying, inputResponses: { limit: much } }) },
    'action.arguments',
  ],
  [
    '1: an answer beyond the policies if the catalog names the question',
    at26('tools/call', { ...paying, name: 'transfer', inputResponses: { limit: much } }),
    'policy.forbidden',
  ],
  [
    '2: `requestState`',
    at26('tools/call', { ...paying, requestState: JSON.stringify({ amount: MUCH }) }),
    'action.arguments',
  ],
  ['3: a key of `_meta`', at26('tools/call', paying, { 'acme/amount': MUCH }), 'action.arguments'],
  ['4: an unknown parameter', at11(request('tools/call', { ...paying, amount: MUCH })), 'action.arguments'],
  ['5: a call that begins a task', at11(request('tools/call', { ...paying, task: { ttl: MUCH } })), 'action.arguments'],
  ['6: `tasks/update`', at26('tasks/update', { taskId: 't', inputResponses: { limit: much } }), 'action.unasked'],
  ['7: `tasks/cancel`', at11(request('tasks/cancel', { taskId: String(MUCH) })), 'action.unasked'],
  ['8: an elicitation that nobody asked for', at11({ jsonrpc: '2.0', id: 0, result: much }), 'action.unasked'],
  [
    '9: sampling that nobody asked for',
    at11({
      jsonrpc: '2.0',
      id: 0,
      result: { role: 'assistant', model: 'm', content: { type: 'text', text: `pay ${MUCH}` } },
    }),
    'action.unasked',
  ],
  [
    '10: roots that nobody asked for',
    at11({ jsonrpc: '2.0', id: 0, result: { roots: [{ uri: `file:///${MUCH}` }] } }),
    'action.unasked',
  ],
  [
    '10: the data of an error',
    at11({ jsonrpc: '2.0', id: 0, error: { code: 1, message: 'x', data: { amount: MUCH } } }),
    'action.arguments',
  ],
  [
    '11: an argument of a prompt',
    at11(request('prompts/get', { name: 'x', arguments: { amount: String(MUCH) } })),
    'action.arguments',
  ],
  [
    '12: the argument of a completion',
    at11(
      request('completion/complete', {
        ref: { type: 'ref/prompt', name: 'x' },
        argument: { name: 'amount', value: String(MUCH) },
      }),
    ),
    'action.arguments',
  ],
  [
    '12: the context of a completion',
    at11(
      request('completion/complete', {
        ref: { type: 'ref/prompt', name: 'x' },
        argument: { name: 'name', value: '' },
        context: { arguments: { amount: String(MUCH) } },
      }),
    ),
    'action.arguments',
  ],
  ['13: the query of the URL', { ...at11(request('ping', {})), query: `?amount=${MUCH}` }, 'action.arguments'],
  [
    '13: the text of a notification',
    at11({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 1, reason: `${MUCH} `.repeat(64) },
    }),
    'request.malformed',
  ],
];

const BANKS: readonly (readonly [string, (packages: string) => Promise<Bank>])[] = [
  ['1.x', startBank1],
  ['2.4.0', startBank2],
];

describe.each(BANKS)('an agent before a server of the TypeScript SDK %s', (_name, startBank) => {
  describeWith(both(clientPart('mcp-bank'), envoyPart()), 'behind a real Envoy', ([packages, envoy]) => {
    const scratch = testFolder(async () => {
      agent?.close();
      await domain?.stop();
      await bank?.close();
    });
    let bank: Bank;
    let domain: DevDomain;
    let agent: Agent;
    let token: string;

    beforeAll(async () => {
      bank = await startBank(packages);
      const policies = join(scratch.folder, 'policies');
      await writePolicies(policies, { ...ISSUING, 'actions.yaml': CATALOG, 'policies/bank.cedar': POLICIES });
      domain = await startDomain(envoy, { folder: scratch.folder, policies, filesServer: bank.address });
      agent = new Agent(await domain.authority.svid('/ns/agents/sa/planner'), domain.authority.bundlePem);
      const constraints = { max_amount: { argument: 'amount', limit: 500 } };
      const actions = ['bank.pay', 'bank.transfer'];
      const paid = await mustDeclare(agent, domain, { actions, purpose: 'pay', audience: AUDIENCE, constraints });
      token = paid.token;
    });

    const post = ({ headers, body, query = '' }: Sent) => {
      const text = JSON.stringify(body);
      return agent.call(domain.stage.envoyPort, {
        host: HOST,
        method: 'POST',
        path: `/mcp${query}`,
        headers: {
          'content-type': 'application/json',
          'content-length': String(Buffer.byteLength(text)),
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${token}`,
          ...headers,
        },
        body: text,
      });
    };

    it.each(CARRIERS)('never reaches it with %s', async (_carrier, sent, reason) => {
      const [received, paid] = [bank.received.length, bank.paid.length];
      const reply = await post(sent);
      expect(reply.headers['x-remit-decision']).toContain(`deny;reason=${reason};`);
      expect([bank.received.length, bank.paid.length]).toEqual([received, paid]);
    });

    it('reaches it with an answer within the policies, whose record names it, until the budget is spent', async () => {
      const decisions: unknown[] = [];
      // What was denied above took nothing of the 500.
      for (const amount of [100, 100, 100, 100, 100, 1]) {
        const { headers } = await post(answering(amount));
        decisions.push(/reason=[a-z.]+/.exec(String(headers['x-remit-decision']))?.[0] ?? 'allowed');
      }
      expect(decisions).toEqual([...Array.from({ length: 5 }, () => 'allowed'), 'reason=task.exhausted']);
      const recorded = await until(async () => {
        await domain.remit.flush();
        return ledgerTimeline(scratch.folder).find(
          (record) => record.kind === 'use' && record.decision === 'allow' && record.carried !== undefined,
        );
      });
      expect(recorded).toMatchObject({
        action: 'bank.transfer',
        carried: { names: ['inputResponses/limit'], 'sha-256': expect.stringMatching(/^[\w-]{43}$/) },
      });
    });
  });
});
