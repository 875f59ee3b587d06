import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { intentFileFrom } from '../../src/agent/task/intent.ts';
import { runLearn } from '../../src/cli/learn.ts';
import { policyTestCommand } from '../../src/cli/policy/policy-test.ts';
import { authorizationDetailsFrom } from '../../src/core/token/authorization-details.ts';
import { Agent } from '../../src/dev/agent.ts';
import type { AgentCall, AgentReply } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { observingEnvoyConfig } from '../../src/tools/init/observing.ts';
import type { RoutedServer } from '../../src/tools/init/server-routes.ts';
import { must } from '../builders/must.ts';
import { ran } from '../cli/ledgers.ts';
import { freePorts } from '../free-port.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { Draw, fleetOf } from '../tools/learn/fleet.ts';
import type { FleetAction, FleetAgent } from '../tools/learn/fleet.ts';
import { ranOn } from '../tools/learn/learning.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, examples, mustDeclare, startDomain } from './domain.ts';

const SEED = 1;
/** Each habit so often: what comes in the last fifth of the time is judged, and three times are enough to learn. */
const ROUNDS = 20;

const sample = { string: 'x', integer: 1, number: 1.5, boolean: true, null: null, array: [], object: {} };

/** A call as an agent sends it. */
function requestOf(action: FleetAction, draw: Draw): AgentCall {
  const { method, path, shape } = action.call(draw);
  const { protocol, query, rpc, members = {} } = shape;
  const url = query.length === 0 ? path : `${path}?${query.map((name) => `${name}=1`).join('&')}`;
  const object = Object.fromEntries(
    Object.entries(members).map(([name, of]) => [
      name,
      typeof of === 'string'
        ? sample[of]
        : Object.fromEntries(Object.entries(of).map(([key, kind]) => [key, sample[kind]])),
    ]),
  );
  const call = { host: action.host, method, path: url };
  if (protocol === 'grpc')
    return { ...call, headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: '\0\0\0\0\0' };
  if (rpc !== undefined) {
    const message = { jsonrpc: '2.0', id: 1, method: rpc.method, params: { name: rpc.tool, arguments: object } };
    return { ...call, headers: { 'content-type': 'application/json' }, body: JSON.stringify(message) };
  }
  if (Object.keys(members).length === 0) return call;
  return { ...call, headers: { 'content-type': 'application/json' }, body: JSON.stringify(object) };
}

const fleet = fleetOf(SEED);
/** Three agents of three roles, with a few habits each, of all protocols of which this has a client. */
const cast = fleet.agents.slice(0, 3).map((agent) => ({
  agent,
  habits: ['http', 'mcp', 'grpc'].flatMap((protocol) =>
    agent.habits.filter((action) => action.protocol === protocol && !action.id.endsWith('.delete')).slice(0, 3),
  ),
}));
const hosts = [...new Set(fleet.actions.map(({ host }) => host))];
const servers: readonly RoutedServer[] = [{ hosts, streams: [], streamed: [], own: null }];

const enforcement = `observe:
  - id: fleet
    agents: [${cast.map(({ agent }) => `'${agent.id.slice(0, agent.id.lastIndexOf('/'))}/*'`).join(', ')}]
    servers: ['*.acme.test']
    until: ${new Date(Date.now() + 20 * 86_400_000).toISOString().slice(0, 10)}
    owner: us
    because: CHG-1
`;

const agentsOf = async ({ authority }: DevDomain, of: readonly { readonly agent: FleetAgent }[]) =>
  new Map(
    await Promise.all(
      of.map(async ({ agent }) => {
        const svid = await authority.svid(agent.id.slice('spiffe://acme.test'.length));
        return [agent.id, new Agent(svid, authority.bundlePem)] as const;
      }),
    ),
  );

// Issue 41, "It shows": from nothing to enforced, through Envoy.
describeWith(envoyPart(), 'a fleet that is observed, learnt from and enforced, through Envoy', (envoy) => {
  const scratch = testFolder(() => stop());
  let domain: DevDomain | undefined;
  let agents = new Map<string, Agent>();
  const start = async (name: string, policies: string, envoyConfig: (text: string) => string): Promise<DevDomain> => {
    domain = await startDomain(envoy, { folder: join(scratch.folder, name), policies, envoyConfig, servers });
    agents = await agentsOf(domain, cast);
    return domain;
  };
  const stop = async (): Promise<void> => {
    for (const agent of agents.values()) agent.close();
    await domain?.stop();
    domain = undefined;
  };
  const send = (id: string, call: AgentCall, token?: string): Promise<AgentReply> => {
    const agent = agents.get(id);
    if (agent === undefined || domain === undefined) throw new Error('no such agent');
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return agent.call(domain.stage.envoyPort, { ...call, headers: { ...call.headers, ...authorization } });
  };

  it('blocks nothing while observing, lets no ended or stolen token pass, and then denies what is off task alone', async () => {
    const base = join(scratch.folder, 'p');
    await cp(examples, base, { recursive: true });
    // A case of it names a tool without its server, and there will be more than one with tools.
    const suite = join(base, 'tests/tickets.test.yaml');
    await writeFile(
      suite,
      (await readFile(suite, 'utf8')).replace(
        '{ tool: delete_everything }',
        '{ server: tickets, tool: delete_everything }',
      ),
    );
    await writeFile(join(base, 'enforcement.yaml'), enforcement);
    const [port = 0] = await freePorts(1);
    const draw = new Draw(SEED);
    const observing = await start('observed', base, (text) =>
      observingEnvoyConfig(text).replace('port_value: 8444', `port_value: ${port}`),
    );
    const statuses: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1)
      for (const { agent, habits } of cast)
        for (const habit of habits) statuses.push((await send(agent.id, requestOf(habit, draw))).status);
    const astray = cast[0];
    const offTask = fleet.actions.find(
      ({ id, protocol }) => protocol === 'http' && !astray?.agent.habits.some((own) => own.id === id),
    );
    if (astray === undefined || offTask === undefined) throw new Error('the fleet is too small');
    statuses.push((await send(astray.agent.id, requestOf(offTask, draw))).status);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);

    // Whoever observes lets these through no more than whoever enforces.
    const { planner, issuerPort, issuerHost } = observing.stage;
    const { token, taskId } = await mustDeclare(planner, observing);
    expect(await callPayments(planner, observing, { token })).toEqual([200, null]);
    const stolen = await send(astray.agent.id, requestOf(offTask, draw), token);
    expect([stolen.status, JSON.parse(stolen.body).reason]).toEqual([401, 'token.binding']);
    const own = await mustDeclare(planner, observing);
    await planner.call(issuerPort, { host: issuerHost, method: 'POST', path: `/tasks/${own.taskId}/complete` });
    expect(taskId).not.toBe(own.taskId);
    const ended = await send(astray.agent.id, requestOf(offTask, draw), own.token);
    expect(ended.status).toBeGreaterThanOrEqual(400);
    await stop();

    // Two commands, and one decision.
    const learnt = join(scratch.folder, 'l');
    const args = ['--ledger', join(scratch.folder, 'observed/ledger'), '--policies', base, '--out', learnt];
    expect(await ran(runLearn, ...args)).toMatchObject({ exit: 0, err: '' });
    expect(await ranOn(policyTestCommand, learnt)).toMatchObject({ exit: 0, out: expect.stringMatching(/ 0 failed/) });
    const report = JSON.parse(await readFile(join(learnt, 'report.json'), 'utf8'));
    expect(report.judged.calls).toBeGreaterThan(0);
    const others = new Set(cast.slice(1).map(({ agent }) => agent.id));
    expect(report.judged.denied.filter(({ agent }: { agent: string }) => others.has(agent))).toEqual([]);
    const intents = new Map<string, string>(
      report.agents.map(({ id, intent }: { id: string; intent: string }) => [id, intent]),
    );
    // Enforced: no entry is left.
    await rm(join(learnt, 'enforcement.yaml'));

    const enforcing = await start('enforced', learnt, (text) => text);
    /** A token for what the learnt intent of an agent has at a server; `undefined` if it has nothing there. */
    const tokenOf = async (id: string, host: string): Promise<string | undefined> => {
      const { access } = must(intentFileFrom(await readFile(join(learnt, intents.get(id) ?? ''), 'utf8'), id));
      const audience = `https://${host}`;
      const entry = must(authorizationDetailsFrom(access.map(({ detail }) => detail))).find(({ locations }) =>
        locations.includes(audience),
      );
      const agent = agents.get(id);
      if (entry === undefined || agent === undefined) return undefined;
      return (await mustDeclare(agent, enforcing, { actions: entry.actions, audience })).token;
    };
    const denied: string[] = [];
    const passed: string[] = [];
    for (const { agent, habits } of cast) {
      for (const action of cast.flatMap((one) => one.habits)) {
        const token = await tokenOf(agent.id, action.host);
        const { status, headers } = await send(agent.id, requestOf(action, draw), token);
        const isOwn = habits.includes(action);
        // A denial of gRPC is an answer with a status of its own.
        const isServed = status === 200 && (headers['grpc-status'] ?? '0') === '0';
        if (isOwn !== isServed) (isOwn ? denied : passed).push(`${agent.id} ${action.id} ${status}`);
      }
    }
    expect([denied, passed]).toEqual([[], []]);
  }, 300_000);
});
