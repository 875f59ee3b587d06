import { Server, ServerInterceptingCall, status } from '@grpc/grpc-js';
import type { ServerCredentials, ServerInterceptingCallInterface, ServerInterceptor } from '@grpc/grpc-js';
import { svidCredentials } from '../../../core/identity/server-credentials.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import type { SvidSource } from '../../../core/identity/svid.ts';
import { AcceptedSockets } from '../../../core/runtime/system/accepted-sockets.ts';
import { AgentRate } from '../../../core/runtime/collections/agent-rate.ts';
import { Readings } from '../../../core/runtime/readings.ts';
import type { After } from '../../../core/runtime/timers.ts';
import type { GrpcMethod } from '../grpc/grpc-call.ts';
import { ACCESS_LOG_PATH } from '../proto.ts';
import { callerProblem, peerIdentityFrom } from './callers.ts';
import type { PeerIdentity, RefusedPeer } from './callers.ts';
import { serveCall } from './network-call.ts';

/** Who may ask over the network, and with what Remit proves its own identity. */
export interface NetworkRules {
  readonly svid: SvidSource;
  /** SPIFFE IDs of the allowed clients, which may change. */
  readonly callers: () => readonly SpiffeId[];
  /** `extAuthz.maxBodyBytes`. */
  readonly maxBodyBytes: number;
  /** A connection was refused: the address of its peer, and why. */
  readonly onRefused: (address: string, problem: string) => void;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly after: After;
}

/** The rest of what a server needs. */
export interface NetworkServerOptions extends NetworkRules {
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  /** Backpressure: whether enough work is queued. After returning true, call `readOn` to resume. */
  readonly isCrowded: () => boolean;
  /** Called with errors of a method, which end its call. It must not throw. */
  readonly onFault: (error: unknown) => void;
}

/** Besides the body: more than the largest request that is not refused, with all its header fields twice. */
const BESIDES_BODY_BYTES = 512 * 1_024;
/** Memory for messages that are not complete. */
const READ_BYTES = 64 * 1_024 * 1_024;
const MAX_STREAMS = 256;
const MAX_CONNECTIONS = 4_096;
/** Per IP address; Envoy opens a connection per worker thread and cluster. */
const MAX_CONNECTIONS_OF_ADDRESS = 256;
/** Connections of an IP address per second, and at once: a handshake costs a millisecond of processor time. */
const CONNECTIONS_PER_SECOND = 128;
const MAX_SILENT = 512;
const FIRST_CALL_MS = 10_000;
/** Access log streams of an IP address. */
const MAX_LOGS_OF_ADDRESS = 64;
/** Time for a refused client to read why. */
const FAREWELL_MS = 100;
/**
 * Share of the lifetime of our SVID after which a connection ends, so that it does not outlive the certificate of its client. It may cost
 * the checks that are under way: Envoy should end connections sooner (`max_connection_duration`), which costs none.
 */
const MAX_AGE = 0.4;
const MAX_AGE_MS = 86_400_000;
const AGE_GRACE_MS = 10_000;
const SETTINGS = {
  'grpc.enable_channelz': 0,
  'grpc.max_concurrent_streams': MAX_STREAMS,
  // Finds a peer that is gone without a word.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.max_metadata_size': 16_384,
};

const REFUSED = { code: status.PERMISSION_DENIED, details: 'no entry of extAuthz.callers admits this client' };
const TOO_MANY_LOGS = { code: status.RESOURCE_EXHAUSTED, details: 'no more streams' };

/**
 * Serves gRPC methods on a network address, by grpc-js over mutual TLS: a client must have a valid certificate of our trust domain and a
 * pinned SPIFFE ID. This is checked at each call.
 *
 * Lifecycle: `listen` once, `close` once.
 */
export class NetworkServer {
  readonly #options: NetworkServerOptions;
  readonly #grpc: Server;
  readonly #sockets: AcceptedSockets;
  readonly #readings: Readings;
  /** Identities of connections that have called, by the names of their peers. */
  readonly #peers = new Map<string, PeerIdentity>();
  /** Refused connections, which end soon. */
  readonly #refused = new Set<string>();
  readonly #logs = new Map<string, number>();
  #drain: (graceMs: number) => void = () => undefined;
  #stop: () => void = () => undefined;

  constructor(options: NetworkServerOptions) {
    const { maxBodyBytes, monotonicMs, after, isCrowded } = options;
    this.#options = options;
    const maxMessageBytes = maxBodyBytes + BESIDES_BODY_BYTES;
    const max = Math.floor(READ_BYTES / maxMessageBytes);
    this.#readings = new Readings({ max, maxOfClient: Math.ceil(max / 4), isCrowded });
    const own = options.svid.current();
    const lifetimeMs = own === null ? MAX_AGE_MS : own.notAfterMs - own.notBeforeMs;
    this.#grpc = new Server({
      ...SETTINGS,
      'grpc.max_connection_age_ms': Math.min(MAX_AGE_MS, MAX_AGE * lifetimeMs),
      'grpc.max_connection_age_grace_ms': AGE_GRACE_MS,
      'grpc.max_receive_message_length': maxMessageBytes,
      interceptors: [this.#takeOver],
    });
    const rate = new AgentRate({ perSecond: CONNECTIONS_PER_SECOND, monotonicMs });
    this.#sockets = new AcceptedSockets({
      maxConnections: MAX_CONNECTIONS,
      maxOfAddress: MAX_CONNECTIONS_OF_ADDRESS,
      maxSilent: MAX_SILENT,
      firstCallMs: FIRST_CALL_MS,
      admits: (address) => rate.take(address),
      after,
    });
  }

  /** Binds an address. Gives the bound address, or the problem. */
  async listen(address: { readonly host: string; readonly port: number }): Promise<string | RefusedPeer> {
    const made = svidCredentials(this.#options.svid);
    if (made === null) return { problem: 'checks over the network need a valid SVID' };
    this.#stop = made.stop;
    for (const path of this.#options.methods.keys()) this.#register(path);
    return this.#accept(address, made.credentials);
  }

  /** Resumes reading. */
  readOn(): void {
    this.#readings.readOn();
  }

  /** Graceful stop: refuses new calls, lets open calls finish, and aborts what is left after `graceMs`. Never rejects. */
  async close(graceMs: number): Promise<void> {
    const ended = this.#sockets.refuse();
    this.#drain(graceMs);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.after(graceMs, resolve);
    await Promise.race([ended, late]);
    cancel();
    await this.#sockets.close();
    this.#grpc.forceShutdown();
    this.#stop();
  }

  #accept(
    address: { readonly host: string; readonly port: number },
    credentials: ServerCredentials,
  ): Promise<string | RefusedPeer> {
    const injector = this.#grpc.createConnectionInjector(credentials);
    this.#drain = (graceMs) => injector.drain(graceMs);
    return this.#sockets.listen({ kind: 'tcp', ...address }, (socket, peer) => {
      socket.once('close', () => {
        this.#peers.delete(peer);
        this.#refused.delete(peer);
      });
      injector.injectConnection(socket);
    });
  }

  /** grpc-js knows the method and reads its messages as bytes; `#takeOver` serves it. */
  #register(path: string): void {
    const method = {
      path,
      requestStream: true as const,
      responseStream: true as const,
      requestSerialize: asTheyAre,
      requestDeserialize: asTheyAre,
      responseSerialize: asTheyAre,
      responseDeserialize: asTheyAre,
    };
    this.#grpc.addService({ [path]: method }, { [path]: () => undefined });
  }

  readonly #takeOver: ServerInterceptor = ({ path }, call) => new TakenCall(call, () => this.#serve(path, call));

  #serve(path: string, call: ServerInterceptingCallInterface): void {
    const { methods, onFault, onRefused, nowMs } = this.#options;
    const peer = call.getPeer();
    const { remoteAddress: address = '' } = call.getConnectionInfo();
    this.#sockets.called(peer);
    const problem = this.#problemOf(peer, call);
    const method = methods.get(path);
    if (problem !== null || method === undefined) {
      if (!this.#refused.has(peer)) onRefused(address, problem ?? 'no such method');
      return this.#refuse(call, peer);
    }
    const isLog = path === ACCESS_LOG_PATH;
    if (isLog && (this.#logs.get(address) ?? 0) >= MAX_LOGS_OF_ADDRESS) return call.sendStatus(TOO_MANY_LOGS);
    serveCall(call, {
      method,
      timeoutMs: timeoutOf(call, nowMs()),
      read: isLog ? null : (begin) => this.#readings.add({ client: address, begin }),
      hangUp: () => this.#sockets.hangUp(peer),
      onFault,
      opened: isLog ? () => this.#countLog(address) : () => () => undefined,
    });
  }

  /** Why the client of a call may not ask; `null` if it may. Its certificate is read once for a connection. */
  #problemOf(peer: string, call: ServerInterceptingCallInterface): string | null {
    const { svid, callers, nowMs } = this.#options;
    const own = svid.current();
    if (own === null) return 'this process has no valid SVID';
    const known = this.#peers.get(peer) ?? peerIdentityFrom(call.getAuthContext().sslPeerCertificate?.raw, own);
    if ('problem' in known) return known.problem;
    this.#peers.set(peer, known);
    return callerProblem(known, { callers: callers(), nowMs: nowMs() });
  }

  /** INVARIANT: a refused client does not keep its connection. */
  #refuse(call: ServerInterceptingCallInterface, peer: string): void {
    call.sendStatus(REFUSED);
    if (this.#refused.has(peer)) return;
    this.#refused.add(peer);
    this.#options.after(FAREWELL_MS, () => this.#sockets.hangUp(peer));
  }

  #countLog(address: string): () => void {
    this.#logs.set(address, (this.#logs.get(address) ?? 0) + 1);
    return () => {
      const left = (this.#logs.get(address) ?? 1) - 1;
      if (left === 0) this.#logs.delete(address);
      else this.#logs.set(address, left);
    };
  }
}

/** A call that is served without the handler that grpc-js has for it, whose streams would buffer 16 messages. */
class TakenCall extends ServerInterceptingCall {
  readonly #serve: () => void;

  constructor(call: ServerInterceptingCallInterface, serve: () => void) {
    super(call);
    this.#serve = serve;
  }

  override start(): void {
    this.#serve();
  }
}

function timeoutOf(call: ServerInterceptingCallInterface, nowMs: number): number | null {
  const deadlineMs = Number(call.getDeadline());
  return Number.isFinite(deadlineMs) ? deadlineMs - nowMs : null;
}

const asTheyAre = (bytes: Buffer): Buffer => bytes;
