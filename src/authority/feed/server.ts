import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall } from '@grpc/grpc-js';
import { handleAppend } from './append-handler.ts';
import type { AppendCall } from './append-handler.ts';
import type { AuthorityCalls, Down, Up } from '../../core/fleet/messages.ts';
import { refusedField } from '../../core/fleet/message-bounds.ts';
import { boundedMethodOf } from '../../core/fleet/service.ts';
import { svidCredentials } from '../../core/identity/server-credentials.ts';
import type { SvidSource } from '../../core/identity/svid.ts';
import { AgentRate } from '../../core/runtime/collections/agent-rate.ts';
import { AcceptedSockets } from '../../core/runtime/system/accepted-sockets.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { SocketAccess } from '../../core/runtime/system/unix-socket.ts';
import { Admission } from './admission.ts';
import type { SidecarRights, SidecarGrant } from './authorize.ts';
import type { BundleCall, BundleSender } from './bundle-handler.ts';
import type { CallRefusal, SidecarCalls } from './calls.ts';
import type { Followers } from './hub/followers.ts';
import type { ProofUses } from './proof-uses.ts';
import type { ReceivedRecords } from './received-records.ts';

/** The address on which an authority listens. */
export type AuthorityAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** The permissions of the socket decide who may connect. */
  | { readonly kind: 'unix'; readonly path: string };

/** Options of the server of an address. */
export interface AuthorityServerOptions {
  readonly followers: Followers;
  readonly calls: SidecarCalls;
  /** The replay memory of the sidecars; `null` if there are several authorities, since each would have its own. */
  readonly proofs: ProofUses | null;
  readonly rules: () => readonly SidecarGrant[];
  /** For TLS; not used over a Unix socket. */
  readonly svid: SvidSource | null;
  /** Who may connect to a Unix socket. */
  readonly socket: SocketAccess;
  readonly bundles: BundleSender;
  /** Receives the logs of sidecars; `null` if this authority receives none. */
  readonly records: ReceivedRecords | null;
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly after: After;
}

const MAX_MESSAGE_BYTES = 4 * 1_024 * 1_024;
const MAX_CONNECTIONS = 20_000;
/** Connections of an IP address, and how many begin in a second: many sidecars may share an address behind NAT. */
const MAX_OF_ADDRESS = 4_096;
const OF_ADDRESS_A_SECOND = 256;
/** Longest wait for the first call of a connection, its handshake included. */
const FIRST_CALL_MS = 10_000;
const SETTINGS = {
  'grpc.enable_channelz': 0,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_concurrent_streams': 128,
  // Long, since a sidecar without CPU answers late, and this process may read the answer late.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 20_000,
  // More metadata than gRPC and tracing need is refused.
  'grpc.max_metadata_size': 8_192,
};

/**
 * The gRPC server of `remit.authority.v1` on an address: over TCP with mutual TLS by X509-SVIDs, or on a Unix socket.
 *
 * Lifecycle: `listen` once, `close` once.
 */
export class AuthorityServer {
  readonly #options: AuthorityServerOptions;
  readonly #sockets: AcceptedSockets;
  #stop: () => void = () => undefined;
  #end: () => void = () => undefined;

  constructor(options: AuthorityServerOptions) {
    this.#options = options;
    const rate = new AgentRate({ perSecond: OF_ADDRESS_A_SECOND, monotonicMs: options.monotonicMs });
    this.#sockets = new AcceptedSockets({
      maxConnections: MAX_CONNECTIONS,
      firstCallMs: FIRST_CALL_MS,
      maxSilent: MAX_CONNECTIONS,
      maxOfAddress: MAX_OF_ADDRESS,
      admits: (address) => rate.take(address),
      after: options.after,
    });
  }

  /** Binds the address. Gives the gRPC target, or why it cannot be bound. */
  async listen(address: AuthorityAddress): Promise<string | { readonly problem: string }> {
    const isLocal = address.kind === 'unix';
    const credentials = isLocal ? ServerCredentials.createInsecure() : this.#tlsCredentials();
    if ('problem' in credentials) return credentials;
    const admission = new Admission({
      ...this.#options,
      isLocal,
      called: (peer) => this.#sockets.called(peer),
      hangUp: (peer) => this.#sockets.hangUp(peer),
    });
    const grpc = new Server({ ...SETTINGS, interceptors: [admission.interceptor] });
    this.#serve(grpc, admission);
    this.#end = () => grpc.forceShutdown();
    const injector = grpc.createConnectionInjector(credentials);
    return this.#sockets.listen(isLocal ? { ...address, access: this.#options.socket } : address, (socket, peer) => {
      socket.once('close', () => admission.forget(peer));
      injector.injectConnection(socket);
    });
  }

  /** Refuses new connections and ends the rest. */
  async close(): Promise<void> {
    this.#stop();
    const closed = this.#sockets.close();
    this.#end();
    await closed;
  }

  #serve(grpc: Server, admission: Admission): void {
    const { followers, calls, records, bundles, proofs } = this.#options;
    type Call = ServerDuplexStream<Up, Down>;
    const unary =
      <Name extends 'Open' | 'Settle' | 'GiveBack' | 'Confirm' | 'UseProofs'>(
        message: RequestName,
        make: (
          request: AuthorityCalls[Name][0],
          rights: SidecarRights,
        ) => Promise<AuthorityCalls[Name][1] | CallRefusal>,
      ) =>
      (
        call: ServerUnaryCall<AuthorityCalls[Name][0], AuthorityCalls[Name][1]>,
        reply: sendUnaryData<AuthorityCalls[Name][1]>,
      ) => {
        const beyond = refusedField(message, call.request);
        if (beyond !== null) return reply({ code: status.INVALID_ARGUMENT, details: beyond });
        make(call.request, admission.rightsOf(call)).then(
          (answer) => ('code' in answer ? reply(answer) : reply(null, answer)),
          // A fault ends this call alone.
          () => reply(FAILED),
        );
      };
    grpc.addService(
      {
        Follow: boundedMethodOf('Follow'),
        Open: boundedMethodOf('Open'),
        Confirm: boundedMethodOf('Confirm'),
        Settle: boundedMethodOf('Settle'),
        GiveBack: boundedMethodOf('GiveBack'),
        UseProofs: boundedMethodOf('UseProofs'),
        Append: boundedMethodOf('Append'),
        Bundle: boundedMethodOf('Bundle'),
      },
      {
        Follow: (call: Call) => {
          followers.follow(call, admission.rightsOf(call), () => this.#sockets.hangUp(call.getPeer()));
        },
        Append: (call: AppendCall) => {
          const { peer: id } = admission.rightsOf(call);
          if (records === null) call.emit('error', NO_RECORDS);
          else handleAppend(call, records.receiver, { id, trustDomain: records.trustDomain });
        },
        Bundle: (call: BundleCall) => {
          if (refusedField('BundleRequest', call.request) !== null) call.emit('error', TOO_MUCH);
          else bundles.handle(call, admission.rightsOf(call).peer);
        },
        Open: unary<'Open'>('OpenRequest', (request, rights) => calls.open(request, rights, { isConfirmed: false })),
        Confirm: unary<'Confirm'>('OpenRequest', (request, rights) =>
          calls.open(request, rights, { isConfirmed: true }),
        ),
        Settle: unary<'Settle'>('SettleRequest', (request, rights) => calls.settle(request, rights)),
        GiveBack: unary<'GiveBack'>('GiveBackRequest', (request, rights) => calls.giveBack(request, rights)),
        UseProofs: unary<'UseProofs'>(
          'ProofsRequest',
          async (request, rights) => proofs?.use(request, rights) ?? MANY_MEMORIES,
        ),
      },
    );
  }

  /** TLS with the current SVID. A renewed SVID is used for new connections; open connections stay. */
  #tlsCredentials(): ServerCredentials | { readonly problem: string } {
    const { svid } = this.#options;
    const made = svid === null ? null : svidCredentials(svid);
    if (made === null) return { problem: 'the authority needs an SVID to listen on TCP' };
    this.#stop = made.stop;
    return made.credentials;
  }
}

/** A message that asks for a single answer. */
type RequestName = 'OpenRequest' | 'SettleRequest' | 'GiveBackRequest' | 'ProofsRequest';

const MANY_MEMORIES = {
  code: status.UNIMPLEMENTED,
  details: 'several authorities remember no proofs together: use `extAuthz.proofNonces`',
};
const NO_RECORDS = { code: status.UNIMPLEMENTED, details: 'this authority receives no records' };
const TOO_MUCH = { code: status.INVALID_ARGUMENT, details: 'the request has a field that is too long' };
const FAILED = { code: status.INTERNAL, details: 'the call failed' };
