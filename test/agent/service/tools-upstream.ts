import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { claimsOf } from '../run/domain.ts';

/** An upstream that watches over what two tasks may not share, and says whose each call is. */
export interface ToolsUpstream {
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  /** What was shared: a connection, a session, a cookie. */
  readonly shared: readonly string[];
  /** Requests that were seen. */
  readonly requests: () => number;
  /** Closes all sessions. */
  readonly close: () => Promise<void>;
}

interface Session {
  readonly transport: StreamableHTTPServerTransport;
  readonly task: string;
}

const taskOf = (authorization: unknown): string => String(claimsOf(String(authorization).split(' ')[1] ?? '')['txn']);

/** Answers `/mcp` by sessions of MCP, `/events` by a stream of events, and all else by the task; each call in 40 is refused or cut off once. */
export function toolsUpstream(connectionOf: (request: IncomingMessage) => number): ToolsUpstream {
  const shared: string[] = [];
  const sessions = new Map<string, Session>();
  const connections = new Map<number, string>();
  let count = 0;
  const watched = (request: IncomingMessage, task: string): void => {
    const connection = connectionOf(request);
    if ((connections.get(connection) ?? task) !== task) shared.push(`connection ${connection}`);
    connections.set(connection, task);
    const [, sid = task] = /(?:^|; )sid=([^;]*)/.exec(request.headers.cookie ?? '') ?? [];
    if (sid !== task) shared.push(`cookie of ${sid} at ${task}`);
  };
  const mcp = async (request: IncomingMessage, response: ServerResponse, task: string): Promise<void> => {
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (known !== undefined && known.task !== task) shared.push(`session of ${known.task} at ${task}`);
    if (id !== undefined && known === undefined) return void response.writeHead(404).end();
    const transport = known?.transport ?? (await opened(task));
    await transport.handleRequest(request, response);
    return undefined;
  };
  const opened = async (task: string): Promise<StreamableHTTPServerTransport> => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, { transport, task }),
    });
    await whoami().connect(transport);
    return transport;
  };
  return {
    shared,
    requests: () => count,
    handler: (request, response) => {
      count += 1;
      const task = taskOf(request.headers.authorization);
      watched(request, task);
      const { pathname } = new URL(request.url ?? '', 'https://tools.test');
      if (pathname === '/mcp') return void mcp(request, response, task);
      // What makes a client, or the forwarder, send a request again.
      if (count % 41 === 0) return void response.writeHead(401).end();
      if (count % 43 === 0 && request.httpVersionMajor === 1) return void request.socket.destroy();
      response.setHeader('set-cookie', `sid=${task}; Path=/`);
      if (pathname !== '/events') return void response.end(task);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(`data: ${task}\n\n`);
      setImmediate(() => response.end(`data: ${task}\n\n`));
      return undefined;
    },
    close: async () => {
      await Promise.all([...sessions.values()].map(({ transport }) => transport.close()));
    },
  };
}

/** A server with a tool that says the task of the request by which it was called. */
function whoami(): Server {
  const server = new Server({ name: 'whoami', version: '1.0.0' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: [{ name: 'whoami', inputSchema: { type: 'object' as const, properties: {} } }],
  }));
  server.setRequestHandler(CallToolRequestSchema, (_call, { requestInfo }) => ({
    content: [{ type: 'text' as const, text: taskOf(requestInfo?.headers['authorization']) }],
  }));
  return server;
}
