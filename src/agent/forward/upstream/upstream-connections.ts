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
import { notServerId } from '../../../core/identity/server-id.ts';
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
  /** Those of earlier certificates, which serve the requests that they have. */
  #retired: readonly CertificateConnections[] = [];
  #isRenewed = false;
  #isClosed = false;
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
    const route = isInMesh(target) ? routeOf(target, bounds) : null;
    this.#route = route;
    if (route !== null)
      this.#stopLooking = repeatedly(() => this.#lookAgain(route), {
        everyMs: LOOK_MS,
        after,
        onFault: () => this.#drop(),
      });
  }

  /** Ends the connections to a sidecar that would no longer be opened: its configuration has changed. */
  async #lookAgain(route: MeshRoute): Promise<void> {
    if (this.#held.some(({ isUsed }) => isUsed) && (await meshProblem(route, this.#bounds)) !== null) this.#drop();
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

  /** Closes all connections at once; none is opened any more. */
  close(): void {
    this.#isClosed = true;
    void this.#stopLooking();
    this.#drop();
  }

  get #held(): readonly CertificateConnections[] {
    return this.#current === null ? this.#retired : [...this.#retired, this.#current];
  }

  #drop(): void {
    for (const held of this.#held) held.destroy();
    this.#current = null;
    this.#retired = [];
  }

  #replacedBy(svid: Svid, thumbprint: string): CertificateConnections {
    this.#isRenewed = false;
    this.#current?.retire();
    // The current pool may be opening a connection for a request; earlier pools have had a certificate's lifetime to finish.
    this.#retired = this.#held.filter((held) => held === this.#current || held.isUsed);
    const secureContext = contextOf(svid, this.#authorities);
    this.#current = new CertificateConnections(thumbprint, {
      target: this.#target,
      route: this.#route,
      bounds: this.#bounds,
      secureContext,
    });
    // A request may have waited for this certificate.
    if (this.#isClosed) this.#current.destroy();
    return this.#current;
  }
}

/** What the sidecar says of a target holds for all tasks that are forwarded to it. */
const routes = new WeakMap<ForwardTarget, MeshRoute>();

function routeOf(target: ForwardTarget, bounds: UpstreamBounds): MeshRoute {
  const known = routes.get(target) ?? meshRouteTo(target, bounds);
  routes.set(target, known);
  return known;
}

/** By the SVID, then by the CA certificates; `null` for those of its bundle. */
const contexts = new WeakMap<Svid, Map<readonly string[] | null, SecureContext>>();

/** Keys and CA certificates for TLS. Many tasks share a context, which has some 100 KB; connections and sessions of TLS are not in it. */
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
  /** Connections outside of the pool. */
  readonly #outside = new Set<Duplex>();
  #isDestroyed = false;

  constructor(thumbprint: string, connecting: Connecting) {
    this.thumbprint = thumbprint;
    this.#connecting = connecting;
    this.agent = new UpstreamAgent(connecting.bounds, (give) => this.#opened(give));
    const { bounds, route, target } = connecting;
    this.sessions = new UpstreamSessions(target.origin, () =>
      route === null ? secured(connected(connecting, 'h2')) : meshConnection(route, bounds),
    );
  }

  /** Whether a connection is open. */
  get isUsed(): boolean {
    const { freeSockets, sockets } = this.agent;
    const isOutside = this.#outside.size > 0;
    return isOutside || this.sessions.isUsed || [freeSockets, sockets].some((held) => Object.keys(held).length > 0);
  }

  /** A new connection for HTTP/1.1 outside of the pool, given now or to `give`. */
  connect(give: Connected): Duplex | undefined {
    const socket = this.#opened((error, later) => {
      if (error === null) this.#keepOutside(later);
      give(error, later);
    });
    if (socket !== undefined) this.#keepOutside(socket);
    return socket;
  }

  retire(): void {
    this.agent.retire();
    this.sessions.retire();
  }

  /** Ends all at once; none is opened any more. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const waiting of Object.values(this.agent.requests))
      for (const request of waiting ?? []) request.destroy().emit('error', closed());
    this.agent.destroy();
    this.sessions.destroy();
    for (const socket of this.#outside) socket.destroy();
  }

  #keepOutside(socket: Duplex): void {
    this.#outside.add(socket);
    socket.once('close', () => this.#outside.delete(socket));
  }

  /**
   * INVARIANT: no connection after `destroy`: Node.js would open another for a request that waited in the pool, or that is sent again.
   * INVARIANT: no caller gets a plaintext connection before its destination is verified.
   */
  #opened(give: Connected): Duplex | undefined {
    const { bounds, route } = this.#connecting;
    // With an error Node.js ignores the socket.
    const refuse = (error: unknown): void =>
      give(error instanceof Error ? error : new Error(String(error)), new Socket());
    if (this.#isDestroyed) refuse(closed());
    else if (route === null) return connected(this.#connecting, 'http/1.1');
    else
      meshConnection(route, bounds).then((socket) => {
        if (!this.#isDestroyed) return give(null, socket);
        socket.destroy();
        return refuse(closed());
      }, refuse);
    return undefined;
  }
}

const closed = (): Error => new Error('its connections were closed');

/** A pool of HTTP/1.1 connections. */
class UpstreamAgent extends Agent {
  readonly #opened: (give: Connected) => Duplex | undefined;
  #isRetired = false;

  constructor({ maxSockets, unusedMs }: UpstreamBounds, opened: (give: Connected) => Duplex | undefined) {
    const kept = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets, scheduling: 'lifo' } as const;
    // Node.js works out a server name for each request that has none; `connected` knows it.
    super({ ...kept, timeout: unusedMs, servername: '' } as AgentOptions);
    this.#opened = opened;
  }

  override createConnection(_options: ClientRequestArgs, give: Connected): Duplex | undefined {
    return this.#opened(give);
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
