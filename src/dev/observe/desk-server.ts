import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { HostPort } from '../../tools/init/envoy-config.ts';
import { boundedBody } from '../bounded-body.ts';

/**
 * A tool server that knows nothing of Remit: tickets over HTTP, and MCP at `/mcp`. It answers any call with 200 and counts what reached it. It
 * trusts every client, since Envoy is in front of it.
 *
 * Lifecycle: `start` returns a listening server; `close` ends it and its connections.
 */
export class DeskServer {
  readonly address: HostPort;
  readonly #server: Server;
  readonly #received: { count: number };

  private constructor(server: Server, received: { count: number }) {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    this.address = { host: address.address, port: address.port };
    this.#server = server;
    this.#received = received;
  }

  static async start(): Promise<DeskServer> {
    const received = { count: 0 };
    const server = createServer((request, response) => {
      received.count += 1;
      void answer(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new DeskServer(server, received);
  }

  /** How many calls reached it. */
  get received(): number {
    return this.#received.count;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const message = await messageOf(request);
  response.writeHead(message === null ? 413 : 200, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(message === null ? {} : said(request, message))}\n`);
}

const said = ({ method, url }: IncomingMessage, message: object): object =>
  'jsonrpc' in message
    ? { jsonrpc: '2.0', id: 'id' in message ? message.id : null, result: { content: [{ type: 'text', text: 'done' }] } }
    : { done: `${method} ${url}` };

/** The JSON object of a body; empty for other bodies, `null` for one that is too long. */
async function messageOf(request: IncomingMessage): Promise<object | null> {
  const body = await boundedBody(request);
  if (body === null) return null;
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
