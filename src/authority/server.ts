import { createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { experimental, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall } from '@grpc/grpc-js';
import { isDeny } from '../decision/decision.ts';
import { handleAppend } from '../fleet/append-handler.ts';
import type { AppendCall } from '../fleet/append-handler.ts';
import type { AuthorityCalls, Down, Up } from '../fleet/messages.ts';
import { methodOf } from '../fleet/service.ts';
import { leafFromDer } from '../identity/leaf-certificate.ts';
import { trustDomainOf } from '../identity/spiffe-id.ts';
import { tlsMaterialOf } from '../identity/svid.ts';
import type { Svid, SvidSource } from '../identity/svid.ts';
import type { After } from '../runtime/timers.ts';
import { restrictSocket, unixSocketProblem } from '../runtime/unix-socket.ts';
import type { SocketAccess } from '../runtime/unix-socket.ts';
import { localRights, rightsOf } from './authorize.ts';
import type { SidecarRights, SidecarRule } from './authorize.ts';
import type { BundleCall, BundleSender } from './bundle-handler.ts';
import type { CallRefusal, SidecarCalls } from './calls.ts';
import type { Followers } from './followers.ts';
import type { ProofUses } from './proof-uses.ts';
import type { ReceivedRecords } from './received-records.ts';

/** Where an authority listens. */
export type AuthorityAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** The permissions of the socket say who may connect. */
  | { readonly kind: 'unix'; readonly path: string };

/** Options of the server of one address. */
export interface AuthorityServerOptions {
  readonly followers: Followers;
  readonly calls: SidecarCalls;
  /** The replay memory of the sidecars; `null` where there are several authorities, since each would have one. */
  readonly proofs: ProofUses | null;
  readonly rules: () => readonly SidecarRule[];
  /** For TLS; not used over a Unix socket. */
  readonly svid: SvidSource | null;
  /** Who may connect to a Unix socket. */
  readonly socket: SocketAccess;
  readonly bundles: BundleSender;
  /** Receives the logs of sidecars; `null` where this authority does not. */
  readonly records: ReceivedRecords | null;
  readonly nowMs: () => number;
  readonly after: After;
}

const MAX_MESSAGE_BYTES = 4 * 1_024 * 1_024;
const MAX_CONNECTIONS = 20_000;
/** Longest wait for the first call of a connection, its handshake included. */
const FIRST_CALL_MS = 10_000;
const SETTINGS = {
  'grpc.enable_channelz': 0,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_concurrent_streams': 128,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  // More metadata than gRPC and tracing need is refused.
  'grpc.max_metadata_size': 8_192,
};
/** Calls in progress of one client, besides its streams. */
const MAX_CALLS = 512;

/**
 * The gRPC server of `remit.authority.v1` on one address: over TCP with mutual TLS by X509-SVIDs, or on a Unix socket.
 *
 * Lifecycle: `listen` once, `close` once.
 */
export class AuthorityServer {
  readonly #options: AuthorityServerOptions;
  readonly #grpc = new Server(SETTINGS);
  readonly #sockets = new Set<Socket>();
  readonly #inCall = new Map<string, number>();
  /** Connections without a call yet, by the names of their peers. Each value ends the wait for one. */
  readonly #silent = new Map<string, () => void>();
  #net: NetServer | null = null;
  /** Number of connections of the Unix socket so far: it names them, as an address names those over TCP. */
  #local = 0;
  #stop: () => void = () => undefined;

  constructor(options: AuthorityServerOptions) {
    this.#options = options;
  }

  /** Binds the address. Gives the gRPC target, or why it cannot be bound. */
  async listen(address: AuthorityAddress): Promise<string | { readonly problem: string }> {
    const isLocal = address.kind === 'unix';
    const unfit = isLocal ? await unixSocketProblem(address.path) : null;
    if (unfit !== null) return { problem: unfit };
    const credentials = isLocal ? ServerCredentials.createInsecure() : this.#tlsCredentials();
    if ('problem' in credentials) return credentials;
    this.#serve(isLocal);
    const injector = this.#grpc.createConnectionInjector(credentials);
    let isRestricted = !isLocal;
    const net = createServer({ pauseOnConnect: false }, (socket) => {
      socket.on('error', () => undefined);
      if (!isRestricted) {
        socket.destroy();
        return;
      }
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (isLocal) this.#name(socket);
      this.#awaitCall(socket);
      injector.injectConnection(socket);
    });
    net.maxConnections = MAX_CONNECTIONS;
    this.#net = net;
    try {
      const problem = await new Promise<string | null>((resolve, reject) => {
        net.once('error', reject);
        net.listen(isLocal ? { path: address.path } : { host: address.host, port: address.port }, () =>
          resolve(isLocal ? restrictSocket(address.path, this.#options.socket) : null),
        );
      });
      if (problem !== null) return { problem };
    } catch (error) {
      return { problem: `cannot listen: ${(error as NodeJS.ErrnoException).code ?? String(error)}` };
    }
    // INVARIANT: whoever connected before the socket was restricted is refused: after one whole turn of the loop all of them are accepted.
    await setImmediate();
    await setImmediate();
    isRestricted = true;
    return isLocal ? `unix:${address.path}` : `${address.host}:${(net.address() as AddressInfo).port}`;
  }

  /** Refuses new connections and ends the rest. */
  async close(): Promise<void> {
    this.#stop();
    const closed = new Promise<void>((resolve) => (this.#net === null ? resolve() : this.#net.close(() => resolve())));
    this.#grpc.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #serve(isLocal: boolean): void {
    const { followers, calls, records, bundles, proofs } = this.#options;
    type Call = ServerDuplexStream<Up, Down>;
    const unary =
      <Name extends 'Open' | 'Settle' | 'Confirm' | 'UseProofs'>(
        make: (
          request: AuthorityCalls[Name][0],
          rights: SidecarRights,
        ) => Promise<AuthorityCalls[Name][1] | CallRefusal>,
      ) =>
      (
        call: ServerUnaryCall<AuthorityCalls[Name][0], AuthorityCalls[Name][1]>,
        reply: sendUnaryData<AuthorityCalls[Name][1]>,
      ) => {
        const rights = this.#rightsOf(call, isLocal);
        if (rights === null) return reply(UNKNOWN_PEER);
        void this.#bounded(rights.peer, () => make(call.request, rights)).then((answer) =>
          'code' in answer ? reply(answer) : reply(null, answer),
        );
      };
    this.#grpc.addService(
      {
        Follow: methodOf('Follow'),
        Open: methodOf('Open'),
        Confirm: methodOf('Confirm'),
        Settle: methodOf('Settle'),
        UseProofs: methodOf('UseProofs'),
        Append: methodOf('Append'),
        Bundle: methodOf('Bundle'),
      },
      {
        Follow: (call: Call) => {
          const rights = this.#rightsOf(call, isLocal);
          if (rights === null) call.emit('error', UNKNOWN_PEER);
          else followers.follow(call, rights, () => this.#hangUp(call.getPeer()));
        },
        Append: (call: AppendCall) => {
          const rights = this.#rightsOf(call, isLocal);
          if (rights === null) call.emit('error', UNKNOWN_PEER);
          else if (records === null) call.emit('error', NO_RECORDS);
          else handleAppend(call, records.receiver, { id: rights.peer, trustDomain: records.trustDomain });
        },
        Bundle: (call: BundleCall) => {
          const rights = this.#rightsOf(call, isLocal);
          if (rights === null) call.emit('error', UNKNOWN_PEER);
          else bundles.handle(call, rights.peer);
        },
        Open: unary<'Open'>((request, rights) => calls.open(request, rights, { isConfirmed: false })),
        Confirm: unary<'Confirm'>((request, rights) => calls.open(request, rights, { isConfirmed: true })),
        Settle: unary<'Settle'>((request, rights) => calls.settle(request, rights)),
        UseProofs: unary<'UseProofs'>(async (request, rights) => proofs?.use(request, rights) ?? MANY_MEMORIES),
      },
    );
  }

  /** Names a connection of a Unix socket, which has no address. gRPC takes the name of a peer from these. */
  #name(socket: Socket): void {
    this.#local += 1;
    Object.defineProperties(socket, { remoteAddress: { value: 'unix' }, remotePort: { value: this.#local } });
  }

  /** Ends the connection of a peer. */
  #hangUp(peer: string): void {
    for (const socket of this.#sockets) {
      if (peerOf(socket) === peer) socket.destroy();
    }
  }

  /** Ends a connection that makes no call in time, such as one that does not finish its handshake. */
  #awaitCall(socket: Socket): void {
    const peer = peerOf(socket);
    const cancel = this.#options.after(FIRST_CALL_MS, () => socket.destroy());
    this.#silent.set(peer, cancel);
    socket.once('close', () => this.#called(peer));
  }

  #called(peer: string): void {
    this.#silent.get(peer)?.();
    this.#silent.delete(peer);
  }

  /** One call of a client. A fault ends this call alone. */
  async #bounded<T>(peer: string, make: () => Promise<T | CallRefusal>): Promise<T | CallRefusal> {
    const inCall = this.#inCall.get(peer) ?? 0;
    if (inCall >= MAX_CALLS) return { code: status.RESOURCE_EXHAUSTED, details: 'too many calls at once' };
    this.#inCall.set(peer, inCall + 1);
    try {
      return await make();
    } catch {
      return { code: status.INTERNAL, details: 'the call failed' };
    } finally {
      const left = (this.#inCall.get(peer) ?? 1) - 1;
      if (left > 0) this.#inCall.set(peer, left);
      else this.#inCall.delete(peer);
    }
  }

  /** What the client of a call may do; `null` where it may do nothing. */
  #rightsOf(
    call: Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext' | 'getPeer'>,
    isLocal: boolean,
  ): SidecarRights | null {
    const { rules, svid, nowMs } = this.#options;
    this.#called(call.getPeer());
    if (isLocal) return localRights(rules());
    const der = call.getAuthContext().sslPeerCertificate?.raw;
    const own = svid?.current() ?? null;
    const leaf = der === undefined ? null : leafFromDer(der);
    if (leaf === null || isDeny(leaf) || own === null) return null;
    // TLS has verified the chain to the bundle of this trust domain, at the handshake: the certificate may have expired since.
    if (trustDomainOf(leaf.id) !== trustDomainOf(own.id) || leaf.notAfterMs < nowMs()) return null;
    return rightsOf(rules(), leaf.id);
  }

  /** TLS with the SVID of now. A renewed one is used for new connections, and the open ones stay. */
  #tlsCredentials(): ServerCredentials | { readonly problem: string } {
    const { svid } = this.#options;
    const first = svid?.current() ?? null;
    if (svid === null || first === null) return { problem: 'the authority needs an SVID to listen on TCP' };
    const provider = new SvidProvider(first);
    this.#stop = svid.onChange((renewed) => provider.renew(renewed));
    return experimental.createCertificateProviderServerCredentials(provider, provider, true);
  }
}

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

/** Gives the server its certificate, and the bundle of its own trust domain. */
class SvidProvider implements Provider {
  #svid: Svid;
  readonly #ca = new Set<CaListener>();
  readonly #identity = new Set<IdentityListener>();

  constructor(svid: Svid) {
    this.#svid = svid;
  }

  renew(svid: Svid): void {
    this.#svid = svid;
    for (const listener of this.#ca) this.#tellCa(listener);
    for (const listener of this.#identity) this.#tellIdentity(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#ca.add(listener);
    // The server listens once this has returned.
    queueMicrotask(() => this.#tellCa(listener));
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#ca.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.add(listener);
    queueMicrotask(() => this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.delete(listener);
  }

  #tellCa(listener: CaListener): void {
    listener({ caCertificate: Buffer.from(tlsMaterialOf(this.#svid).bundle) });
  }

  #tellIdentity(listener: IdentityListener): void {
    const { certificate, key } = tlsMaterialOf(this.#svid);
    listener({ certificate: Buffer.from(certificate), privateKey: Buffer.from(key) });
  }
}

const MANY_MEMORIES = {
  code: status.UNIMPLEMENTED,
  details: 'several authorities remember no proofs together: use `extAuthz.proofNonces`',
};
const NO_RECORDS = { code: status.UNIMPLEMENTED, details: 'this authority receives no records' };
/** As `getPeer` of a call names it: `address:port`, or `unix:number`. */
const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress}:${remotePort}`;

const UNKNOWN_PEER = {
  code: status.PERMISSION_DENIED,
  details: 'no rule of `authority.sidecars` admits this client',
};
