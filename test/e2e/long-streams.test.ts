import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { Agent } from '../../src/dev/agent.ts';
import type { IssuedSvid } from '../../src/dev/authority.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { writePolicies } from './written-policies.ts';
import { mustDeclare, startDomain } from './domain.ts';

const HOST = 'files.acme.test';
const CATALOG = `servers:
  files:
    hosts: [${HOST}]
    audience: https://${HOST}
    mcp: { path: /mcp, tools: { index: { action: files.index, risk: low } } }
    a2a:
      path: /a2a
      send: { action: files.ask, risk: low, args: { text: { pointer: /message/parts/0/text, required: true } } }
    routes:
      - { action: files.plain, method: GET, path: /plain, risk: low }
`;
const POLICIES = `
@id("files")
permit (principal in Remit::AgentGroup::"agents", action, resource in Remit::Server::"files");

@id("tasks")
permit (principal in Remit::AgentGroup::"agents", action == Remit::Action::"issue", resource == Remit::Server::"files");
`;

/** Longer than the 15 s that Envoy gives an answer by default. */
const TOOL_MS = 17_000;
const IDLE_SECONDS = 4;

/** What an MCP server sends: the stream of a session, silent for as long as the tool runs, and the answer of the tool. An agent answers at once. */
async function startSlowServer(): Promise<Server> {
  const server = createServer((asked, answer) => {
    asked.resume();
    answer.writeHead(200, { 'content-type': 'text/event-stream' });
    answer.write(': begins\n\n');
    const isQuick = asked.url === '/a2a';
    setTimeout(() => answer.end(`event: message\ndata: ${asked.method}\n\n`), isQuick ? 0 : TOOL_MS);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** The text of an answer, and `broken` where it did not come to its end. */
async function textOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const end = await Promise.race([
    once(answer, 'end').then(() => ''),
    new Promise<string>((done) => answer.once('error', () => done('broken')).once('aborted', () => done('broken'))),
  ]);
  return text + end;
}

/** The shipped Envoy, with an idle limit of 4 s where no route says otherwise. */
describeWith(envoyPart(), 'streams of MCP through the shipped Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    agent?.close();
    await domain?.stop();
    server?.closeAllConnections();
    server?.close();
  });
  let server: Server;
  let domain: DevDomain;
  let agent: Agent;
  let svid: IssuedSvid;
  let token: string;

  beforeAll(async () => {
    server = await startSlowServer();
    const policies = join(scratch.folder, 'policies');
    await writePolicies(policies, { 'actions.yaml': CATALOG, 'files.cedar': POLICIES });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      policies,
      filesServer: { host: '127.0.0.1', port: address.port },
      envoyConfig: (shipped) => {
        const idle = 'stream_idle_timeout: 60s';
        expect(shipped).toContain(idle);
        return shipped.replace(idle, `stream_idle_timeout: ${IDLE_SECONDS}s`);
      },
    });
    svid = await domain.authority.svid('/ns/agents/sa/planner');
    agent = new Agent(svid, domain.authority.bundlePem);
    const actions = ['files.index', 'files.plain'];
    token = (await mustDeclare(agent, domain, { actions, purpose: 'index the files', audience: `https://${HOST}` }))
      .token;
  });

  async function call(
    method: string,
    path: string,
    body?: object,
    { bearer = token, tries = 10 } = {},
  ): Promise<readonly [status: number, text: string]> {
    const sent = request({
      host: '127.0.0.1',
      port: domain.stage.envoyPort,
      servername: HOST,
      method,
      path,
      key: svid.keyPem,
      cert: svid.certPem,
      ca: domain.authority.bundlePem,
      checkServerIdentity: () => undefined,
      agent: false,
      headers: {
        host: HOST,
        authorization: `Bearer ${bearer}`,
        accept: 'application/json, text/event-stream',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    const text = await textOf(answer);
    // A loaded machine may be too slow for a check: that is no answer of the server.
    return answer.statusCode === 503 && tries > 1
      ? call(method, path, body, { bearer, tries: tries - 1 })
      : [answer.statusCode ?? 0, text];
  }

  it('lets a tool answer after 17 s and a session wait in silence, and ends both elsewhere', async () => {
    const tool = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'index' } };
    const [called, listening, plain] = await Promise.all([
      call('POST', '/mcp', tool),
      call('GET', '/mcp'),
      call('GET', '/plain'),
    ]);
    expect(called).toEqual([200, ': begins\n\nevent: message\ndata: POST\n\n']);
    expect(listening).toEqual([200, ': begins\n\nevent: message\ndata: GET\n\n']);
    expect(plain).toEqual([200, ': begins\n\nbroken']);
  });

  it('spends one budget for every way to send a message to an agent', async () => {
    const constraints = { max_calls: 2 };
    const declaration = { actions: ['files.ask'], purpose: 'ask', audience: `https://${HOST}`, constraints };
    const { token: bearer } = await mustDeclare(agent, domain, declaration);
    const send = (method: string) =>
      call(
        'POST',
        '/a2a',
        { jsonrpc: '2.0', id: 1, method, params: { message: { parts: [{ text: 'hello' }] } } },
        { bearer },
      );
    const answered = [200, expect.stringContaining('data: POST')];
    expect(await send('message/send')).toEqual(answered);
    expect(await send('SendStreamingMessage')).toEqual(answered);
    expect(await send('message/stream')).toEqual([200, expect.stringContaining('"reason":"task.exhausted"')]);
  });
});
