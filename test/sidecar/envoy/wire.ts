import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uuidV7 } from '../../../src/core/decision/uuid.ts';
import { EnvoyProcess } from '../../../src/dev/envoy.ts';
import { authorizationHandler, refusalsFrom } from '../../../src/sidecar/envoy/authorization.ts';
import type { Answer } from '../../../src/sidecar/check/answer.ts';
import { AuthorizationServer } from '../../../src/sidecar/envoy/server.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { type Check, checksBy, oneByOne, type OneHandler, oneOf } from './handlers.ts';
import { type ListenerName, wireConfig } from './wire-config.ts';
import { must } from '../../builders/must.ts';

/** The raw answer to a request. */
export interface Answered {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** A request as received by the upstream. */
interface Forwarded {
  readonly url: string;
  /** Names in lower case, in order, with repetitions. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** Concurrent checks in the server under test. */
export const MAX_IN_FLIGHT = 16;
const response = { helpUrl: 'https://remit.test/reasons' };
/** A new decision id. */
export const newDecisionId = () => uuidV7(systemPorts.nowMs(), systemPorts.randomBytes(16));
/** Denials of the server. */
export const refuse = refusalsFrom({ response, newDecisionId });
/** A check that allows everything. */
export const allow: Check = async () => answerWith({ decision: { kind: 'allow', policyIds: ['p'], observed: null } });

/** An answer with the given members. */
export const answerWith = (over: Pick<Answer, 'decision'> & Partial<Answer>): Answer => ({
  decisionId: newDecisionId(),
  taskId: null,
  agent: null,
  action: null,
  resourceMetadataUrl: null,
  traceId: null,
  transactionToken: null,
  passing: [],
  ...over,
});

/** The handler of a server that answers with a check. */
export const handlerOf = (check: Check, partialBodyBytes: number | null = null): OneHandler =>
  oneOf(authorizationHandler(checksBy(check), { rules: { partialBodyBytes }, response, refuse }));

/** Sends raw bytes, one request per connection, so that the client normalises nothing. */
const send = (port: number, head: readonly string[], body: string | Uint8Array = '') =>
  new Promise<Answered>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.once('error', reject);
    socket.once('close', () => resolve(answeredFrom(Buffer.concat(chunks).toString('latin1'))));
    socket.write(Buffer.from([...head, 'connection: close', '', ''].join('\r\n'), 'latin1'));
    socket.write(body);
  });

const answeredFrom = (text: string): Answered => {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [name = '', value = ''] = line.split(/: (.*)/);
    headers.set(name, headers.has(name) ? `${headers.get(name)} | ${value}` : value);
  }
  return { status: Number(statusLine.split(' ')[1] ?? 0), headers, body: rest.join('\r\n\r\n') };
};

/** The head of a GET. */
export const get = (path: string, ...headers: readonly string[]) => [
  `GET ${path} HTTP/1.1`,
  'host: Api.Test:80',
  ...headers,
];
/** The head of a POST with a body. */
export const post = (path: string, body: string | Uint8Array, ...headers: readonly string[]) => [
  `POST ${path} HTTP/1.1`,
  'host: api.test',
  `content-length: ${Buffer.from(body).length}`,
  ...headers,
];

/** Everything for one version: Envoy, the server under test, and an upstream that remembers. */
export class Wire {
  handler: OneHandler = handlerOf(allow);
  readonly forwarded: Forwarded[] = [];
  readonly faults: unknown[] = [];
  readonly ports = new Map<string, number>();
  readonly server: AuthorizationServer;
  readonly envoy: EnvoyProcess;
  readonly #upstream: Server;
  readonly #folder: string;

  private constructor(parts: {
    readonly server: (wire: Wire) => AuthorizationServer;
    readonly envoy: EnvoyProcess;
    readonly upstream: Server;
    readonly folder: string;
  }) {
    this.server = parts.server(this);
    this.envoy = parts.envoy;
    this.#upstream = parts.upstream;
    this.#folder = parts.folder;
    parts.upstream.on('request', (request, reply) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const headers = request.rawHeaders.flatMap((text: string, index: number) =>
          index % 2 === 0 ? [[text.toLowerCase(), request.rawHeaders[index + 1] ?? ''] as const] : [],
        );
        this.forwarded.push({ url: request.url ?? '', headers, body: Buffer.concat(chunks).toString() });
        reply.end('upstream');
      });
    });
  }

  static async start(binary: string, names?: readonly ListenerName[]): Promise<Wire> {
    const folder = await mkdtemp(join(tmpdir(), 'remit-wire-'));
    const checkSocket = join(folder, 'check.sock');
    const upstream = createServer();
    const upstreamPort = await new Promise<number>((resolve) => {
      upstream.listen(0, '127.0.0.1', () => {
        const address = upstream.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    const config = (adminSocket: string) => wireConfig({ adminSocket, checkSocket, upstreamPort }, names);
    const envoy = must(await EnvoyProcess.start({ binary, config }));
    const server = (wire: Wire) =>
      new AuthorizationServer(
        oneByOne((bytes, call) => wire.handler(bytes, call)),
        {
          ...systemPorts,
          refuse,
          maxInFlight: MAX_IN_FLIGHT,
          onFault: (error) => wire.faults.push(error),
        },
      );
    const wire = new Wire({ server, envoy, upstream, folder });
    must(await wire.server.listen([`unix:${checkSocket}`]));
    const listeners: {
      listener_statuses: { name: string; local_address: { socket_address: { port_value: number } } }[];
    } = JSON.parse((await envoy.admin('/listeners?format=json')).body);
    for (const { name, local_address: address } of listeners.listener_statuses) {
      wire.ports.set(name, address.socket_address.port_value);
    }
    return wire;
  }

  readonly to = (listener: ListenerName, head: readonly string[], body?: string | Uint8Array): Promise<Answered> =>
    send(this.ports.get(listener) ?? 0, head, body);

  /** Sends a request and returns a function that disconnects before the answer. */
  readonly leaves = (listener: ListenerName, head: readonly string[]): (() => void) => {
    const socket = connect(this.ports.get(listener) ?? 0, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(Buffer.from([...head, '', ''].join('\r\n'), 'latin1'));
    return () => socket.resetAndDestroy();
  };

  /** The status of a request over HTTP/2, or 0 where its stream was reset. */
  readonly overHttp2 = (listener: ListenerName, headers: Readonly<Record<string, string>>): Promise<number> =>
    new Promise((resolve) => {
      const session = connectHttp2(`http://127.0.0.1:${this.ports.get(listener)}`);
      const settle = (status: number) => {
        session.destroy();
        resolve(status);
      };
      session.on('error', () => settle(0));
      session.once('remoteSettings', () => {
        const stream = session.request({ ':authority': 'api.test', ...headers }, { endStream: true });
        stream.on('error', () => settle(0)).on('close', () => settle(0));
        stream.once('response', (head) => settle(Number(head[':status'])));
      });
    });

  async stop(): Promise<void> {
    await this.envoy.stop();
    await this.server.close(100);
    this.#upstream.closeAllConnections();
    await new Promise((resolve) => this.#upstream.close(resolve));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
