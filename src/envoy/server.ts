import { chmod } from 'node:fs/promises';
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { addAccessLog, type AccessLogSink } from './access-log.ts';
import { addHealth } from './health.ts';
import { CHECK_PATH } from './proto.ts';
import { preparedDenial } from './response.ts';
import { unixSocketProblem } from './socket.ts';

/** Everything of one gRPC call that a check may use, beside its bytes. */
export interface CheckCall {
  /** The trace context of the call: `traceparent`, `tracestate` and `baggage` as sent, where they were. */
  readonly metadata: ReadonlyMap<string, string>;
  /** When the answer must be ready, on the monotonic clock. Always finite. */
  readonly deadlineMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** The one function the transport hides behind: bytes of a CheckRequest in, bytes of a CheckResponse out. */
export type CheckHandler = (request: Uint8Array, call: CheckCall) => Promise<Uint8Array>;

/** Why the server answers in the handler's place. */
export type RefusalCause = 'overloaded' | 'deadline' | 'failed';

/** What the server needs and what it is held to. */
export interface ServerOptions {
  /** The bytes of a denial. Should it throw or give nothing, a denial of the server's own is sent. */
  readonly refuse: (cause: RefusalCause) => Uint8Array;
  readonly monotonicMs: () => number;
  /** Wall clock, the one grpc-js counts deadlines on. */
  readonly nowMs: () => number;
  /** Checks that may wait for their answer at once, 256 by default; one more is refused as `overloaded`. */
  readonly maxInFlight?: number;
  /** For a client that sets no deadline or a longer one; 10,000 by default. */
  readonly maxCheckMs?: number;
  /** Told of what a handler threw. */
  readonly onFault?: (error: unknown) => void;
  /** Takes what access logs say; without it their service is not offered. */
  readonly accessLog?: AccessLogSink;
}

/** How long `close` takes at most. */
export interface Grace {
  /** Between saying "not serving" and closing, for health checks to notice; 0 for a sidecar, which has no other. */
  readonly noticeMs: number;
  /** For checks in flight to end by themselves; what is left then is cut off. */
  readonly graceMs: number;
}

/**
 * Kept back from the client's deadline, which began before ours, so that the refusal arrives before it: at its deadline
 * Envoy makes an error of it. A quarter of a short one.
 */
const MARGIN_MS = 100;

type Optional = 'onFault' | 'accessLog';

/** For connections that were cut off to be gone. */
const CUT_MS = 1_000;

/** A denial whose decision id is the nil UUID: nothing was there to give it one. */
const LAST_RESORT = preparedDenial('internal', { helpUrl: null })('00000000-0000-0000-0000-000000000000');

const CARRIED_METADATA: readonly string[] = ['traceparent', 'tracestate', 'baggage'];

/**
 * The gRPC server that Envoy asks. It never answers with a gRPC error where it could answer at all, since Envoy can be told
 * to let a request pass on an error: a handler that throws, rejects, overruns its deadline or gives nothing ends in a
 * refusal. What grpc-js itself refuses stays an error: a message over 4 MiB, a frame that is no gRPC.
 *
 * Lifecycle: `listen` once, `setServing(true)` once it can decide, `close` once. Health says "not serving" outside that.
 */
export class AuthorizationServer {
  readonly #handler: CheckHandler;
  readonly #options: Required<Omit<ServerOptions, Optional>> & Pick<ServerOptions, Optional>;
  readonly #server: Server;
  readonly #setHealth: (isServing: boolean) => void;
  readonly #endAccessLogs: () => void;
  readonly #addresses: string[] = [];
  #inFlight = 0;
  #closing: Promise<void> | null = null;

  constructor(handler: CheckHandler, options: ServerOptions) {
    this.#handler = handler;
    this.#options = { maxInFlight: 256, maxCheckMs: 10_000, ...options };
    this.#server = new Server({
      'grpc.enable_channelz': 0,
      'grpc.max_concurrent_streams': 1024,
      'grpc.max_receive_message_length': 4 * 1024 * 1024,
    });
    this.#server.addService(CHECK_SERVICE, { Check: this.#check });
    this.#setHealth = addHealth(this.#server);
    const { accessLog, onFault } = options;
    this.#endAccessLogs =
      accessLog === undefined ? () => undefined : addAccessLog(this.#server, accessLog, onFault && { onFault });
  }

  /** Checks that wait for their answer. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * Opens every address or, where one cannot be had, none.
   *
   * @param addresses `unix:/absolute/path` (mode 0660) or `host:port`; port 0 takes a free one
   * @returns the addresses as bound, or what stands in the way
   */
  async listen(addresses: readonly string[]): Promise<readonly string[] | { readonly problem: string }> {
    for (const address of addresses) {
      const outcome = await this.#bind(address);
      if (typeof outcome !== 'string') {
        this.#server.forceShutdown();
        return outcome;
      }
      this.#addresses.push(outcome);
    }
    return [...this.#addresses];
  }

  /** What the health service answers. Checks are answered either way. */
  setServing(isServing: boolean): void {
    if (this.#closing === null) this.#setHealth(isServing);
  }

  /** Says "not serving", lets checks in flight end, and closes every address and connection. Never rejects. */
  close(grace: Grace): Promise<void> {
    this.#setHealth(false);
    this.#closing ??= this.#drain(grace);
    return this.#closing;
  }

  async #drain({ noticeMs, graceMs }: Grace): Promise<void> {
    if (noticeMs > 0) await new Promise((resolve) => setTimeout(resolve, noticeMs));
    // They never end by themselves, and the draining would wait for them.
    this.#endAccessLogs();
    // `drain` and not `forceShutdown` cuts off what is left: without channelz grpc-js 1.14 keeps no list of its sessions,
    // and `forceShutdown` finds none.
    for (const address of this.#addresses) this.#server.drain(address, graceMs);
    await new Promise<void>((resolve) => {
      const giveUp = setTimeout(() => {
        this.#server.forceShutdown();
        resolve();
      }, graceMs + CUT_MS);
      this.#server.tryShutdown(() => {
        clearTimeout(giveUp);
        resolve();
      });
    });
  }

  async #bind(address: string): Promise<string | { readonly problem: string }> {
    const path = address.startsWith('unix:') ? address.slice('unix:'.length) : null;
    const problem = path === null ? null : await unixSocketProblem(path);
    if (problem !== null) return { problem };
    const outcome = await new Promise<number | Error>((resolve) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => resolve(error ?? port));
    });
    if (typeof outcome !== 'number') return { problem: bindProblem(address, outcome) };
    if (path === null) return address.replace(/:[0-9]+$/, `:${outcome}`);
    await chmod(path, 0o660);
    return address;
  }

  readonly #check = (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>): void => {
    if (this.#inFlight >= this.#options.maxInFlight) {
      respond(null, bufferOf(this.#refusal('overloaded')));
      return;
    }
    this.#inFlight += 1;
    const abort = new AbortController();
    const budgetMs = this.#budgetMs(call);
    let isOpen = true;
    const settle = (bytes: Uint8Array | null) => {
      if (!isOpen) return;
      isOpen = false;
      this.#inFlight -= 1;
      clearTimeout(timer);
      if (bytes !== null) respond(null, bufferOf(bytes));
    };
    const timer = setTimeout(() => {
      settle(this.#refusal('deadline'));
      abort.abort();
    }, budgetMs);
    // grpc-js says `cancelled` at the end of every call; only before the answer does it mean that nobody waits.
    call.on('cancelled', () => {
      if (isOpen) abort.abort();
      settle(null);
    });
    const deadlineMs = this.#options.monotonicMs() + budgetMs;
    const checkCall = { metadata: carriedMetadata(call), deadlineMs, signal: abort.signal };
    this.#bytesFrom(call.request, checkCall).then(settle, () => settle(this.#refusal('failed')));
  };

  /** The handler's answer, or a refusal in its place; never empty. Rejects only where `onFault` throws. */
  async #bytesFrom(request: Buffer, call: CheckCall): Promise<Uint8Array> {
    try {
      const bytes: unknown = await this.#handler(request, call);
      if (bytes instanceof Uint8Array && bytes.length > 0) return bytes;
      this.#options.onFault?.(new Error('the handler answered nothing'));
    } catch (error) {
      this.#options.onFault?.(error);
    }
    return this.#refusal('failed');
  }

  /** INVARIANT: never empty, since to Envoy an empty answer is an allow. */
  #refusal(cause: RefusalCause): Uint8Array {
    try {
      const bytes = this.#options.refuse(cause);
      return bytes.length > 0 ? bytes : LAST_RESORT;
    } catch {
      return LAST_RESORT;
    }
  }

  #budgetMs(call: ServerUnaryCall<Buffer, Buffer>): number {
    const leftMs = Number(call.getDeadline()) - this.#options.nowMs();
    return Math.max(0, Math.min(this.#options.maxCheckMs, leftMs - Math.min(MARGIN_MS, leftMs / 4)));
  }
}

const bytesAsTheyAre = (bytes: Buffer): Buffer => bytes;

/** The service with its messages left as bytes, so that no codec runs inside the transport. */
const CHECK_SERVICE: ServiceDefinition = {
  Check: {
    path: CHECK_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: bytesAsTheyAre,
    requestDeserialize: bytesAsTheyAre,
    responseSerialize: bytesAsTheyAre,
    responseDeserialize: bytesAsTheyAre,
  },
};

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const carriedMetadata = (call: ServerUnaryCall<Buffer, Buffer>): ReadonlyMap<string, string> => {
  const carried = new Map<string, string>();
  for (const name of CARRIED_METADATA) {
    const values = call.metadata.get(name);
    if (values.length === 1) carried.set(name, String(values[0]));
  }
  return carried;
};

const bindProblem = (address: string, error: Error): string =>
  error.message.includes('EADDRINUSE')
    ? `address in use: \`${address}\``
    : `cannot listen on \`${address}\`: ${error.message}`;
