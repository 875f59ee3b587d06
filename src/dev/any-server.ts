import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import type { HostPort } from '../tools/init/envoy-config.ts';
import { boundedBody } from './bounded-body.ts';

const MAX_SESSIONS = 64;
/** An empty gRPC message consists of its prefix. */
const EMPTY_MESSAGE_BYTES = 5;

/**
 * A server that answers any call in its protocol: HTTP with the received request, JSON-RPC (MCP, A2A) with a result, gRPC with
 * an empty message. HTTP/2 with prior knowledge, on a free loopback port. It trusts every client, since Envoy and Remit are in
 * front of it. A body of more than 64 KiB is 413.
 *
 * Lifecycle: `start` returns a listening server; `close` ends it and its connections.
 */
export class AnyServer {
  readonly address: HostPort;
  readonly #close: () => Promise<void>;

  private constructor(address: HostPort, close: () => Promise<void>) {
    this.address = address;
    this.#close = close;
  }

  static async start(): Promise<AnyServer> {
    const sessions = new Set<ServerHttp2Session>();
    const server = createServer((request, response) => void answer(request, response));
    server.on('session', (session) => {
      if (sessions.size >= MAX_SESSIONS) session.destroy();
      sessions.add(session);
      session.once('close', () => sessions.delete(session));
    });
    // The client disconnected: nobody reads the answer.
    server.on('sessionError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    return new AnyServer({ host: address.address, port: address.port }, async () => {
      const closed = once(server, 'close');
      server.close();
      for (const session of sessions) session.destroy();
      await closed;
    });
  }

  close(): Promise<void> {
    return this.#close();
  }
}

async function answer(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
  const body = await boundedBody(request);
  if (response.stream.destroyed) return;
  if (body === null) {
    response.writeHead(413).end();
    return;
  }
  if (request.headers['content-type']?.startsWith('application/grpc') === true) {
    response.addTrailers({ 'grpc-status': '0' });
    response.writeHead(200, { 'content-type': 'application/grpc' }).end(Buffer.alloc(EMPTY_MESSAGE_BYTES));
    return;
  }
  const message = jsonFrom(body);
  const rpc = 'jsonrpc' in message && 'method' in message ? message : null;
  if (rpc !== null && !('id' in rpc)) {
    response.writeHead(202).end();
    return;
  }
  const said =
    rpc === null
      ? { method: request.method, path: request.url, host: request.authority, body: body.toString('utf8') }
      : { jsonrpc: '2.0', id: 'id' in rpc ? rpc.id : null, result: resultOf(rpc) };
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(said)}\n`);
}

function resultOf(rpc: object): object {
  const { method = '', params = {} } = rpc as { readonly method?: unknown; readonly params?: unknown };
  if (method === 'initialize')
    return {
      protocolVersion: '2025-06-18',
      capabilities: { tools: {} },
      serverInfo: { name: 'remit dev', version: '0' },
    };
  if (method === 'tools/list') return { tools: [] };
  return { content: [{ type: 'text', text: `${String(method)} with ${JSON.stringify(params)}` }] };
}

function jsonFrom(body: Buffer): object {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
