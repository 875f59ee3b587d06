import { connect, type ClientHttp2Session } from 'node:http2';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { mapSeveral } from '../../../src/core/runtime/collections/map-several.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import { thoroughly } from '../../thoroughly.ts';
import { type Declared, type ServiceDomain, type StartedHelper, startServiceDomain } from './service-domain.ts';
import { type ToolsUpstream, toolsUpstream } from './tools-upstream.ts';

const folder = testFolders(async () => {
  await upstream.close();
  await domain.close();
});
let domain: ServiceDomain;
let helper: StartedHelper;
let upstream: ToolsUpstream;
beforeAll(async () => {
  domain = await startServiceDomain(folder());
  helper = await domain.helper({ bounds: { maxTasks: 1_000, maxTasksPerUser: 1_000, idleSeconds: 600 } });
  upstream = toolsUpstream(domain.connectionOf);
  domain.answer(upstream.handler);
});

const USERS = thoroughly(200, 50);
/** Calls under way at once: all three sides are one process in this test. */
const AT_ONCE = thoroughly(200, 32);
/** Tries of one call, of which some are cut off. */
const TRIES = 20;
const CALLS = thoroughly(100_000, 750);
/** Calls of a user one after the other, one by each way. */
const IN_A_ROW = 5;

/** A user of the service, with a task and clients of its own; the HTTP/2 session and the jar of cookies are those of all users. */
interface User {
  readonly declared: Declared;
  readonly mcp: Client;
}

/** The cookies of all local URLs by their names, as a client keeps them that knows hosts alone. */
const jar = new Map<string, string>();

async function userOf(declared: Declared): Promise<User> {
  const mcp = new Client({ name: 'service', version: '1.0.0' });
  await mcp.connect(new StreamableHTTPClientTransport(new URL(`${declared.forward['tools']}/mcp`)));
  return { declared, mcp };
}

/** A task. The issuer bounds the declarations of one client in a second. */
const declared = (): Promise<Declared> =>
  until(async () => {
    const made = await helper.declare();
    return made.status === 201 && made;
  });

/** The answer to a call, which is the task that the upstream saw; `null` if the call failed. */
type Way = (user: User, session: ClientHttp2Session) => Promise<string | null>;

const WAYS: Readonly<Record<string, Way>> = {
  // One pool of connections for all users, since their URLs have one origin.
  keepAlive: async ({ declared }) => {
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ');
    const answer = await fetch(`${declared.forward['tools']}/v1`, { headers: cookie === '' ? {} : { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = (line.split(';')[0] ?? '').split('=');
      jar.set(name, value);
      if (jar.size > 40) jar.delete([...jar.keys()][0] ?? '');
    }
    const text = await answer.text();
    return answer.ok ? text : null;
  },
  byHeader: async ({ declared }) => {
    const { origin } = new URL(declared.forward['tools'] ?? '');
    const answer = await fetch(`${origin}/v1`, { headers: declared.header });
    const text = await answer.text();
    return answer.ok ? text : null;
  },
  events: async ({ declared }) => {
    const answer = await fetch(`${declared.forward['tools']}/events`);
    const said = [...(await answer.text()).matchAll(/^data: (.*)$/gm)].map(([, task = '']) => task);
    return answer.ok ? [...new Set(said)].join() : null;
  },
  http2: ({ declared }, session) =>
    new Promise((resolve) => {
      const { pathname } = new URL(declared.forward['tools'] ?? '');
      const stream = session.request({ ':path': `${pathname}/v1` });
      let [text, status] = ['', 0];
      stream.setEncoding('utf8');
      stream
        .on('response', (headers) => (status = headers[':status'] ?? 0))
        .on('data', (chunk: string) => (text += chunk))
        .on('error', () => undefined)
        .on('close', () => resolve(status === 200 ? text : null));
    }),
  mcp: async ({ mcp }) => {
    const { content } = (await mcp.callTool({ name: 'whoami', arguments: {} })) as {
      readonly content: readonly { readonly text: string }[];
    };
    const [{ text } = { text: '' }] = content;
    // A fault of a loaded machine, such as a connection that took too long.
    return text.startsWith('Denied: ') ? null : text;
  },
};

// Issue 44, point 2.
describe(`${USERS} users of a service at once`, () => {
  it(
    `make ${CALLS} calls over one pool of connections, and none is in the task of another`,
    async () => {
      const users = await mapSeveral(Array.from({ length: USERS }), AT_ONCE, async () => userOf(await declared()));
      const session = connect(new URL(users[0]?.declared.forward['tools'] ?? '').origin);
      session.setMaxListeners(0);
      const ways = Object.entries(WAYS);
      const wrong: string[] = [];
      const made = new Map<string, number>();
      const calls = Array.from({ length: CALLS }, (_, call) => call);
      await mapSeveral(calls, AT_ONCE, async (call) => {
        const user = users[Math.floor(call / IN_A_ROW) % USERS];
        const [name = '', way] = ways[call % ways.length] ?? [];
        if (user === undefined || way === undefined) throw new Error('each call has a user and a way');
        for (let tries = TRIES; tries > 0; tries -= 1) {
          const task = await way(user, session).catch(() => null);
          if (typeof task !== 'string') continue;
          made.set(name, (made.get(name) ?? 0) + 1);
          if (task !== user.declared.task) wrong.push(`${name}: ${task} for ${user.declared.task}`);
          return;
        }
      });
      session.destroy();
      await Promise.all(users.map(({ mcp }) => mcp.close()));
      expect({ wrong, shared: upstream.shared }).toEqual({ wrong: [], shared: [] });
      expect([...made.keys()].toSorted()).toEqual(Object.keys(WAYS).toSorted());
      expect([...made.values()].reduce((sum, count) => sum + count, 0)).toBe(CALLS);
      await Promise.all(users.map(({ declared }) => fetch(declared.end, { method: 'DELETE' })));
      // The issuer bounds the ends of one client in a second; the helper asks again for the others.
      await until(() => users.every(({ declared }) => domain.run.stateOf(declared.task) === 'completed'));
    },
    thoroughly(7_200_000, 240_000),
  );
});
