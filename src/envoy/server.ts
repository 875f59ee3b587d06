import { accessLogMethod, type AccessLogMethod, type AccessLogSink } from './access-log.ts';
import { messageBudgets } from './byte-budget.ts';
import { CallWatch } from './call-watch.ts';
import { IncomingCheck, type CheckCallEvents, NO_MESSAGE } from './check-call.ts';
import { CheckQueue } from './check-queue.ts';
import type { MessageProblem } from './grpc-messages.ts';
import { type BindProblem, type GrpcMethod, GrpcServer } from './grpc-server.ts';
import { Health } from './health.ts';
import { ownCopyOf } from './own-copy.ts';
import { ACCESS_LOG_PATH, CHECK_PATH } from './proto.ts';
import { refusalCause, type RefusalCause, surely } from './refusal.ts';

/** One check, and everything of its gRPC call that may be used. */
export interface CheckMessage {
  /** The CheckRequest. A view of more: what is kept of it longer than the check is copied. */
  readonly message: Uint8Array;
  /** The trace context of the call: `traceparent` as sent. */
  readonly traceparent: string | null;
  /** When the answer must be ready, on the monotonic clock. Always finite. */
  readonly deadlineMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: { readonly aborted: boolean };
}

/** What the transport hides behind. */
export interface CheckHandler {
  /**
   * The bytes of a CheckResponse for each of some checks, in their order. At once where nothing has to be waited for.
   */
  answers(checks: readonly CheckMessage[]): readonly (Uint8Array | Promise<Uint8Array>)[];
  /** What can wait until those that are ready were sent. In the same turn of the event loop. */
  afterwards(): void;
}

/** What the server needs and what it is held to. */
export interface ExtAuthzServerOptions {
  /** The bytes of a denial. Should it throw or give nothing, a denial of the server's own is sent. */
  readonly refuse: (cause: RefusalCause) => Uint8Array;
  readonly monotonicMs: () => number;
  /** Whether the agent of a CheckRequest may ask now; asked before anything is decoded. Without it every agent may. */
  readonly admit?: (request: Buffer) => boolean;
  /** Checks that may wait for their answer at once, 256 by default; one more is refused as `overloaded`. */
  readonly maxInFlight?: number;
  /** For a client that sets no deadline or a longer one; 10,000 by default. */
  readonly maxCheckMs?: number;
  /** Told before checks are decided, all of which had arrived by then, and once they are; nothing is awaited in between. */
  readonly turn?: { readonly begins: () => void; readonly over: () => void };
  /** Told of what a handler or a call of any method threw, and of connections that could not be taken. */
  readonly onFault?: (error: unknown) => void;
  /** Takes what access logs say; without it their service is not offered. */
  readonly accessLog?: AccessLogSink;
}

type Optional = 'onFault' | 'accessLog' | 'admit' | 'turn';

/** So many messages may wait as views of what was received with them, 64 KiB each at most. */
const MAX_VIEWS = 256;

/**
 * The gRPC server that Envoy asks. It never answers a check with a gRPC error, since Envoy can be told to let a request pass on
 * one: a message that is none, a handler that throws, rejects, overruns its deadline or gives nothing ends in a refusal.
 *
 * Lifecycle: `listen` once, `setServing(true)` once it can decide, `close` once. Health says "not serving" outside that.
 */
export class AuthorizationServer {
  readonly #handler: CheckHandler;
  readonly #options: Required<Omit<ExtAuthzServerOptions, Optional>> & Pick<ExtAuthzServerOptions, Optional>;
  readonly #server: GrpcServer;
  readonly #health: Health;
  readonly #accessLog: AccessLogMethod | null;
  readonly #queue: CheckQueue<IncomingCheck>;
  readonly #watch: CallWatch;
  readonly #budgets = messageBudgets();
  readonly #refusal: (cause: RefusalCause) => Uint8Array;
  #inFlight = 0;
  #closing: Promise<void> | null = null;

  constructor(handler: CheckHandler, options: ExtAuthzServerOptions) {
    this.#handler = handler;
    this.#options = { maxInFlight: 256, maxCheckMs: 10_000, ...options };
    this.#refusal = surely(options.refuse);
    const { accessLog } = options;
    this.#accessLog =
      accessLog === undefined
        ? null
        : accessLogMethod(accessLog, {
            budget: this.#budgets.accessLogs,
            monotonicMs: options.monotonicMs,
            onFault: (error) => this.#tellFault(error),
          });
    const { monotonicMs } = options;
    this.#health = new Health({ monotonicMs });
    this.#watch = new CallWatch({ monotonicMs, onExpired: this.#expired, onCrowdedOut: this.#crowdedOut });
    const methods = new Map<string, GrpcMethod>([...this.#health.methods, [CHECK_PATH, this.#check]]);
    if (this.#accessLog !== null) methods.set(ACCESS_LOG_PATH, this.#accessLog.open);
    const server = new GrpcServer(methods, {
      monotonicMs,
      // INVARIANT: where some wait their turn comes, and then it is read on.
      isCrowded: () => this.#queue.length > this.#options.maxInFlight / 2,
      onFault: (error) => this.#tellFault(error),
    });
    this.#server = server;
    this.#queue = new CheckQueue({
      monotonicMs,
      onTurn: () => options.turn?.begins(),
      run: this.#decide,
      shed: (call) => call.answer(this.#refusal('late')),
      onTurnOver: () => {
        options.turn?.over();
        server.flush();
        server.readOn();
      },
    });
  }

  /** Bytes that messages hold: those that are not whole, and those of checks that wait for their answer. */
  get heldBytes(): number {
    return this.#budgets.all.held;
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
  async listen(addresses: readonly string[]): Promise<readonly string[] | BindProblem> {
    const bound: string[] = [];
    for (const address of addresses) {
      const outcome = await this.#server.listen(address);
      if (typeof outcome !== 'string') {
        await this.close(0);
        return outcome;
      }
      bound.push(outcome);
    }
    return bound;
  }

  /** What the health service answers. Checks are answered either way. */
  setServing(isServing: boolean): void {
    if (this.#closing === null) this.#health.set(isServing);
  }

  /**
   * Says "not serving", takes no more calls, lets checks in flight end for `graceMs`, cuts off what is left then, and closes every
   * address and connection. Never rejects.
   */
  close(graceMs: number): Promise<void> {
    this.#health.set(false);
    this.#closing ??= this.#drain(graceMs);
    return this.#closing;
  }

  async #drain(graceMs: number): Promise<void> {
    // They never end by themselves, and the draining would wait for them.
    this.#accessLog?.close();
    this.#health.close();
    await this.#server.close(graceMs);
  }

  readonly #check: GrpcMethod = (stream, { headers }) => {
    const { monotonicMs, maxCheckMs } = this.#options;
    const call = new IncomingCheck(stream, {
      events: this.#events,
      headers,
      budget: this.#budgets.unfinishedChecks,
      nowMs: monotonicMs(),
      maxCheckMs,
    });
    this.#watch.add(call);
    return call;
  };

  readonly #events: CheckCallEvents = {
    arrived: (call, message) => this.#arrived(call, message),
    over: (call) => {
      call.queued.leave();
      if (call.message === NO_MESSAGE) return;
      this.#inFlight -= 1;
      this.#budgets.all.give(call.message.length);
      call.message = NO_MESSAGE;
    },
    lingers: (call) => this.#watch.lingers(call),
    closed: (call) => this.#watch.delete(call),
  };

  readonly #expired = (call: IncomingCheck): void => {
    call.answer(this.#refusal('deadline'));
    call.signal.aborted = true;
  };

  readonly #crowdedOut = (call: IncomingCheck): void => {
    call.answer(this.#refusal('full'));
    call.cut();
  };

  #arrived(call: IncomingCheck, message: Buffer | MessageProblem | 'full'): void {
    if (typeof message === 'string') call.answer(this.#refusal(refusalCause[message]));
    else if (!this.#isAdmitted(message)) call.answer(this.#refusal('agent'));
    else if (!this.#hasRoomFor(message)) call.answer(this.#refusal('full'));
    else this.#enqueue(call, message);
  }

  /** Whether a message may wait; its bytes are counted then. */
  #hasRoomFor({ length }: Buffer): boolean {
    return this.#inFlight < this.#options.maxInFlight && this.#budgets.all.take(length);
  }

  #isAdmitted(message: Buffer): boolean {
    try {
      return this.#options.admit?.(message) ?? true;
    } catch (error) {
      this.#tellFault(error);
      return false;
    }
  }

  #enqueue(call: IncomingCheck, message: Buffer): void {
    // From here on it is given back once the call is over, whatever is thrown.
    call.message = message;
    this.#inFlight += 1;
    if (this.#inFlight > MAX_VIEWS) call.message = ownCopyOf(message);
    call.arrivedMs = this.#options.monotonicMs();
    this.#watch.asked(call);
    this.#queue.add(call.queued);
  }

  readonly #decide = (calls: readonly IncomingCheck[]): void => {
    const answers = this.#answersTo(calls);
    for (const [index, call] of calls.entries()) this.#answerWith(call, answers[index]);
    this.#server.flush();
    try {
      this.#handler.afterwards();
    } catch (error) {
      this.#tellFault(error);
    }
  };

  #answersTo(calls: readonly IncomingCheck[]): readonly unknown[] {
    try {
      return this.#handler.answers(calls);
    } catch (error) {
      this.#tellFault(error);
      return calls.map(() => this.#refusal('failed'));
    }
  }

  #answerWith(call: IncomingCheck, answer: unknown): void {
    if (!(answer instanceof Promise)) return call.answer(this.#answerOr(answer));
    answer.then(
      (bytes) => call.answer(this.#answerOr(bytes)),
      (error: unknown) => this.#failed(call, error),
    );
  }

  #failed(call: IncomingCheck, error: unknown): void {
    this.#tellFault(error);
    call.answer(this.#refusal('failed'));
  }

  /** The handler's answer, or a refusal in its place; never empty. */
  #answerOr(bytes: unknown): Uint8Array {
    if (bytes instanceof Uint8Array && bytes.length > 0) return bytes;
    this.#tellFault(new Error('the handler answered nothing'));
    return this.#refusal('failed');
  }

  #tellFault(error: unknown): void {
    try {
      this.#options.onFault?.(error);
    } catch {
      // Who is told of faults has one of its own: the check is answered all the same.
    }
  }
}
