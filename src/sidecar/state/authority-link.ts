import { connectivityState, Client, credentials, status } from '@grpc/grpc-js';
import type { ChannelCredentials, ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import type { AuthorityCalls, Down, Up } from '../../core/fleet/messages.ts';
import type { AppendStream } from '../records/record-shipper.ts';
import { methodOf } from '../../core/fleet/service.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { leafFromDer } from '../../core/identity/leaf-certificate.ts';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';
import { tlsMaterialOf } from '../../core/identity/svid.ts';
import type { Svid } from '../../core/identity/svid.ts';
import { CHANNEL } from '../../core/runtime/system/grpc-channel.ts';
import { after } from '../../core/runtime/timers.ts';
import { BoundedHandshakes } from './bounded-handshakes.ts';

/** Largest message of an authority. */
const MAX_MESSAGE_BYTES = 4 * 1_024 * 1_024;
/** Most bytes queued for a stream that the authority does not read. Beyond it, the stream is ended. */
const MAX_QUEUED_BYTES = 1_024 * 1_024;
/** Longest handshake. An authority gives up after 10 s. */
const HANDSHAKE_MS = 15_000;
/** Longest text of an authority that is repeated in a problem, in characters. */
const MAX_DETAIL_LENGTH = 200;

/** Where an authority listens: the text of a gRPC target, such as `unix:/run/remit.sock` or `remit.acme.test:9474`. */
export interface AuthorityPlace {
  readonly target: string;
  /** The expected identity of the server, over TLS; `null` over a Unix socket, which is protected by its permissions. */
  readonly tls: { readonly svid: Svid; readonly authorityId: SpiffeId } | null;
}

/** Listener of a stream of the feed. */
export interface FollowListener {
  readonly onDown: (down: Down) => void;
  /**
   * Called exactly once, as the last call; not after `end`.
   *
   * @param end.isRefused whether the authority serves no sidecars, because its database lacks changes
   * @param end.isAnswered whether the authority ended the stream and its connection works, so that it can be asked again there
   */
  readonly onEnd: (problem: string, end: { readonly isRefused: boolean; readonly isAnswered: boolean }) => void;
}

/** A stream of the feed. */
export interface FollowStream {
  send(up: Up): void;
  /** Ends the stream. The listener is not called any more. */
  end(): void;
}

/** Most bytes of a bundle, and the longest wait for it. */
interface BundleBounds {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/**
 * Addresses of a name are tried in random order, the next after 250 ms without a connection: this spreads sidecars over the addresses, and an
 * address that accepts connections but does not answer delays nothing.
 */
const SPREAD = JSON.stringify({ loadBalancingConfig: [{ pick_first: { shuffleAddressList: true } }] });

/** Why a call has no answer. */
export interface CallProblem {
  readonly problem: string;
}

/**
 * A connection to one authority, without gRPC's own retries. It connects with its first call, and again after a lost connection, with a new
 * DNS look-up each time. gRPC does not give up an open connection that does not answer within the time of a lease: close the link, and make a
 * new link.
 *
 * Lifecycle: `close` once. It fails the calls in progress.
 */
export class AuthorityLink {
  readonly target: string;
  readonly #client: Client;
  #isClosed = false;

  constructor({ target, tls }: AuthorityPlace) {
    this.target = target;
    this.#client = new Client(target, tls === null ? credentials.createInsecure() : credentialsOf(tls), {
      // INVARIANT: no retries. With them a message counts as written before it is copied, and the shipper of records uses its memory again then.
      ...CHANNEL,
      'grpc.initial_reconnect_backoff_ms': 100,
      // A host that is gone sends no end of a connection. The feed has pings of its own, which find it within half a lease, and have more patience
      // with an authority that is slow: these end no stream that would go on.
      'grpc.keepalive_time_ms': 5_000,
      'grpc.keepalive_timeout_ms': 20_000,
      'grpc.max_reconnect_backoff_ms': tls === null ? 100 : 1_000,
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.service_config': SPREAD,
      // The host name is not checked here, and TLS permits no IP address as a name. `credentialsOf` checks the identity.
      ...(tls === null ? {} : { 'grpc.ssl_target_name_override': 'remit-authority' }),
    });
  }

  /** Whether the connection is established, including its handshake. */
  get isConnected(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  /** Whether a connection is being made. */
  get isConnecting(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.CONNECTING;
  }

  /** Makes a call. Never rejects. */
  call<Name extends 'Open' | 'Settle' | 'GiveBack' | 'UseProofs'>(
    name: Name,
    request: AuthorityCalls[Name][0],
    timeoutMs: number,
  ): Promise<AuthorityCalls[Name][1] | CallProblem> {
    const { path, requestSerialize, responseDeserialize } = methodOf(name);
    if (this.#isClosed) return Promise.resolve({ problem: 'the connection is closed' });
    return new Promise((resolve) => {
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        (error, reply) => {
          clearTimeout(timer);
          resolve(reply === undefined || error !== null ? { problem: endText(error) } : reply);
        },
      );
      // gRPC measures a deadline by the wall clock, which can step.
      const timer = setTimeout(() => {
        resolve({ problem: `no answer in ${timeoutMs} ms` });
        call.cancel();
      }, timeoutMs);
    });
  }

  follow({ onDown, onEnd }: FollowListener): FollowStream {
    const { path, requestSerialize, responseDeserialize } = methodOf('Follow');
    const stream: ClientDuplexStream<Up, Down> = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
    );
    let isOpen = true;
    const end = (): void => {
      isOpen = false;
      stream.cancel();
    };
    const ended = (problem: string, code: status = status.UNAVAILABLE): void => {
      if (!isOpen) return;
      end();
      // `UNAVAILABLE` is a lost connection, or an authority that is not serving: another authority may have the same name.
      onEnd(problem, { isRefused: code === status.FAILED_PRECONDITION, isAnswered: code !== status.UNAVAILABLE });
    };
    stream.on('data', (down: Down) => {
      if (isOpen) onDown(down);
    });
    // The status event follows with the same information.
    stream.on('error', () => undefined);
    stream.on('status', (ending: StatusObject) => ended(endText(ending), ending.code));
    return {
      send: (up) => {
        if (!isOpen) return;
        stream.write(up);
        if (stream.writableLength > MAX_QUEUED_BYTES) ended('the authority does not read');
      },
      end,
    };
  }

  /** Streams the records of the log of this process. */
  append(): AppendStream {
    const { path, responseDeserialize } = methodOf('Append');
    return this.#client.makeBidiStreamRequest(path, (message: Buffer) => message, responseDeserialize);
  }

  /** Fetches the signed policy bundle; `''` if it has the digest already. Never rejects. */
  bundle(digest: string, { maxBytes, timeoutMs }: BundleBounds): Promise<string | CallProblem> {
    const { path, requestSerialize, responseDeserialize } = methodOf('Bundle');
    return new Promise((resolve) => {
      const call = this.#client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { digest });
      const parts: Buffer[] = [];
      let size = 0;
      const done = (result: string | CallProblem): void => {
        clearTimeout(timer);
        resolve(result);
        call.cancel();
      };
      const timer = setTimeout(() => done({ problem: `could not be fetched in ${timeoutMs} ms` }), timeoutMs);
      call.on('data', ({ bytes }: AuthorityCalls['Bundle'][1]) => {
        size += bytes.length;
        if (size > maxBytes) return done({ problem: `is larger than ${maxBytes} bytes` });
        parts.push(bytes);
      });
      // The status event follows with the same information.
      call.on('error', () => undefined);
      call.on('status', (ending: StatusObject) =>
        done(
          ending.code === status.OK
            ? Buffer.concat(parts).toString('utf8')
            : { problem: `could not be fetched: ${endText(ending)}` },
        ),
      );
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#client.close();
  }
}

/** The credentials of each SVID, by the authority that they accept. */
const madeOf = new WeakMap<Svid, Map<SpiffeId, ChannelCredentials>>();

/** Made once for an SVID: parsing its key and certificates takes most of an attempt to connect, and without authorities attempts are many. */
function credentialsOf({ svid, authorityId }: NonNullable<AuthorityPlace['tls']>): ChannelCredentials {
  const made = madeOf.get(svid) ?? new Map<SpiffeId, ChannelCredentials>();
  const known = made.get(authorityId) ?? newCredentials(svid, authorityId);
  madeOf.set(svid, made.set(authorityId, known));
  return known;
}

/** INVARIANT: the peer is the workload that the configuration names, not just any workload of the trust domain. */
function newCredentials(svid: Svid, authorityId: SpiffeId): ChannelCredentials {
  const { certificate, key, bundle } = tlsMaterialOf(svid);
  const made = credentials.createSsl(Buffer.from(bundle), Buffer.from(key), Buffer.from(certificate), {
    checkServerIdentity: (_host, { raw }) => {
      const leaf = leafFromDer(raw);
      if (isDeny(leaf)) return new Error(leaf.detail);
      return leaf.id === authorityId ? undefined : new Error(`the authority is \`${leaf.id}\`, not \`${authorityId}\``);
    },
  });
  return new BoundedHandshakes(made, { maxMs: HANDSHAKE_MS, after });
}

const endText = (end: Pick<StatusObject, 'code' | 'details'> | null): string =>
  end === null
    ? 'the authority gave no answer'
    : `${status[end.code] ?? String(end.code)}: ${end.details.replaceAll(/[^ -~]/g, '?').slice(0, MAX_DETAIL_LENGTH)}`;
