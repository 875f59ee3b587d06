import { ServerInterceptingCall, status } from '@grpc/grpc-js';
import type { Metadata, ServerInterceptingCallInterface, ServerInterceptor, ServerListener } from '@grpc/grpc-js';
import { isDeny } from '../../core/decision/decision.ts';
import { leafFromDer } from '../../core/identity/leaf-certificate.ts';
import { trustDomainOf } from '../../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';
import type { SvidSource } from '../../core/identity/svid.ts';
import { Readings } from '../../core/runtime/readings.ts';
import { SharedRoom } from '../../core/runtime/collections/shared-room.ts';
import type { After } from '../../core/runtime/timers.ts';
import { localRights, rightsOf } from './authorize.ts';
import type { SidecarRights, SidecarGrant } from './authorize.ts';

/** Options of an admission. */
export interface AdmissionOptions {
  /** Whether the permissions of a Unix socket decide who may call. */
  readonly isLocal: boolean;
  readonly rules: () => readonly SidecarGrant[];
  readonly svid: SvidSource | null;
  /** Called when a client has made a call. */
  readonly called: (peer: string) => void;
  /** Ends a connection. */
  readonly hangUp: (peer: string) => void;
  readonly nowMs: () => number;
  readonly after: After;
}

/** Calls of an identity in progress, from their metadata on. */
const MAX_CALLS = 512;
/** Streams of logs, shared by identities. Those of `Follow` have a room of their own. */
const MAX_LOGS = 20_000;
/**
 * First messages of calls that are read at a time: 256 MiB at most, and 64 MiB per IP address. Later messages of a stream are not
 * counted.
 */
const MAX_READING = 64;
const MAX_READING_OF_ADDRESS = 16;
/** Longest time that the first message of a call may take, once its reading has begun. */
const MESSAGE_MS = 10_000;
/** Time for a refused client to read why. */
const FAREWELL_MS = 100;
/** How long a client may leave a message or a status unread. Beyond it, its connection ends with all that is queued for it. */
const UNREAD_MS = 30_000;
/** Interval at which the rights of a connection are looked at again, and the longest between its expiry and its end. */
const RECHECK_MS = 60_000;

/**
 * Decides by the identity of its connection whether a call is served, before anything of its message is read: a client that no rule admits
 * costs its metadata, and loses its connection. Of those that are admitted few messages are read at a time, and addresses take turns: grpc-js holds
 * an incomplete message of up to 4 MiB for each call.
 *
 * A connection ends once its certificate has expired, or the rules give its client other rights than when it began: a stream would outlive both.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #readings = new Readings({ max: MAX_READING, maxOfClient: MAX_READING_OF_ADDRESS });
  /** The clients of connections that have called, by their certificates. */
  readonly #clients = new Map<string, Client>();
  /** The next look at the rights of each connection that has called; each value cancels it. */
  readonly #looks = new Map<string, () => void>();
  /** Refused connections, which end soon. */
  readonly #refused = new Set<string>();
  readonly #inCall = new Map<string, number>();
  readonly #logs = new SharedRoom(MAX_LOGS);
  /** By the metadata that grpc-js passes to the handler of the call. */
  readonly #admitted = new WeakMap<Metadata, SidecarRights>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** The rights of the client of a call that `interceptor` has admitted. Throws for any other call. */
  rightsOf({ metadata }: { readonly metadata: Metadata }): SidecarRights {
    const rights = this.#admitted.get(metadata);
    if (rights === undefined) throw new Error('a call reached its handler without admission');
    return rights;
  }

  /** A connection has ended. */
  forget(peer: string): void {
    this.#clients.delete(peer);
    this.#refused.delete(peer);
    this.#looks.get(peer)?.();
    this.#looks.delete(peer);
  }

  readonly interceptor: ServerInterceptor = ({ path }, call) => {
    const peer = call.getPeer();
    this.#options.called(peer);
    const rights = this.#rightsAt(peer, call);
    if (rights === null) return new RefusedCall(call, () => this.#farewell(peer));
    if (!this.#looks.has(peer)) this.#lookLater(peer, rights);
    const method = path.slice(path.lastIndexOf('/') + 1);
    return new WatchedCall(call, {
      unread: () => this.#options.after(UNREAD_MS, () => this.#options.hangUp(peer)),
      listener: (watched) => this.#reading(watched, { rights, method }),
    });
  };

  #lookLater(peer: string, rights: SidecarRights): void {
    const client = this.#clients.get(peer) ?? null;
    const leftMs = client === null ? Infinity : client.notAfterMs - this.#options.nowMs();
    const look = (): void => {
      if (this.#isUnchanged(client, rights)) this.#lookLater(peer, rights);
      else this.#options.hangUp(peer);
    };
    this.#looks.set(peer, this.#options.after(Math.min(RECHECK_MS, Math.max(0, leftMs) + 1), look));
  }

  /** Whether a client still has these rights. @param client `null` over a Unix socket */
  #isUnchanged(client: Client | null, { audiences }: SidecarRights): boolean {
    const { rules, nowMs } = this.#options;
    if (client !== null && client.notAfterMs < nowMs()) return false;
    const now = client === null ? localRights(rules()) : rightsOf(rules(), client.id);
    return now !== null && now.audiences.size === audiences.size && [...audiences].every((of) => now.audiences.has(of));
  }

  /** Reads the first message of a call once there is room for it. */
  #reading(
    call: WatchedCall,
    { rights, method }: { readonly rights: SidecarRights; readonly method: string },
  ): ServerListener {
    const { remoteAddress: client = '' } = call.getConnectionInfo();
    let [isRead, isInTime, isOver] = [nothing, nothing, nothing];
    const complete = (): void => {
      isInTime();
      isRead();
    };
    return {
      onReceiveMetadata: (metadata, next) => {
        const counted = this.#count(method, rights.peer);
        if (counted === null) return call.sendStatus(TOO_MANY);
        isOver = counted;
        this.#admitted.set(metadata, rights);
        isRead = this.#readings.add({
          client,
          begin: () => {
            isInTime = this.#options.after(MESSAGE_MS, () => call.sendStatus(TOO_SLOW));
            next(metadata);
          },
        });
      },
      onReceiveMessage: (message, next) => {
        complete();
        next(message);
      },
      onReceiveHalfClose: (next) => {
        complete();
        next();
      },
      // grpc-js calls this once for each call, however it ends.
      onCancel: () => {
        complete();
        isOver();
        call.over();
      },
    };
  }

  /** Counts a call until it is over; `null` if there are too many. `Followers` counts the streams of `Follow`. */
  #count(method: string, peer: string): (() => void) | null {
    if (method === 'Follow') return nothing;
    if (method === 'Append') return this.#logs.take(peer) ? () => this.#logs.give(peer) : null;
    const inCall = this.#inCall.get(peer) ?? 0;
    if (inCall >= MAX_CALLS) return null;
    this.#inCall.set(peer, inCall + 1);
    return () => {
      const left = (this.#inCall.get(peer) ?? 1) - 1;
      if (left > 0) this.#inCall.set(peer, left);
      else this.#inCall.delete(peer);
    };
  }

  /** INVARIANT: a refused client does not keep its connection. */
  #farewell(peer: string): void {
    if (this.#refused.has(peer)) return;
    this.#refused.add(peer);
    this.#options.after(FAREWELL_MS, () => this.#options.hangUp(peer));
  }

  /** What the client of a call may do; `null` if it may do nothing. Its certificate is read once for a connection. */
  #rightsAt(peer: string, call: ServerInterceptingCallInterface): SidecarRights | null {
    const { isLocal, rules, svid, nowMs } = this.#options;
    if (isLocal) return localRights(rules());
    const own = svid?.current() ?? null;
    const client = this.#clients.get(peer) ?? clientOf(call);
    if (client === null || own === null) return null;
    this.#clients.set(peer, client);
    // TLS has verified the chain to the bundle of this trust domain, at the handshake: the certificate may have expired since.
    if (trustDomainOf(client.id) !== trustDomainOf(own.id) || client.notAfterMs < nowMs()) return null;
    return rightsOf(rules(), client.id);
  }
}

const nothing = (): void => undefined;

/** The client of a connection. */
interface Client {
  readonly id: SpiffeId;
  readonly notAfterMs: number;
}

function clientOf(call: ServerInterceptingCallInterface): Client | null {
  const der = call.getAuthContext().sslPeerCertificate?.raw;
  const leaf = der === undefined ? null : leafFromDer(der);
  return leaf === null || isDeny(leaf) ? null : { id: leaf.id, notAfterMs: leaf.notAfterMs };
}

/** What a call reports while it is served. */
interface CallWatch {
  /** Something was sent to the client; the returned function is called once it has read it. */
  readonly unread: () => () => void;
  /** Listens to the client. It calls `over` once the call is over. */
  readonly listener: (call: WatchedCall) => ServerListener;
}

/** A call whose client must read what it is sent: otherwise grpc-js would keep that for as long as the connection lasts. */
class WatchedCall extends ServerInterceptingCall {
  readonly #watch: CallWatch;
  #isRead: () => void = nothing;

  constructor(call: ServerInterceptingCallInterface, watch: CallWatch) {
    super(call, { start: (next) => next(watch.listener(this)) });
    this.#watch = watch;
  }

  over(): void {
    this.#isRead();
  }

  override sendMessage(message: unknown, callback: () => void): void {
    this.#isRead();
    const isRead = this.#watch.unread();
    this.#isRead = isRead;
    super.sendMessage(message, () => {
      isRead();
      callback();
    });
  }

  override sendStatus(status: Parameters<ServerInterceptingCallInterface['sendStatus']>[0]): void {
    this.#isRead();
    this.#isRead = this.#watch.unread();
    super.sendStatus(status);
  }
}

/** A call that is answered at its metadata. grpc-js drops what comes of it afterwards. */
class RefusedCall extends ServerInterceptingCall {
  readonly #call: ServerInterceptingCallInterface;
  readonly #onRefused: () => void;

  constructor(call: ServerInterceptingCallInterface, onRefused: () => void) {
    super(call);
    this.#call = call;
    this.#onRefused = onRefused;
  }

  override start(): void {
    this.#call.sendStatus(UNKNOWN_PEER);
    this.#onRefused();
  }
}

const UNKNOWN_PEER = {
  code: status.PERMISSION_DENIED,
  details: 'no rule of `authority.sidecars` admits this client',
};
const TOO_MANY = { code: status.RESOURCE_EXHAUSTED, details: 'too many calls at once' };
const TOO_SLOW = { code: status.DEADLINE_EXCEEDED, details: 'the message did not come in time' };
