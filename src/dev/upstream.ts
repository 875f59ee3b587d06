import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { once } from 'node:events';
import type { HostPort } from '../tools/init/envoy-config.ts';
import { boundedBody } from './bounded-body.ts';

/** The two tool servers. */
export type ToolServerName = 'payments' | 'files';

/** A call that reached a tool server. */
export interface ReceivedCall {
  readonly method: string;
  /** As received, with the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** UTF-8, at most 64 KiB. */
  readonly body: string;
}

type Answer = readonly [status: number, body: object];

/**
 * A route: method, path with at most one captured segment, and handler; `fields` are those of the JSON body, the only source of
 * arguments in its catalog entries.
 */
type Route = readonly [method: string, path: RegExp, answer: (segment: string, fields: object) => Answer];

const maxCalls = 100;
const maxEntries = 1000;

/**
 * A small tool server with in-memory JSON data, for the demo, `remit dev` and tests. It trusts every client, since Envoy and
 * Remit are in front of it. Lifecycle: `start` returns a listening server; `close` ends it and its connections.
 */
export class ToolServer {
  readonly name: ToolServerName;
  readonly address: HostPort;
  readonly #server: Server;
  readonly #received: ReceivedCall[];

  private constructor(name: ToolServerName, server: Server, received: ReceivedCall[]) {
    this.name = name;
    this.#server = server;
    this.#received = received;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the tool server has no port');
    this.address = { host: address.address, port: address.port };
  }

  /** Starts the tool server `name`, on a free loopback port by default. Rejects if the port is taken. */
  static async start(
    name: ToolServerName,
    { host, port }: HostPort = { host: '127.0.0.1', port: 0 },
  ): Promise<ToolServer> {
    const routes = tools[name]();
    const received: ReceivedCall[] = [];
    // Node.js closes an idle connection after 5 s, in which Envoy may have just sent a call: 503. Envoy closes it after an hour.
    const server = createServer({ keepAliveTimeout: 0 }, (request, response) => void answer(request, response));
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const [status, body] = await answerTo(request, routes, received);
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
    };
    server.listen(port, host);
    await once(server, 'listening');
    return new ToolServer(name, server, received);
  }

  /** The last 100 received calls, oldest first. */
  received(): readonly ReceivedCall[] {
    return [...this.#received];
  }

  /** Stops listening and drops connections. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answerTo(request: IncomingMessage, routes: readonly Route[], received: ReceivedCall[]): Promise<Answer> {
  const bytes = await boundedBody(request);
  if (bytes === null) return [413, { error: 'the body is too long' }];
  const body = bytes.toString('utf8');
  const { method = '', url = '', headers } = request;
  received.push({ method, path: url, headers, body });
  if (received.length > maxCalls) received.shift();
  const [path = ''] = url.split('?');
  const fields = fieldsOf(body);
  for (const [wanted, pattern, answer] of routes) {
    const match = wanted === method ? pattern.exec(path) : null;
    if (match !== null) return answer(match[1] ?? '', fields);
  }
  return [404, { error: 'no such resource' }];
}

/** The members of a JSON object; empty for other bodies. */
function fieldsOf(body: string): object {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

const found = (entry: object | undefined): Answer =>
  entry === undefined ? [404, { error: 'no such resource' }] : [200, entry];

/** Adds an entry; drops the oldest above the limit. */
function put(entries: Map<string, object>, id: string, entry: object): object {
  entries.set(id, entry);
  const [oldest] = entries.keys();
  if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest);
  return entry;
}

function paymentRoutes(): readonly Route[] {
  const payments = new Map<string, object>([
    ['p-1', { id: 'p-1', amount: 120, currency: 'EUR', to: 'Hotel Adler', status: 'settled' }],
    ['p-2', { id: 'p-2', amount: 75, currency: 'EUR', to: 'City Taxi', status: 'settled' }],
  ]);
  let last = payments.size;
  return [
    ['GET', /^\/v1\/payments$/, () => [200, { payments: [...payments.values()] }]],
    ['GET', /^\/v1\/payments\/([^/]+)$/, (id) => found(payments.get(id))],
    [
      'POST',
      /^\/v1\/payments$/,
      (_, fields) => {
        last += 1;
        const id = `p-${last}`;
        return [201, put(payments, id, { ...fields, id, status: 'accepted' })];
      },
    ],
    [
      'POST',
      /^\/v1\/payments\/([^/]+)\/refund$/,
      (id) => {
        const payment = payments.get(id);
        return found(payment && put(payments, id, { ...payment, status: 'refunded' }));
      },
    ],
  ];
}

function fileRoutes(): readonly Route[] {
  const files = new Map<string, object>([
    ['trip-report', { name: 'trip-report', text: 'Two nights, one taxi.' }],
    ['budget', { name: 'budget', text: 'Travel: 2,000 EUR.' }],
  ]);
  return [
    ['GET', /^\/v1\/files$/, () => [200, { files: [...files.keys()] }]],
    ['GET', /^\/v1\/files\/([^/]+)$/, (name) => found(files.get(name))],
    ['PUT', /^\/v1\/files\/([^/]+)$/, (name, fields) => [200, put(files, name, { ...fields, name })]],
    ['DELETE', /^\/v1\/files\/([^/]+)$/, (name) => (files.delete(name) ? [200, { deleted: name }] : found(undefined))],
  ];
}

const tools: Readonly<Record<ToolServerName, () => readonly Route[]>> = { payments: paymentRoutes, files: fileRoutes };
