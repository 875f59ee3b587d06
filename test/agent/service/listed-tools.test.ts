import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  ListToolsRequestSchema,
  type ListToolsResult,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { forwardOptionsFrom } from '../../../src/agent/forward/forward-option.ts';
import { forwardTargetsFrom } from '../../../src/agent/forward/forward-target.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import { must } from '../../builders/must.ts';
import { exampleCatalog, folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { scratch } from '../../builders/scratch.ts';
import { clientPart, describeWith } from '../../parts.ts';
import { type ServiceDomain, type StartedHelper, startServiceDomain } from './service-domain.ts';

const TICKETS = 'https://tickets.acme.test';

/** An MCP server of many tools, in pages of two, whose list the test can change. */
function pagedServer() {
  let names = ['search_customers', 'delete_customers', 'create_ticket', 'drop_all', 'search_customers_v2'];
  const servers = new Set<Server>();
  const transports = new Map<string, StreamableHTTPServerTransport>();
  const page = (cursor: string | undefined): ListToolsResult => {
    const from = Number(cursor ?? 0);
    const tools = names.slice(from, from + 2).map((name) => ({ name, inputSchema: { type: 'object' as const } }));
    return { tools, ...(from + 2 < names.length ? { nextCursor: String(from + 2) } : {}) };
  };
  const opened = async (isJson: boolean): Promise<StreamableHTTPServerTransport> => {
    const server = new Server({ name: 'tickets', version: '1' }, { capabilities: { tools: { listChanged: true } } });
    server.setRequestHandler(ListToolsRequestSchema, ({ params }) => page(params?.cursor));
    servers.add(server);
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: isJson,
      onsessioninitialized: (id) => void transports.set(id, transport),
    });
    await server.connect(transport);
    return transport;
  };
  return {
    handler: (isJson: boolean) => (request: IncomingMessage, response: ServerResponse) => {
      const known = transports.get(String(request.headers['mcp-session-id']));
      void (async () => (known ?? (await opened(isJson))).handleRequest(request, response))();
    },
    change: async (next: readonly string[]) => {
      names = [...next];
      for (const server of servers) await server.sendToolListChanged().catch(() => undefined);
    },
    close: async () => {
      for (const server of servers) await server.close();
    },
  };
}

/** A helper before the server, with intents of these names and contents below `access`. */
async function helperOf(domain: ServiceDomain, intents: Readonly<Record<string, string>>): Promise<StartedHelper> {
  for (const [name, access] of Object.entries(intents)) {
    const text = `purpose: tickets\naccess:\n  - resource: ${TICKETS}\n    ${access}\n`;
    writeFileSync(join(domain.intents, `${name}.yaml`), text);
  }
  const options = must(forwardOptionsFrom([`tickets=${TICKETS},connect=127.0.0.1:${domain.upstreamPort}`]));
  return domain.helper({ ...(await domain.plan()), forwards: must(forwardTargetsFrom(options, [TICKETS])) });
}

/** The names of all pages of a list. */
const pages = async (client: Client): Promise<readonly (readonly string[])[]> => {
  const all: string[][] = [];
  for (let cursor: string | undefined; ;) {
    const page = await client.listTools(cursor === undefined ? {} : { cursor });
    all.push(page.tools.map(({ name }) => name));
    cursor = page.nextCursor;
    if (cursor === undefined) return all;
  }
};

describe.each([
  ['JSON', true],
  ['events', false],
])('what a model sees of a service, in %s', (_name, isJson) => {
  const { folder, remove } = scratch();
  let domain: ServiceDomain;
  let helper: StartedHelper;
  let upstream: ReturnType<typeof pagedServer>;
  beforeAll(async () => {
    domain = await startServiceDomain(folder());
    upstream = pagedServer();
    domain.answer(upstream.handler(isJson));
    helper = await helperOf(domain, {
      search: 'actions: [tickets.search-customers]',
      write: 'actions: [tickets.search-customers, tickets.create]',
    });
  });
  afterAll(async () => {
    await upstream.close();
    await domain.close();
    remove();
  });

  const session = async (intent: string): Promise<Client> => {
    const { forward } = await helper.declare({ intent: `${intent}.yaml` });
    const client = new Client({ name: 'model', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${forward['tickets']}/mcp`)));
    return client;
  };
  it('is what each task could do, page by page, and again after the list has changed', async () => {
    const [searching, writing] = [await session('search'), await session('write')];
    expect(await pages(searching)).toEqual([['search_customers'], [], []]);
    expect(await pages(writing)).toEqual([['search_customers'], ['create_ticket'], []]);
    const changed = new Promise<void>((resolve) =>
      searching.setNotificationHandler(ToolListChangedNotificationSchema, () => resolve()),
    );
    await upstream.change(['create_ticket', 'search_customers']);
    await changed;
    expect(await pages(searching)).toEqual([['search_customers']]);
    expect(await pages(writing)).toEqual([['create_ticket', 'search_customers']]);
    await Promise.all([searching.close(), writing.close()]);
  });
});

/** A proxy that had no decision about the call. */
const undecided = (_request: IncomingMessage, response: ServerResponse): void => {
  response.writeHead(503, { 'x-remit-decision': 'deny;reason=envoy.no-decision', 'retry-after': '0' }).end();
};

describe.each([
  ['result', true],
  ['text', false],
])('a call that the forwarder denies, with `denials: %s` of the catalog', (style, isError) => {
  const { folder, remove } = scratch();
  let domain: ServiceDomain;
  let upstream: ReturnType<typeof pagedServer>;
  beforeAll(async () => {
    const catalog = exampleCatalog.replace('      path: /mcp\n', `      path: /mcp\n      denials: ${style}\n`);
    domain = await startServiceDomain(folder(), { change: { catalog: mustCatalog(catalog) } });
    upstream = pagedServer();
  });
  afterAll(async () => {
    await upstream.close();
    await domain.close();
    remove();
  });

  it.each([
    ['has listed the tools', pages],
    ['has listed nothing', async (_client: Client) => []],
  ])('is a result of a tool to a client of MCP that %s', async (_what, before) => {
    domain.answer(upstream.handler(true));
    const helper = await helperOf(domain, { search: 'actions: [tickets.search-customers]' });
    const { forward } = await helper.declare({ intent: 'search.yaml' });
    const client = new Client({ name: 'model', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${forward['tickets']}/mcp`)));
    await before(client);
    domain.answer(undecided);
    expect(await client.callTool({ name: 'search_customers', arguments: {} })).toMatchObject({
      isError,
      content: [{ type: 'text', text: expect.stringContaining('reason: forward.no-decision') }],
      _meta: { 'remit.dev/denial': { reason: 'forward.no-decision' } },
    });
    await client.close();
  });
});

const LIMITS = `limits:
  - id: searches-a-day
    agents: ['spiffe://acme.test/ns/agents/sa/*']
    actions: [tickets.search-customers]
    per: [agent]
    window: 1d
    calls: 200
`;

// Issue 44, point 5.
describeWith(clientPart('mcp-python-2'), 'what a model sees of a service, with the Python SDK 2.x', (at) => {
  const { folder, remove } = scratch();
  let domain: ServiceDomain;
  let upstream: ReturnType<typeof pagedServer>;
  beforeAll(async () => {
    const described = exampleCatalog.replace('      path: /mcp\n', '      path: /mcp\n      describeLimits: true\n');
    const { limits } = await mustLoad(
      folderWith('@id("all") permit (principal, action, resource);', { limits: LIMITS }),
    );
    domain = await startServiceDomain(folder(), { change: { catalog: mustCatalog(described), taskLimits: limits } });
    upstream = pagedServer();
    domain.answer(upstream.handler(false));
  });
  afterAll(async () => {
    await upstream.close();
    await domain.close();
    remove();
  });

  it('is what the task could do, with its limits and those over all tasks in the descriptions', async () => {
    const helper = await helperOf(domain, {
      few: 'actions: [tickets.search-customers]\n    constraints: { max_calls: 5 }',
    });
    const { forward } = await helper.declare({ intent: 'few.yaml' });
    const { stdout } = await promisify(execFile)('python3', [join(import.meta.dirname, 'mcp_lists.py')], {
      env: { PATH: process.env['PATH'], PYTHONPATH: at, URL: `${forward['tickets']}/mcp` },
    });
    const limits =
      'Limits in this task: at most 5 calls in all. Limits over all tasks: at most 200 calls a day (this agent).';
    expect(JSON.parse(stdout)).toEqual([[['search_customers', limits]], [], []]);
  });
});
