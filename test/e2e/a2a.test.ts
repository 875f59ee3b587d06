import { join } from 'node:path';
import { AgentCard } from '@a2a-js/sdk';
import {
  type Client,
  ClientFactory,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
  RestTransportFactory,
} from '@a2a-js/sdk/client';
import { nextSteps } from '../../src/core/decision/next-step.ts';
import { JsonRpcTransportError } from '@a2a-js/sdk/errors';
import { beforeAll, expect, it } from '@jest/globals';
import { type ReasonCode, reasons } from '../../src/core/decision/reasons.ts';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { type A2aTestServer, cardOf, messageOf, startA2aServer } from './a2a-server.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ISSUING, writePolicies } from './written-policies.ts';
import { mustDeclare, startDomain } from './domain.ts';
import { fetchOverMtls } from './mtls-fetch.ts';

const HOST = 'files.acme.test';
const AUDIENCE = `https://${HOST}`;
const URL_OF_AGENT = `${AUDIENCE}/a2a`;

const ARGS = '{ taskId: {}, kind: { pointer: /message/metadata/kind } }';
const CATALOG = `servers:
  trips:
    hosts: [${HOST}]
    audience: ${AUDIENCE}
    routes:
      - { action: trips.card, method: GET, path: /.well-known/agent-card.json, risk: low }
    a2a:
      path: /a2a
      methods:
        SendMessage: { action: trips.ask, risk: low, args: ${ARGS} }
        SendStreamingMessage: { action: trips.follow, risk: low, args: ${ARGS} }
        GetTask: { action: trips.get, risk: low, args: { taskId: { required: true } } }
        CancelTask: { action: trips.cancel, risk: low, args: { taskId: { required: true } } }
        SubscribeToTask: { action: trips.watch, risk: low, args: { taskId: { required: true } } }
        message/send: { action: trips.old-ask, risk: low, args: ${ARGS} }
        message/stream: { action: trips.old-follow, risk: low, args: ${ARGS} }
        tasks/get: { action: trips.old-get, risk: low, args: { taskId: { required: true } } }
`;
const ACTIONS = ['card', 'ask', 'follow', 'get', 'cancel', 'watch', 'old-ask', 'old-follow', 'old-get'];
const actionList = (names: readonly string[]): string =>
  names.map((name) => `Remit::Action::"trips.${name}"`).join(', ');

const POLICIES = `
@id("trips")
permit (
  principal in Remit::AgentGroup::"agents",
  action in [${actionList(ACTIONS.filter((name) => name !== 'watch'))}],
  resource in Remit::Server::"trips"
);

@id("no-payments")
@reason("trips are asked for, not paid")
forbid (principal, action in [${actionList(['ask', 'follow', 'old-ask', 'old-follow'])}], resource)
when { context.args has kind && context.args.kind == "payment" };

@id("others-tasks")
forbid (principal, action in [${actionList(['ask', 'follow', 'old-ask', 'old-follow'])}], resource)
when { context.args has taskId && context.args.taskId like "theirs-*" };

@id("others-tasks-by-id")
forbid (principal, action in [${actionList(['get', 'cancel', 'old-get'])}], resource)
when { context.args.taskId like "theirs-*" };
`;

const asking = (words: string, more: { readonly taskId?: string; readonly kind?: string } = {}) => ({
  tenant: '',
  message: {
    ...messageOf(words, more.taskId),
    metadata: more.kind === undefined ? undefined : { kind: more.kind },
  },
  configuration: undefined,
  metadata: undefined,
});
const byId = (id: string) => ({ tenant: '', id });

async function all<T>(events: AsyncIterable<T>): Promise<readonly T[]> {
  const got: T[] = [];
  for await (const event of events) got.push(event);
  return got;
}

/** The id of the task that a message started. */
async function begun(client: Client): Promise<string> {
  const result = await client.sendMessage(asking('a trip'));
  if (!('id' in result)) throw new Error('the agent began no task');
  return result.id;
}

/** The official SDK, client and server, with a real Envoy and Remit between them. */
describeWith(envoyPart(), 'A2A through Envoy, with the official SDK', (envoy) => {
  const scratch = testFolder(async () => {
    agent?.close();
    await domain?.stop();
    await server?.close();
  });
  let server: A2aTestServer;
  let domain: DevDomain;
  let agent: Agent;
  let token: string;
  let fetchAsAgent: typeof fetch;
  let latest: Client;
  let legacy: Client;
  let last: Response | undefined;

  beforeAll(async () => {
    server = await startA2aServer(URL_OF_AGENT);
    const policies = join(scratch.folder, 'policies');
    await writePolicies(policies, { ...ISSUING, 'actions.yaml': CATALOG, 'policies/trips.cedar': POLICIES });
    domain = await startDomain(envoy, { folder: scratch.folder, policies, filesServer: server.address });
    const svid = await domain.authority.svid('/ns/agents/sa/planner');
    agent = new Agent(svid, domain.authority.bundlePem);
    token = await tokenFor(ACTIONS.map((name) => `trips.${name}`));
    const caller = { port: domain.stage.envoyPort, svid, bundlePem: domain.authority.bundlePem };
    fetchAsAgent = async (input, init = {}) => {
      const headers = new Headers(init.headers);
      headers.set('authorization', `Bearer ${token}`);
      const url = input instanceof Request ? input.url : input;
      last = await fetchOverMtls(url, { ...init, headers }, caller);
      return last;
    };
    const factory = new ClientFactory({
      transports: [new JsonRpcTransportFactory({ fetchImpl: fetchAsAgent, legacyCompat: { enabled: true } })],
      cardResolver: new DefaultAgentCardResolver({ fetchImpl: fetchAsAgent }),
    });
    latest = await factory.createFromUrl(AUDIENCE);
    const card = AgentCard.fromJSON(cardOf(URL_OF_AGENT));
    legacy = await factory.createFromAgentCard({ ...card, supportedInterfaces: card.supportedInterfaces.slice(1) });
  });

  const tokenFor = async (actions: readonly string[]): Promise<string> =>
    (await mustDeclare(agent, domain, { actions, purpose: 'book the trip', audience: AUDIENCE })).token;

  it('reads the card of the agent', async () => {
    const reply = await fetchAsAgent(`${AUDIENCE}/.well-known/agent-card.json`);
    expect(await reply.json()).toMatchObject({ name: 'booker' });
  });

  it('allows a message, its task by id, and its cancellation', async () => {
    const id = await begun(latest);
    expect(server.heard.at(-1)).toBe('a trip');
    expect((await latest.getTask(byId(id))).id).toBe(id);
    expect((await latest.cancelTask({ ...byId(id), metadata: undefined })).id).toBe(id);
    expect(server.methods.slice(-3)).toEqual(['SendMessage', 'GetTask', 'CancelTask']);
  });

  it('allows a streamed answer', async () => {
    const events = await all(latest.sendMessageStream(asking('a trip to follow')));
    expect(last?.headers.get('content-type')).toBe('text/event-stream');
    expect(events.length).toBeGreaterThan(1);
    expect(server.methods.at(-1)).toBe('SendStreamingMessage');
  });

  it('allows an agent of version 0.3 by its own methods', async () => {
    const id = await begun(legacy);
    expect((await legacy.getTask(byId(id))).id).toBe(id);
    expect(await all(legacy.sendMessageStream(asking('an old trip to follow')))).not.toEqual([]);
    expect(server.methods.slice(-3)).toEqual(['message/send', 'tasks/get', 'message/stream']);
  });

  const theirs = 'theirs-1';
  it.each<[string, () => Promise<unknown>, ReasonCode, string | undefined]>([
    [
      'a method that no policy permits',
      () => all(latest.resubscribeTask(byId('t'))),
      'policy.not-permitted',
      undefined,
    ],
    [
      'a method missing from the catalog',
      () => legacy.cancelTask({ ...byId('t'), metadata: undefined }),
      'action.unknown',
      undefined,
    ],
    [
      'an argument that a policy forbids',
      () => latest.sendMessage(asking('pay', { kind: 'payment' })),
      'policy.forbidden',
      'trips are asked for, not paid',
    ],
    [
      'the same in a stream',
      () => all(latest.sendMessageStream(asking('pay', { kind: 'payment' }))),
      'policy.forbidden',
      'trips are asked for, not paid',
    ],
    ["another agent's task by id", () => latest.getTask(byId(theirs)), 'policy.forbidden', undefined],
    [
      "the cancellation of another agent's task",
      () => latest.cancelTask({ ...byId(theirs), metadata: undefined }),
      'policy.forbidden',
      undefined,
    ],
    [
      "a message to another agent's task",
      () => latest.sendMessage(asking('more', { taskId: theirs })),
      'policy.forbidden',
      undefined,
    ],
    [
      'the same in version 0.3',
      () => legacy.sendMessage(asking('more', { taskId: theirs })),
      'policy.forbidden',
      undefined,
    ],
    ["another agent's task in version 0.3", () => legacy.getTask(byId(theirs)), 'policy.forbidden', undefined],
  ])('the client shows its caller the denial of %s', async (_name, run, reason, advice) => {
    const before = server.methods.length;
    const error: unknown = await run().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(server.methods).toHaveLength(before);
    expect(last?.headers.get('x-remit-decision')).toContain(`deny;reason=${reason};`);
    expect(last?.status).toBe(200);
    // The SDK wraps the error of an event in one of its own.
    const rpc = error instanceof Error && error.cause !== undefined ? error.cause : error;
    expect(String(error)).toContain(reasons[reason].text);
    expect(rpc).toBeInstanceOf(JsonRpcTransportError);
    expect(rpc).toMatchObject({
      envelopeCode: -32_099,
      data: { reason, ...(advice === undefined ? {} : { advice }) },
    });
  });

  it('the client shows its caller a denial over HTTP and JSON', async () => {
    const card = AgentCard.fromJSON(cardOf(URL_OF_AGENT));
    const [first] = card.supportedInterfaces;
    if (first === undefined) throw new Error('the card has no interface');
    const factory = new ClientFactory({ transports: [new RestTransportFactory({ fetchImpl: fetchAsAgent })] });
    const interfaces = [{ ...first, protocolBinding: 'HTTP+JSON', url: `${AUDIENCE}/rest` }];
    const client = await factory.createFromAgentCard({ ...card, supportedInterfaces: interfaces });
    const error: unknown = await client.sendMessage(asking('a trip')).catch((thrown: unknown) => thrown);
    expect(last?.headers.get('x-remit-decision')).toMatch(/^deny;/);
    expect(error).toMatchObject({ statusCode: last?.status });
    expect(String(error)).toContain(nextSteps.change_arguments);
  });

  it.each([
    ['a second name for the task', '{"message":{"messageId":"m","task_id":"theirs-1"}}', 'request.not-canonical'],
    [
      'a second name on the way to an argument',
      '{"message":{"messageId":"m","meta_data":{"kind":"payment"}}}',
      'request.not-canonical',
    ],
    ['a task id that is not a string', '{"message":{"messageId":"m","taskId":["theirs-1"]}}', 'action.arguments'],
  ])('%s never reaches the agent', async (_name, params, reason) => {
    const before = server.methods.length;
    const reply = await fetchAsAgent(URL_OF_AGENT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'a2a-version': '1.0' },
      body: `{"jsonrpc":"2.0","id":"r","method":"SendMessage","params":${params}}`,
    });
    expect(await reply.json()).toMatchObject({ jsonrpc: '2.0', id: 'r', error: { code: -32_099, data: { reason } } });
    expect(server.methods).toHaveLength(before);
  });
});
