import { beforeAll, describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { rehearse } from '../../../../src/tools/policy/cases/rehearse.ts';
import { decisionText } from '../../../../src/tools/policy/cases/case-verdict.ts';
import { shopSet } from '../../../core/action/grpc/protobuf/shop.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { examplePolicies, mustCases } from './folder.ts';

let set: PolicySet;
beforeAll(async () => {
  set = await examplePolicies();
});

const AGENT = 'spiffe://acme.test/ns/agents/sa/planner';

/** The result of a case, in one line. */
function outcome(lines: string, policies = set): string {
  const [test] = mustCases(
    `cases:\n  - name: a\n    agent: ${AGENT}\n    expect: deny\n${lines.replaceAll(/^/gm, '    ')}\n`,
  );
  if (test === undefined) throw new Error('no case');
  const rehearsal = rehearse(test.attempt, test.circumstances, policies);
  return 'problem' in rehearsal ? rehearsal.problem : decisionText(rehearsal.decision);
}

const CALL = "call: { method: GET, url: 'https://payments.acme.test/v1/payments' }";
const PAY = 'action: payments.create';

const limitOf = (amount: number) => `, inputs: { limit: { action: accept, content: { amount: ${amount} } } }`;
const entry = (action: string) =>
  `{ type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: [${action}] }`;
const mcpServer = (id: string) =>
  `  ${id}:\n    hosts: [${id}.test]\n    audience: https://${id}.test\n    mcp: { path: /mcp, tools: { t: { action: ${id}.t, risk: low } } }\n`;

const shop = (method: string) => `servers:
  shop:
    hosts: [shop.test]
    audience: https://shop.test
    grpc:
      descriptorSet: shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder:
              action: order
              risk: low
              args:
                customer: { required: true }
                amount: { field: order.amount_cents, type: long, required: true }
                priority: { required: true }
                discount: { type: decimal }
            ${method}: { action: other, risk: low }
`;

const parts = (second: string) => `{ message: { parts: [{ kind: text }, ${second}] }, far: { 4000000000: x } }`;

describe('rehearse', () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ['a call as it is written', CALL, 'allow by payments-read'],
    [
      'a url without a path',
      "call: { method: GET, url: 'https://payments.acme.test' }",
      'deny action.unknown (no route of the server `payments` matches `GET /`)',
    ],
    [
      'a url that is none',
      'call: { method: GET, url: payments }',
      'deny request.malformed (the url is not `https://host/path`)',
    ],
    [
      'a method that is none',
      "call: { method: get, url: 'https://payments.acme.test/v1/payments' }",
      'deny request.not-canonical (the method must be in upper-case letters)',
    ],
    [
      'a path with dot segments',
      "call: { method: GET, url: 'https://payments.acme.test/v1/../v1/payments' }",
      'deny request.not-canonical (the path has a dot segment)',
    ],
    [
      'a header with two readings',
      "call: { method: GET, url: 'https://payments.acme.test/v1/payments', headers: { x_a: b } }",
      'deny request.not-canonical (a header name has an underscore)',
    ],
    [
      'a length that is another',
      "call: { method: POST, url: 'https://payments.acme.test/v1/payments', headers: { content-length: '9' }, body: a }",
      'deny request.body-incomplete (the body and its `content-length` differ in length)',
    ],
    [
      'a static secret',
      "call: { method: GET, url: 'https://payments.acme.test/v1/payments', headers: { authorization: Basic YTpi } }",
      'deny token.static-secret (a long-lived secret (`basic`) in the header `authorization`)',
    ],
    ['no token', `credential: { kind: workload-identity }\n${PAY}`, 'deny token.missing (no `authorization` header)'],
    [
      'a token of another issuer',
      `credential: { kind: external-token }\n${PAY}`,
      'deny token.issuer (the action takes no `external-token`)',
    ],
    [
      'a token bound to a DPoP key',
      `credential: { binding: dpop }\n${PAY}`,
      'deny policy.forbidden by high-risk-bound',
    ],
    [
      'a grant of something else',
      `task: { actions: [files.list] }\n${PAY}`,
      'deny action.outside-intent (the intent names no `payments.create` at `https://payments.acme.test`)',
    ],
    ['a grant of the family', `task: { actions: [payments.*] }\n${PAY}`, 'allow by payments-write'],
    [
      'a grant whose time is over',
      `task: { constraints: { not_after: 1 } }\n${PAY}`,
      'deny action.outside-intent (the intent allows `payments.create` at another time)',
    ],
    [
      'a whole grant',
      `task: { authorization_details: [{ type: 'urn:remit:task', locations: ['https://other.test'], actions: [payments.create] }] }\n${PAY}`,
      'deny action.outside-intent (the intent names no `payments.create` at `https://payments.acme.test`)',
    ],
    ['a task that is over', `task: { state: completed }\n${PAY}`, 'deny task.completed (the task is `completed`)'],
    ['a task that is suspended', `task: { state: suspended }\n${PAY}`, 'deny task.suspended (the task is `suspended`)'],
    ['an action with arguments', `${PAY}\nargs: { amount: 501 }`, 'deny policy.forbidden by payments-limit'],
    [
      'an argument of a typed parameter',
      'action: files.read\nargs: { name: private-a.b }',
      'deny policy.forbidden by files-private',
    ],
    [
      'an argument that its parameter does not take',
      'action: files.read\nargs: { name: a b }',
      'deny action.arguments (arguments of `files.read`: `name` must be of the type `[A-Za-z0-9._-]{1,128}`)',
    ],
    [
      'a tool',
      'mcp: { tool: create_ticket, arguments: { title: a, priority: 1 } }',
      'deny policy.forbidden by tickets-urgent',
    ],
    [
      'a tool by its action',
      'action: tickets.create\nargs: { priority: 1 }',
      'deny policy.forbidden by tickets-urgent',
    ],
    [
      'a tool without what it needs',
      'mcp: { tool: create_ticket }',
      'deny action.arguments (arguments of `tickets.create`: `title` is missing)',
    ],
    ['a session', 'action: tickets.mcp.session', 'allow by tickets-use'],
    ['a token for an action', 'issue: payments.create', 'allow by issue-high-risk'],
    [
      'a task for too long',
      'issue: { action: payments.create, task_seconds: 901 }',
      'deny policy.not-permitted (no policy permits `issue`)',
    ],
    ['an action that the catalog has not', 'action: payments.burn', 'the catalog has no action `payments.burn`'],
    ['a token for one', 'issue: payments.burn', 'the catalog has no action `payments.burn`'],
    [
      'an argument that the action has not',
      `${PAY}\nargs: { colour: red }`,
      'the action `payments.create` has no argument `colour`',
    ],
    [
      'a server that speaks no MCP',
      'mcp: { server: files, tool: a }',
      'no server of the catalog with the id `files` has `mcp`',
    ],
    ['a protocol that no server speaks', 'a2a: { method: SendMessage }', 'no server of the catalog has `a2a`'],
  ];
  it.each(rows)('decides %s', (_name, lines, expected) => {
    expect(outcome(lines)).toBe(expected);
  });

  it('asks for a token with the `max_amount` that bounds the action, and without another', async () => {
    const policies = await mustLoad(
      folderWith(
        `@id("bounded") permit (principal, action == Remit::Action::"issue", resource)
when { context.requested.constraints has maxAmount };`,
      ),
    );
    const bounded = 'task: { actions: [payments.*], constraints: { max_amount: { argument: amount, limit: 5 } } }';
    expect(outcome(`${bounded}\nissue: payments.create`, policies)).toBe('allow by bounded');
    expect(outcome(`${bounded}\nissue: payments.refund`, policies)).toContain('deny policy.not-permitted');
  });

  it('asks about the actions of an intent as the issuer resolves them: families, entries, and of one server', async () => {
    const policies = await mustLoad(
      folderWith(
        `@id("all") permit (principal, action, resource);
@id("both") forbid (principal, action, resource)
when { context.intent.actions.contains("payments.create") && context.intent.actions.contains("payments.refund") };
@id("mixed") forbid (principal, action == Remit::Action::"issue", resource)
when { context.intent.actions.contains("files.read") && context.intent.actions.contains("payments.read") };
@id("unnamed") forbid (principal, action == Remit::Action::"issue", resource)
unless { context.intent.actions.contains(context.requested.action) };`,
      ),
    );
    const entries = `task: { authorization_details: [${entry('payments.create')}, ${entry('payments.refund')}] }`;
    for (const granted of ['task: { actions: [payments.*] }', entries]) {
      for (const asked of ['issue: payments.create', PAY])
        expect([granted, asked, outcome(`${granted}\n${asked}`, policies)]).toEqual([
          granted,
          asked,
          'deny policy.forbidden by both',
        ]);
    }
    const several = 'task: { actions: [files.*, payments.read] }';
    expect(outcome(`${several}\nissue: files.read`, policies)).toBe('allow by all');
    expect(outcome('task: { actions: [payments.list] }\nissue: payments.create', policies)).toBe('allow by all');
  });

  it('asks with the purpose that the entries declare, and for a sub-task with its chain of actors', async () => {
    const policies = await mustLoad(
      folderWith(
        `@id("refunds") permit (principal, action, resource) when { context.intent.purpose == "refund" };
@id("handed") permit (principal, action == Remit::Action::"issue", resource)
when { context has delegation && context.actors.contains(context.delegation.parent) && context.subject == "ann" };
@id("part") permit (principal, action == Remit::Action::"issue", resource)
when { context has delegation && context.subject == context.delegation.parent && context.actors == ["${AGENT}"] };`,
      ),
    );
    const declared = `task: { authorization_details: [${entry('payments.create').replace(' }', ', purpose: refund }')}] }`;
    expect(outcome(`${declared}\n${PAY}`, policies)).toBe('allow by refunds');
    expect(outcome(`${declared}\nissue: payments.create`, policies)).toBe('allow by refunds');
    const handed =
      'issue: { action: payments.create, delegation: { parent: spiffe://acme.test/ns/agents/sa/lead, depth: 1 } }';
    expect(outcome(`task: { subject: ann }\n${handed}`, policies)).toBe('allow by handed');
    expect(outcome(handed, policies)).toBe('allow by part');
  });

  it('makes calls of every protocol of a catalog', async () => {
    const catalog = `servers:
  all:
    hosts: [all.test]
    audience: https://all.test
    routes:
      - action: http
        method: POST
        path: '/h/{id:text}'
        risk: low
        args: { deep: { from: body, pointer: /a/b, type: decimal, required: true }, flag: { from: query, type: bool, required: true } }
      - { action: typed, method: GET, path: '/t/{a:uuid}/{b:int}/{c:x-[0-9]{2,4}}', risk: low }
    mcp:
      path: /mcp
      resources: { action: resources, risk: low }
      prompts: { action: prompts, risk: low }
      other: { action: other, risk: low }
    a2a:
      path: /a2a
      send:
        action: send
        risk: low
        otherArguments: deny
        args:
          text: { pointer: /message/parts/1/text, required: true, maxBytes: 10 }
          kind: { pointer: /message/parts/0/kind, required: true }
          far: { pointer: /far/4000000000, required: true }
    grpc:
      services: { a.B: { methods: { C: { action: c, risk: low } } } }
`;
    const policies = await mustLoad(folderWith('@id("all") permit (principal, action, resource);', { catalog }));
    for (const id of policies.catalog.actions.keys())
      expect([id, outcome(`action: ${id}`, policies)]).toEqual([id, 'allow by all']);
    expect(outcome('action: http\nargs: { id: "ä b&:.", deep: 1, flag: true }', policies)).toBe('allow by all');
    for (const method of ['SendMessage', 'message/stream']) {
      const sent = (second: string) => outcome(`a2a: { method: ${method}, params: ${parts(second)} }`, policies);
      expect(sent('{ text: a }')).toBe('allow by all');
      expect(sent('{ text: a, file: b }')).toContain('does not name `/message/parts/1/file`');
      expect(sent('{ text: abcdefghijk }')).toContain('`text` must be a string of at most 10 bytes');
    }
    expect(outcome('grpc: { method: a.B/C, message: CgE= }', policies)).toBe('allow by all');
    expect(outcome('grpc: { method: a.B/D }', policies)).toContain('deny action.unknown');
    expect(outcome('mcp: { method: resources/read, params: { uri: a } }', policies)).toBe('allow by all');
  });

  // Issue 37, point 2.
  it('sends answers and keys of `_meta`, and judges every value of an argument', async () => {
    const catalog = `servers:
  bank:
    hosts: [bank.test]
    audience: https://bank.test
    mcp:
      path: /mcp
      tools:
        pay:
          action: pay
          risk: medium
          args: { amount: { type: long, header: Amount } }
          inputs: { limit: { content: { amount: { type: long } } }, why: { text: { as: note } }, where: { roots: {} } }
          meta: { acme/unit: { as: unit } }
`;
    const policy = `@id("all") permit (principal, action, resource);
@id("most") forbid (principal, action == Remit::Action::"pay", resource)
when { context.args has amount && context.args.amount > 100 };
@id("unit") forbid (principal, action == Remit::Action::"pay", resource)
when { context.args has unit && context.args.unit == "hours" };`;
    const policies = await mustLoad(folderWith(policy, { catalog }));
    const paying = (more: string) => outcome(`mcp: { tool: pay, arguments: { amount: 1 }${more} }`, policies);
    expect(paying(limitOf(100))).toBe('allow by all');
    expect(paying(limitOf(1_000_000))).toBe('deny policy.forbidden by most');
    expect(paying(', inputs: { sum: { action: accept } }')).toContain('does not name `/inputResponses/sum`');
    expect(paying(', meta: { acme/unit: hours }')).toBe('deny policy.forbidden by unit');
    const args = (given: string) => outcome(`action: pay\nargs: { ${given} }`, policies);
    expect(args('note: a, where: ["file:///a"], unit: days')).toBe('allow by all');
    expect(args('unit: hours')).toBe('deny policy.forbidden by unit');
  });

  it('asks for `server` if several match', async () => {
    const policies = await mustLoad(
      folderWith('@id("all") permit (principal, action, resource);', {
        catalog: `servers:\n${mcpServer('one')}${mcpServer('two')}`,
      }),
    );
    expect(outcome('mcp: { tool: t }', policies)).toBe('several servers of the catalog match: name one in `server`');
    expect(outcome('mcp: { server: two, tool: t }', policies)).toBe('allow by all');
  });

  it.each([
    [
      'its message as JSON',
      'grpc: { method: acme.shop.v1.Shop/PlaceOrder, message: { customer: ada, order: { amountCents: "1250" } } }',
      'allow by small',
    ],
    [
      'a call that is denied by a value in it',
      'grpc: { method: acme.shop.v1.Shop/PlaceOrder, message: { customer: ada, order: { amount_cents: 10001 } } }',
      'deny policy.not-permitted',
    ],
    [
      'a call without what is required',
      'grpc: { method: acme.shop.v1.Shop/PlaceOrder, message: { customer: ada } }',
      'deny action.arguments (arguments of `order`: `amount` is missing)',
    ],
    [
      'arguments of its action',
      'action: order\nargs: { amount: 10000, priority: PRIORITY_HIGH, discount: 0.5 }',
      'allow by small',
    ],
    ['arguments beyond what is permitted', 'action: order\nargs: { amount: 10001 }', 'deny policy.not-permitted'],
    ['no arguments, made up if required', 'action: order', 'allow by small'],
    [
      'a message that does not fit',
      'grpc: { method: acme.shop.v1.Shop/PlaceOrder, message: { custmer: ada } }',
      'the message of `acme.shop.v1.Shop/PlaceOrder` does not fit: message acme.shop.v1.PlaceOrderRequest: key "custmer" is unknown',
    ],
    [
      'a message of a method that the catalog lacks',
      'grpc: { method: acme.shop.v1.Shop/Upload, message: { customer: ada } }',
      'the catalog has no method `acme.shop.v1.Shop/Upload` to encode a message for',
    ],
    [
      'a message that is neither',
      'grpc: { method: acme.shop.v1.Shop/Watch, message: { tags: [1] } }',
      'the message of `acme.shop.v1.Shop/Watch` does not fit: field acme.shop.v1.PlaceOrderRequest.tags: list item #1: expected string, got 1',
    ],
  ])('gives a gRPC method %s', async (_name, lines, expected) => {
    const policy =
      '@id("small") permit (principal, action == Remit::Action::"order", resource) when { context.args.amount <= 10000 && context.args.customer != "" };';
    const descriptorSets = new Map([['shop.binpb', shopSet]]);
    const policies = await mustLoad(folderWith(policy, { catalog: shop('Watch'), descriptorSets }));
    expect(outcome(lines, policies)).toContain(expected);
  });

  it('asks for base64 without a descriptor set', async () => {
    const catalog = shop('Watch')
      .replace(/ +descriptorSet.*\n/, '')
      .replace(/ +args:\n(?: {16}.*\n)+/, '');
    const policies = await mustLoad(folderWith('@id("all") permit (principal, action, resource);', { catalog }));
    expect(outcome('grpc: { method: acme.shop.v1.Shop/Watch, message: { customer: ada } }', policies)).toBe(
      'a message in JSON needs the `descriptorSet` of `shop`: name it, or give base64',
    );
    expect(outcome('grpc: { method: acme.shop.v1.Shop/Watch, message: CgNhZGE= }', policies)).toBe('allow by all');
  });
});
