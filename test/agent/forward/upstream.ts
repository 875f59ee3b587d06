import { once } from 'node:events';
import { rename } from 'node:fs/promises';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { openForwarders } from '../../../src/agent/forward/forwarders.ts';
import { forwardOptionsFrom } from '../../../src/agent/forward/forward-option.ts';
import { forwardTargetsFrom } from '../../../src/agent/forward/forward-target.ts';
import {
  defaultUpstreamBounds,
  type UpstreamBounds,
} from '../../../src/agent/forward/upstream/upstream-connections.ts';
import type { TaskCredential } from '../../../src/agent/task/issuer-client.ts';
import type { IssuerProblem } from '../../../src/agent/task/issuer-problem.ts';
import type { DenialStyle } from '../../../src/core/action/denial-style.ts';
import type { ListedTools } from '../../../src/agent/task/listed-tools.ts';
import { OwnSvid } from '../../../src/agent/run/own-svid.ts';
import {
  type CertificateAuthority,
  createAuthority,
  type SvidOptions,
  writeBundle,
  writeCredential,
} from '../../../src/dev/authority.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';

/** The resource of the tests, and the host of the upstream's certificate. */
export const RESOURCE = 'https://tools.acme.test';

/** Answers a request of HTTP/1.1. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Answers `ok`. */
export const answeringOk: Handler = (_request, response) => void response.end('ok');

/** A forwarder before a real server that requires mutual TLS. */
export interface ForwarderUnderTest {
  /** The local URL, with its secret. */
  readonly url: string;
  readonly port: number;
  /** `/secret` */
  readonly prefix: string;
  readonly socketPath: string;
  readonly mcpFile: string;
  readonly folder: string;
  /** What was told at the terminal. */
  readonly told: readonly string[];
  /** The server, for its `stream` events. */
  readonly server: Http2SecureServer;
  readonly authority: CertificateAuthority;
  /** Answers every later request. */
  readonly answer: (handler: Handler) => void;
  /** What `current` and `another` give from now on; `null`: a token bound to the SVID, whose text is `token-N`. */
  readonly keep: (change: Partial<Kept>) => void;
  /** Replaces the SVID; gives its thumbprint in lower-case hex. */
  readonly rotate: () => Promise<string>;
  readonly close: () => Promise<void>;
}

interface Kept {
  readonly current: () => Promise<TaskCredential | IssuerProblem>;
  readonly another: (refused: TaskCredential) => Promise<TaskCredential | IssuerProblem>;
}

/** A token bound to a certificate. */
export const credentialOf = (token: string, boundTo: string): TaskCredential => ({
  taskId: '0198c0de-0000-7000-8000-000000000001',
  token,
  type: 'Bearer',
  askedAtMs: Date.now(),
  expiresAtMs: Date.now() + 300_000,
  boundTo,
});

/** Starts both. @param settings of `--forward`, without `connect` */
export async function startForwarder(
  folder: string,
  {
    settings = '',
    url = RESOURCE,
    bounds = {},
    server: names = { dns: ['tools.acme.test'] },
    allowHttp1 = true,
    connect: at,
    listed,
    denials,
  }: {
    readonly settings?: string;
    readonly url?: string;
    readonly bounds?: Partial<UpstreamBounds>;
    readonly server?: SvidOptions;
    readonly allowHttp1?: boolean;
    readonly connect?: string;
    /** The tools that lists may show. Default: nothing is hidden. */
    readonly listed?: () => Promise<ListedTools | null>;
    /** How the upstream answers denied calls. Default: not known. */
    readonly denials?: () => DenialStyle | null;
  } = {},
): Promise<ForwarderUnderTest> {
  const authority = await createAuthority('acme.test', systemPorts);
  const own = await authority.svid('/ns/tools/sa/server', names);
  let handler: Handler = answeringOk;
  const server = createSecureServer({
    key: own.keyPem,
    cert: own.certPem,
    ca: authority.bundlePem,
    requestCert: true,
    rejectUnauthorized: true,
    allowHTTP1: allowHttp1,
  });
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  const answered = (request: unknown, response: unknown): void => {
    const asked = request as IncomingMessage;
    if (asked.httpVersionMajor === 1) handler(asked, response as ServerResponse);
  };
  server.on('request', answered).on('checkContinue', answered);
  server.on('sessionError', () => undefined).on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: upstreamPort } = server.address() as AddressInfo;
  const files = await writeCredential(folder, 'agent', await authority.svid('/ns/agents/sa/planner'));
  const bundle = await writeBundle(folder, 'bundle', authority);
  const svid = await OwnSvid.open({ kind: 'files', ...files, bundle }, systemPorts);
  const told: string[] = [];
  let count = 0;
  let kept: Kept = {
    current: async () => credentialOf(`token-${count}`, svid.thumbprint() ?? ''),
    another: async () => credentialOf(`token-${(count += 1)}`, svid.thumbprint() ?? ''),
  };
  const options = forwardOptionsFrom([`tools=${url},connect=${at ?? `127.0.0.1:${upstreamPort}`}${settings}`]);
  if ('problem' in options) throw new Error(options.problem);
  const targets = forwardTargetsFrom(options, [RESOURCE]);
  if ('problem' in targets) throw new Error(targets.problem);
  let privateFolder = '';
  const opened = await openForwarders(targets, {
    mcpServers: null,
    variables: {},
    svid,
    keeperOf: () => ({ current: () => kept.current(), another: (refused) => kept.another(refused) }),
    ...(listed === undefined ? {} : { listedOf: listed }),
    ...(denials === undefined ? {} : { denialsOf: denials }),
    ports: systemPorts,
    tell: (line) => void told.push(line),
    onFolder: (made) => (privateFolder = made),
    bounds: { ...defaultUpstreamBounds, ...bounds },
  });
  if ('problem' in opened) {
    svid.close();
    server.close();
    throw new Error(opened.problem);
  }
  const local = opened.variables['REMIT_FORWARD_TOOLS'] ?? '';
  return {
    url: local,
    port: Number(new URL(local).port),
    prefix: new URL(local).pathname,
    socketPath: opened.variables['REMIT_FORWARD_TOOLS_SOCKET'] ?? '',
    mcpFile: opened.variables['REMIT_MCP_SERVERS'] ?? '',
    folder: privateFolder,
    told,
    server,
    authority,
    answer: (next) => (handler = next),
    keep: (change) => (kept = { ...kept, ...change }),
    rotate: async () => {
      const before = svid.thumbprint();
      const next = await authority.svid('/ns/agents/sa/planner');
      const made = await writeCredential(folder, 'next', next);
      await rename(made.key, files.key);
      await rename(made.certificate, files.certificate);
      while (svid.thumbprint() === before) await new Promise((resolve) => setTimeout(resolve, 20));
      return svid.thumbprint() ?? '';
    },
    close: async () => {
      await opened.close();
      svid.close();
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}

/** Sends raw bytes to a port; gives all that came back until the connection ends, or for `forMs` at most. */
export function raw(port: number, text: string | readonly string[], forMs = 20_000): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let seen = '';
    const timer = setTimeout(() => socket.destroy(), forMs);
    socket
      .on('data', (chunk) => (seen += chunk.toString('latin1')))
      .on('error', () => undefined)
      .once('close', () => {
        clearTimeout(timer);
        resolve(seen);
      });
    for (const part of [text].flat()) socket.write(part, 'latin1');
  });
}

/** All of a stream. */
export async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
