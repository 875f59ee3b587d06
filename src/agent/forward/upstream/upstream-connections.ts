import { Agent, type AgentOptions, type ClientRequestArgs } from 'node:http';
import { isIP, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  getCACertificates,
  type ConnectionOptions,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { type Svid, tlsMaterialOf } from '../../../core/identity/svid.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { repeatedly } from '../../../core/runtime/repeatedly.ts';
import { after } from '../../../core/runtime/timers.ts';
import { type OwnSvid, thumbprintOf } from '../../run/own-svid.ts';
import { notServerId } from '../../run/server-id.ts';
import type { ForwardTarget } from '../forward-target.ts';
import { isInMesh, meshConnection, meshProblem, type MeshRoute, meshRouteTo } from './mesh-connection.ts';
import { secured, UpstreamSessions } from './upstream-sessions.ts';

/** Bounds of the connections to one upstream. */
export interface UpstreamBounds {
  /** Most connections over HTTP/1.1; further requests wait for a free connection. */
  readonly maxSockets: number;
  /** Longest time to connect, TLS included. */
  readonly connectMs: number;
  /** How long an unused connection is kept. Shorter than the keep-alive of common servers, so that no connection is reused as it closes. */
  readonly unusedMs: number;
  /** Longest time without a byte in either direction while a request is under way. */
  readonly idleMs: number;
}

/** Generous: a tool may work for an hour without a byte. */
export const defaultUpstreamBounds: UpstreamBounds = {
  maxSockets: 256,
  connectMs: 10_000,
  unusedMs: 4_000,
  idleMs: 7_200_000,
};

/** Interval for checking the route of plaintext calls again. */
const LOOK_MS = 5_000;

/** Code of the error of a connection that was not ready in time. */
export const CONNECT_TIMEOUT = 'REMIT_CONNECT_TIMEOUT';

/**
 * The connections to one upstream, over mutual TLS. Each belongs to one client certificate. After a rotation new requests get
 * new connections; connections of the old certificate serve the requests that they have, then close.
 *
 * Lifecycle: from the constructor to `close`.
 */
export class UpstreamConnections {
  readonly #target: ForwardTarget;
  readonly #svid: Pick<OwnSvid, 'now'>;
  readonly #bounds: UpstreamBounds;
  /** PEM of the CA certificates; `null` for the bundle of the SVID. */
  readonly #authorities: readonly string[] | null;
  /** The way by the sidecar of this pod; `null`: by TLS of our own. */
  readonly #route: MeshRoute | null;
  #current: CertificateConnections | null = null;
  #isRenewed = false;
  #stopLooking: () => Promise<void> = () => Promise.resolve();

  /** @param authorities the content of the target's `ca` file; ignored for the others */
  constructor(
    target: ForwardTarget,
    {
      svid,
      bounds,
      authorities,
    }: {
      readonly svid: Pick<OwnSvid, 'now' | 'onChange'>;
      readonly bounds: UpstreamBounds;
      readonly authorities: readonly string[];
    },
  ) {
    this.#target = target;
    this.#svid = svid;
    this.#bounds = bounds;
    this.#authorities = authoritiesOf(target, authorities);
    svid.onChange(() => (this.#isRenewed = true));
    const route = isInMesh(target) ? meshRouteTo(target, bounds) : null;
    this.#route = route;
    if (route !== null)
      this.#stopLooking = repeatedly(() => this.#lookAgain(route), {
        everyMs: LOOK_MS,
        after,
        onFault: () => this.#current?.destroy(),
      });
  }

  /** Ends the connections to a sidecar that would no longer be opened: its configuration has changed. */
  async #lookAgain(route: MeshRoute): Promise<void> {
    if (this.#current?.isUsed === true && (await meshProblem(route, this.#bounds)) !== null) {
      this.#current.destroy();
      this.#current = null;
    }
  }

  /** The connections of the certificate that a token is bound to. @param boundTo its thumbprint */
  async boundTo(boundTo: string): Promise<CertificateConnections | Problem> {
    const held = this.#current;
    if (held?.thumbprint === boundTo && !this.#isRenewed) return held;
    const svid = await this.#svid.now();
    if (!isProblem(svid) && thumbprintOf(svid) === boundTo) return this.#replacedBy(svid, boundTo);
    // The SVID is renewed and its token not yet: the old pair is valid until the certificate ends.
    if (held?.thumbprint === boundTo) return held;
    return isProblem(svid) ? svid : { problem: 'the token is bound to another certificate than that of this workload' };
  }

  /** Whether connections with this certificate can be opened although it was renewed. @param boundTo its thumbprint */
  holds(boundTo: string): boolean {
    return this.#current?.thumbprint === boundTo;
  }

  /** Closes all connections at once. */
  close(): void {
    void this.#stopLooking();
    this.#current?.destroy();
  }

  #replacedBy(svid: Svid, thumbprint: string): CertificateConnections {
    this.#isRenewed = false;
    this.#current?.retire();
    const secureContext = contextOf(svid, this.#authorities);
    this.#current = new CertificateConnections(thumbprint, {
      target: this.#target,
      route: this.#route,
      bounds: this.#bounds,
      secureContext,
    });
    return this.#current;
  }
}

/** By the SVID, then by the CA certificates; `null` for those of its bundle. */
const contexts = new WeakMap<Svid, Map<readonly string[] | null, SecureContext>>();

/** Keys and CA certificates for TLS. Many tasks share one, which has some 100 KB; connections and sessions of TLS are not in it. */
function contextOf(svid: Svid, authorities: readonly string[] | null): SecureContext {
  const made = contexts.get(svid) ?? new Map<readonly string[] | null, SecureContext>();
  contexts.set(svid, made);
  const known = made.get(authorities);
  if (known !== undefined) return known;
  const { certificate: cert, key, bundle } = tlsMaterialOf(svid);
  const ca = authorities === null ? bundle : [...authorities];
  const context = createSecureContext({ cert, key, ca, minVersion: 'TLSv1.2' });
  made.set(authorities, context);
  return context;
}

let systemAuthorities: readonly string[] | null = null;

function authoritiesOf({ authorities }: ForwardTarget, file: readonly string[]): readonly string[] | null {
  if (authorities === 'bundle') return null;
  return authorities === 'system' ? (systemAuthorities ??= getCACertificates('system')) : file;
}

interface Connecting {
  readonly target: ForwardTarget;
  readonly route: MeshRoute | null;
  readonly bounds: UpstreamBounds;
  readonly secureContext: SecureContext;
}

/** Connections with one client certificate. */
export class CertificateConnections {
  /** Thumbprint of the certificate. */
  readonly thumbprint: string;
  /** Connections over HTTP/1.1. */
  readonly agent: UpstreamAgent;
  /** Sessions of HTTP/2. */
  readonly sessions: UpstreamSessions;
  readonly #connecting: Connecting;

  constructor(thumbprint: string, connecting: Connecting) {
    this.thumbprint = thumbprint;
    this.#connecting = connecting;
    this.agent = new UpstreamAgent(connecting);
    const { bounds, route, target } = connecting;
    this.sessions = new UpstreamSessions(target.origin, () =>
      route === null ? secured(connected(connecting, 'h2')) : meshConnection(route, bounds),
    );
  }

  /** Whether a connection is open. */
  get isUsed(): boolean {
    const { freeSockets, sockets } = this.agent;
    return this.sessions.isUsed || [freeSockets, sockets].some((held) => Object.keys(held).length > 0);
  }

  /** A new connection for HTTP/1.1 outside of the pool, given now or to `give`. */
  connect(give: Connected): Duplex | undefined {
    return opened(this.#connecting, give);
  }

  retire(): void {
    this.agent.retire();
    this.sessions.retire();
  }

  destroy(): void {
    this.agent.destroy();
    this.sessions.destroy();
  }
}

/** A pool of HTTP/1.1 connections. */
class UpstreamAgent extends Agent {
  readonly #connecting: Connecting;
  #isRetired = false;

  constructor(connecting: Connecting) {
    const { maxSockets, unusedMs } = connecting.bounds;
    const kept = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets, scheduling: 'lifo' } as const;
    // Node.js works out a server name for each request that has none; `connected` knows it.
    super({ ...kept, timeout: unusedMs, servername: '' } as AgentOptions);
    this.#connecting = connecting;
  }

  override createConnection(_options: ClientRequestArgs, give: Connected): Duplex | undefined {
    return opened(this.#connecting, give);
  }

  override keepSocketAlive(socket: Duplex): boolean {
    // Typed as void; it tells whether the server's hint leaves time for another request.
    const isUsable: unknown = super.keepSocketAlive(socket);
    return !this.#isRetired && isUsable === true;
  }

  /** Requests under way go on; no connection is used again. */
  retire(): void {
    this.#isRetired = true;
    for (const sockets of Object.values(this.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  }
}

/** Node.js's callback for a connection that is not open yet. */
type Connected = (error: Error | null, socket: Duplex) => void;

/** INVARIANT: no caller gets a plaintext connection before its destination is verified. */
function opened(connecting: Connecting, give: Connected): Duplex | undefined {
  const { bounds, route } = connecting;
  if (route === null) return connected(connecting, 'http/1.1');
  meshConnection(route, bounds).then(
    (socket) => give(null, socket),
    // With an error Node.js ignores the socket.
    (error: unknown) => give(error instanceof Error ? error : new Error(String(error)), new Socket()),
  );
  return undefined;
}

function connected({ target, bounds, secureContext }: Connecting, protocol: 'h2' | 'http/1.1'): TLSSocket {
  const { hostname, port } = new URL(target.origin);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const at = target.connect ?? { host, port: port === '' ? HTTPS_PORT : Number(port) };
  const options: ConnectionOptions = {
    ...at,
    secureContext,
    ALPNProtocols: [protocol],
    // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
    rejectUnauthorized: true,
    // SNI has names only. @see RFC 6066 section 3
    servername: isIP(host) === 0 ? host : '',
    checkServerIdentity: (_name: string, peer: PeerCertificate) =>
      target.id === null
        ? checkServerIdentity(host, peer)
        : notServerId(peer, { id: target.id, what: 'server of the upstream' }),
  };
  const socket = connect(options);
  socket.setNoDelay(true);
  const timer = setTimeout(() => {
    const late = new Error(`no connection within ${bounds.connectMs / 1_000} s`);
    socket.destroy(Object.assign(late, { code: CONNECT_TIMEOUT }));
  }, bounds.connectMs);
  socket.once('secureConnect', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
  return socket;
}

const HTTPS_PORT = 443;
