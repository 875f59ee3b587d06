import { mkdirSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { forwardOptionsFrom } from '../../../src/agent/forward/forward-option.ts';
import { forwardTargetsFrom } from '../../../src/agent/forward/forward-target.ts';
import { type Helper, type HelperPlan, openHelper } from '../../../src/agent/service/helper.ts';
import { templatesIn } from '../../../src/agent/service/templates.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { must } from '../../builders/must.ts';
import { claimsOf, type RunDomain, startRunDomain } from '../run/domain.ts';

export const PAYMENTS = 'https://payments.acme.test';
export const FILES = 'https://files.acme.test';

/** What the upstream saw of a call. */
export interface SeenCall {
  readonly task: string;
  readonly audience: string;
  readonly subject: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Another one for each connection. */
  readonly connection: number;
}

/** An issuer, an upstream of mutual TLS that says what it saw, and helpers of the agent. */
export interface ServiceDomain {
  readonly run: RunDomain;
  readonly intents: string;
  readonly upstream: Http2SecureServer;
  readonly upstreamPort: number;
  /** Answers every later request instead. */
  readonly answer: (handler: ((request: IncomingMessage, response: ServerResponse) => void) | null) => void;
  /** The number of the connection of a request. */
  readonly connectionOf: (request: IncomingMessage) => number;
  readonly plan: (change?: Partial<HelperPlan>) => Promise<HelperPlan>;
  /** Starts a helper in this process, which `close` ends. */
  readonly helper: (change?: Partial<HelperPlan>) => Promise<StartedHelper>;
  readonly close: () => Promise<void>;
}

export interface StartedHelper extends Helper {
  readonly told: readonly string[];
  /** `POST /tasks`. */
  readonly declare: (request?: Readonly<Record<string, unknown>>, init?: RequestInit) => Promise<Declared>;
}

/** The answer to `POST /tasks`. */
export interface Declared {
  readonly status: number;
  readonly headers: Headers;
  readonly task: string;
  readonly forward: Readonly<Record<string, string>>;
  readonly end: string;
  readonly sockets: Readonly<Record<string, { readonly path: string; readonly prefix: string }>>;
  readonly header: Readonly<Record<string, string>>;
  readonly tasks?: Readonly<Record<string, string>>;
  readonly error?: string;
  readonly message?: string;
  readonly next?: string;
}

const access = (resource: string, action: string, more = ''): string =>
  `  - resource: ${resource}\n    actions: [${action}]\n${more}`;

export async function startServiceDomain(
  folder: string,
  options: Parameters<typeof startRunDomain>[1] = {},
): Promise<ServiceDomain> {
  const run = await startRunDomain(folder, { tokenSeconds: 60, ...options });
  const intents = join(folder, 'intents');
  mkdirSync(intents, { recursive: true });
  writeFileSync(join(intents, 'look.yaml'), `purpose: look at payments\naccess:\n${access(PAYMENTS, 'payments.read')}`);
  writeFileSync(
    join(intents, 'bounded.yaml'),
    `purpose: look at few\nexpires_in: 2m\naccess:\n${access(PAYMENTS, 'payments.read', '    constraints: { max_calls: 5 }\n')}`,
  );
  writeFileSync(
    join(intents, 'both.yaml'),
    `purpose: look at both\naccess:\n${access(PAYMENTS, 'payments.read')}${access(FILES, 'files.read')}`,
  );
  const own = await run.authority.svid('/ns/tools/sa/server', {
    dns: ['payments.acme.test', 'files.acme.test', 'tickets.acme.test'],
  });
  const connections = new WeakMap<object, number>();
  let count = 0;
  const connectionOf = (request: IncomingMessage): number => {
    // A request of HTTP/2 has a stand-in for its socket.
    const held = 'stream' in request ? (request.stream as ServerHttp2Stream).session : request.socket;
    const known = connections.get(held ?? request) ?? (count += 1);
    connections.set(held ?? request, known);
    return known;
  };
  const saying = (request: IncomingMessage, response: ServerResponse): void => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(seenOf(request, connectionOf(request))));
  };
  let handler = saying;
  const upstream = createSecureServer({
    key: own.keyPem,
    cert: own.certPem,
    ca: run.authority.bundlePem,
    requestCert: true,
    rejectUnauthorized: true,
    allowHTTP1: true,
  });
  upstream.on('request', (request, response) =>
    // Its objects for HTTP/2 have what is used of those for HTTP/1.1.
    handler(request as unknown as IncomingMessage, response as unknown as ServerResponse),
  );
  const sockets = new Set<Socket>();
  upstream.on('secureConnection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  upstream.on('sessionError', () => undefined).on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const upstreamPort = (upstream.address() as AddressInfo).port;
  const helpers: Helper[] = [];
  const plan: ServiceDomain['plan'] = async (change = {}) => {
    const options = must(
      forwardOptionsFrom(
        [`tools=${PAYMENTS}`, `files=${FILES}`].map((one) => `${one},connect=127.0.0.1:${upstreamPort}`),
      ),
    );
    return {
      issuer: run.place,
      templates: must(await templatesIn(intents)),
      takesOwnIntents: false,
      forwards: must(forwardTargetsFrom(options, [PAYMENTS, FILES])),
      folder: null,
      port: null,
      hasProofs: false,
      bounds: { maxTasks: 100, maxTasksPerUser: 100, idleSeconds: 60 },
      ...change,
    };
  };
  return {
    run,
    intents,
    upstream,
    upstreamPort,
    answer: (next) => (handler = next ?? saying),
    connectionOf,
    plan,
    helper: async (change = {}) => {
      const told: string[] = [];
      const opened = must(
        await openHelper(await plan(change), { ports: systemPorts, tell: (line) => void told.push(line) }),
      );
      helpers.push(opened);
      return {
        ...opened,
        told,
        declare: (request, init) => declaredAt(opened.variables['REMIT_TASKS'] ?? '', request, init),
      };
    },
    close: async () => {
      for (const helper of helpers) await helper.close();
      for (const socket of sockets) socket.destroy();
      upstream.close();
      await run.close();
    },
  };
}

/** Posts a request for a task. */
export async function declaredAt(
  url: string,
  request: Readonly<Record<string, unknown>> = { intent: 'look.yaml' },
  init: RequestInit = {},
): Promise<Declared> {
  const answer = await fetch(url, {
    method: 'POST',
    body: JSON.stringify(request),
    headers: { 'content-type': 'application/json' },
    ...init,
  });
  const { headers, status } = answer;
  return { ...((await answer.json()) as Declared), headers, status };
}

/** Parses what a request shows of its task, as its upstream sees it. */
export function seenOf(request: IncomingMessage, connection: number): SeenCall {
  const claims = claimsOf((request.headers.authorization ?? '').split(' ')[1] ?? '');
  return {
    task: String(claims['txn']),
    audience: String(claims['aud']),
    subject: String(claims['sub']),
    url: request.url ?? '',
    headers: request.headers as Record<string, string>,
    connection,
  };
}

/** A call at a local URL, and what the upstream saw of it. */
export async function seenAt(url: string, init: RequestInit = {}): Promise<SeenCall & { readonly status: number }> {
  const answer = await fetch(url, init);
  return { ...((await answer.json()) as SeenCall), status: answer.status };
}
