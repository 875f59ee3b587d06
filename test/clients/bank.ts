import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ElicitResultSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';

/** An MCP server of an official SDK that pays: by `pay` at once, by `transfer` what a person answers to its question. */
export interface Bank {
  readonly address: HostPort;
  /** Every amount that was paid. */
  readonly paid: readonly unknown[];
  /** The body of every request that reached it. */
  readonly received: readonly string[];
  readonly close: () => Promise<void>;
}

const INPUT = { type: 'object' as const, properties: { amount: { type: 'integer' } } };
const QUESTION = {
  message: 'How much?',
  requestedSchema: {
    type: 'object' as const,
    properties: { amount: { type: 'integer' as const } },
    required: ['amount'],
  },
};
/** How long the bank waits for an answer: one that was denied never comes. */
const WAIT_MS = 3_000;

/** Starts a bank of the SDK 1.x, with sessions, which asks by elicitation. */
export async function startBank1(): Promise<Bank> {
  const [paid, received]: [unknown[], string[]] = [[], []];
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const open = async (): Promise<StreamableHTTPServerTransport> => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, transport),
    });
    await bankServer(paid).connect(transport);
    return transport;
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const body = Buffer.concat(chunks).toString();
    if (request.method === 'POST') received.push(body);
    const id = request.headers['mcp-session-id'];
    const transport = (typeof id === 'string' ? sessions.get(id) : undefined) ?? (await open());
    await transport.handleRequest(request, response, body === '' ? undefined : JSON.parse(body));
  };
  const http = createServer((request, response) => void answer(request, response));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('the bank has no port');
  return {
    address: { host: '127.0.0.1', port: address.port },
    paid,
    received,
    close: async () => {
      for (const transport of sessions.values()) await transport.close();
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
}

function bankServer(paid: unknown[]): Server {
  const server = new Server({ name: 'bank', version: '1.0.0' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: ['pay', 'transfer'].map((name) => ({ name, inputSchema: INPUT })),
  }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { sendRequest }) => {
    const asked = { method: 'elicitation/create' as const, params: QUESTION };
    const answered =
      params.name === 'transfer'
        ? await sendRequest(asked, ElicitResultSchema, { timeout: WAIT_MS }).catch(() => null)
        : { content: params.arguments };
    if (answered === null) return { isError: true, content: [{ type: 'text' as const, text: 'nobody answered' }] };
    const amount = answered.content?.['amount'];
    paid.push(amount);
    return { content: [{ type: 'text' as const, text: `paid ${String(amount)}` }] };
  });
  return server;
}

/** Starts a bank of the SDK 2.x in a process of its own, which serves all revisions. @param packages where the SDK is */
export async function startBank2(packages: string): Promise<Bank> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-bank-'));
  await cp(join(import.meta.dirname, 'node/bank-server-2.mjs'), join(folder, 'bank.mjs'));
  await symlink(join(packages, 'node_modules'), join(folder, 'node_modules'));
  const [paid, received]: [unknown[], string[]] = [[], []];
  const child = spawn(process.execPath, [join(folder, 'bank.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<number>((settle, fail) => {
    child.once('exit', () => fail(new Error('the bank ended')));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const parsed = JSON.parse(line) as {
        readonly port?: number;
        readonly paid?: unknown;
        readonly received?: string;
      };
      if (parsed.port !== undefined) settle(parsed.port);
      if ('paid' in parsed) paid.push(parsed.paid);
      if (parsed.received !== undefined && parsed.received !== '') received.push(parsed.received);
    });
  });
  return {
    address: { host: '127.0.0.1', port },
    paid,
    received,
    close: async () => {
      const over = once(child, 'exit');
      child.kill();
      await over;
      await rm(folder, { recursive: true });
    },
  };
}
