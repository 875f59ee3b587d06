import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  CallToolRequestSchema,
  ListResourcesRequestSchema,
  ListToolsRequestSchema,
  ReadResourceRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';

declare global {
  // The SDK's types use this name, which Node's types lack.
  type HeadersInit = ConstructorParameters<typeof Headers>[0];
}

/** An MCP server made with the official SDK, with sessions and streams, and what it received. */
export interface McpTestServer {
  readonly address: HostPort;
  /** Each executed tool with its arguments. */
  readonly ran: readonly (readonly [tool: string, args: unknown])[];
  /** The task of each executed tool, in the same order. */
  readonly ranFor: readonly string[];
  /** Method and headers of each received HTTP request. */
  readonly requests: readonly { readonly method: string; readonly headers: IncomingHttpHeaders }[];
  readonly close: () => Promise<void>;
}

const INPUT = { type: 'object' as const, properties: { name: { type: 'string' }, days: { type: 'integer' } } };
const TOOLS = ['read_file', 'delete_file', 'share_file', 'lend_file', 'format_disk'];

/** Starts it on a free loopback port, at `/mcp`. */
export async function startMcpServer(): Promise<McpTestServer> {
  const ran: (readonly [string, unknown])[] = [];
  const ranFor: string[] = [];
  const requests: { method: string; headers: IncomingHttpHeaders }[] = [];
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const open = async (): Promise<StreamableHTTPServerTransport> => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, transport),
    });
    await toolServer(ran, ranFor).connect(transport);
    return transport;
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    requests.push({ method: request.method ?? '', headers: request.headers });
    const id = request.headers['mcp-session-id'];
    const transport = (typeof id === 'string' ? sessions.get(id) : undefined) ?? (await open());
    await transport.handleRequest(request, response);
  };
  const http = createServer((request, response) => void answer(request, response));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    address: { host: '127.0.0.1', port: address.port },
    ran,
    ranFor,
    requests,
    close: async () => {
      for (const transport of sessions.values()) await transport.close();
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
}

function toolServer(ran: (readonly [string, unknown])[], ranFor: string[]): Server {
  const server = new Server({ name: 'files', version: '1.0.0' }, { capabilities: { tools: {}, resources: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: TOOLS.map((name) => ({ name, inputSchema: INPUT })),
  }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { requestInfo }) => {
    ran.push([params.name, params.arguments]);
    ranFor.push(String(requestInfo?.headers['x-remit-task']));
    return { content: [{ type: 'text' as const, text: `${params.name} was run` }] };
  });
  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: [] }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => ({
    contents: [{ uri: params.uri, text: 'a resource' }],
  }));
  return server;
}
