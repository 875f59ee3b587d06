import { isLoopback } from '../../core/runtime/loopback-host.ts';
import type { SocketAccess } from '../../core/runtime/system/unix-socket.ts';
import { TakenSockets } from './taken-sockets.ts';
import { accessLogMethod, type AccessLogMethod } from './access-log/access-log.ts';
import { messageBudgets } from './grpc/byte-budget.ts';
import { CallWatch } from './grpc/call-watch.ts';
import { IncomingCheck, type CheckCallEvents, NO_MESSAGE } from './check/check-call.ts';
import { CheckQueue } from './check/check-queue.ts';
import type { MessageProblem } from './grpc/grpc-messages.ts';
import type { GrpcMethod } from './grpc/grpc-call.ts';
import { type BindProblem, GrpcServer, tcpAddress } from './grpc/grpc-server.ts';
import { Health } from './health.ts';
import { ownCopyOf } from './check/own-copy.ts';
import { ACCESS_LOG_PATH, CHECK_PATH } from './proto.ts';
import { type RefusalCause, refusalCause, type Refuse, type RefusedCall, surely } from './check/refusal.ts';
import type { CheckHandler, ExtAuthzServerOptions, NetworkTransport, TransportParts } from './server-options.ts';
import { SharedRoom } from '../../core/runtime/collections/shared-room.ts';

type Optional = 'onFault' | 'accessLog' | 'admit' | 'turn' | 'onRebound' | 'network';

/** Most waiting messages that are views of receive buffers of up to 64 KiB. */
const MAX_VIEWS = 256;

/**
 * The gRPC server that Envoy calls. Never answers a check with a gRPC error, on which Envoy may be configured to let a request
 * pass: an invalid message and a handler that throws, rejects, overruns its deadline or returns nothing all end in a refusal.
 *
 * Lifecycle: `listen` once, `setServing(true)` once it can decide, `close` once. Health reports "not serving" otherwise.
 */
export class AuthorizationServer {
  readonly #handler: CheckHandler;
  readonly #options: Required<Omit<ExtAuthzServerOptions, Optional>> & Pick<ExtAuthzServerOptions, Optional>;
  readonly #server: GrpcServer;
  readonly #parts: TransportParts;
  /** One for each address of the network. */
  readonly #network: NetworkTransport[] = [];
  readonly #health: Health;
  readonly #accessLog: AccessLogMethod | null;
  readonly #queue: CheckQueue<IncomingCheck>;
  readonly #watch: CallWatch;
  readonly #budgets = messageBudgets();
  readonly #refusal: Refuse;
  readonly #inFlight: SharedRoom;
  readonly #taken: TakenSockets;
  #closing: Promise<void> | null = null;

  constructor(handler: CheckHandler, options: ExtAuthzServerOptions) {
    this.#handler = handler;
    this.#options = { maxInFlight: 256, maxCheckMs: 10_000, ...options };
    this.#refusal = surely(options.refuse);
    this.#inFlight = new SharedRoom(this.#options.maxInFlight);
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
    this.#parts = {
      methods,
      // INVARIANT: while checks are queued, a turn will come, which resumes reading.
      isCrowded: () => this.#queue.length > this.#options.maxInFlight / 2,
      onFault: (error) => this.#tellFault(error),
    };
    const { isCrowded, onFault } = this.#parts;
    const server = new GrpcServer(methods, { monotonicMs, isCrowded, onFault });
    this.#server = server;
    this.#taken = new TakenSockets({
      bind: async ({ address, access }) => (this.#closing === null ? server.listen(address, access) : address),
      onProblem: (problem) => this.#tellFault(new Error(problem)),
      onRebound: (address, times) => options.onRebound?.(address, times),
      monotonicMs,
    });
    this.#queue = new CheckQueue({
      monotonicMs,
      onTurn: () => options.turn?.begins(),
      run: this.#decide,
      shed: (call, cause) => call.answer(this.#refused(call, call.message, cause)),
      onTurnOver: () => {
        options.turn?.over();
        server.flush();
        server.readOn();
        for (const transport of this.#network) transport.readOn();
      },
    });
  }

  /** Bytes of messages held: incomplete messages, and those of checks waiting for an answer. */
  get heldBytes(): number {
    return this.#budgets.all.held;
  }

  /** Checks waiting for an answer. */
  get inFlight(): number {
    return this.#inFlight.taken;
  }

  /**
   * Binds all addresses, or none if any fails. A socket that another process still serves is bound once this process can decide
   * (`setServing`).
   *
   * @param addresses `unix:/absolute/path` or `host:port`; port 0 picks a free port
   * @param access who may connect to Unix sockets; default 0660 with the group of this process
   * @returns the bound addresses, or the problem
   */
  async listen(addresses: readonly string[], access?: SocketAccess): Promise<readonly string[] | BindProblem> {
    const bound: string[] = [];
    for (const address of addresses) {
      const outcome = await this.#listen(address, access);
      if (typeof outcome !== 'string') {
        await this.close(0);
        return outcome;
      }
      bound.push(outcome);
    }
    return bound;
  }

  async #listen(address: string, access?: SocketAccess): Promise<string | BindProblem> {
    const at = address.startsWith('unix:') ? null : tcpAddress(address);
    const { network } = this.#options;
    if (access?.takesOver === true && at === null && (await this.#taken.waits({ address, access }))) return address;
    if (at === null || isLoopback(at.host) || network === undefined) return this.#server.listen(address, access);
    const transport = network(this.#parts);
    this.#network.push(transport);
    const bound = await transport.listen(at);
    return typeof bound === 'string' ? bound : { problem: `\`${address}\`: ${bound.problem}` };
  }

  /** Sets the answer of the health service. Checks are answered either way. */
  setServing(isServing: boolean): void {
    if (this.#closing !== null) return;
    this.#health.set(isServing);
    if (isServing) this.#taken.look();
  }

  /**
   * Graceful stop: reports "not serving", refuses new calls, lets checks finish for `graceMs`, aborts the rest, and closes all
   * addresses and connections. Never rejects.
   */
  close(graceMs: number): Promise<void> {
    this.#health.set(false);
    this.#closing ??= this.#drain(graceMs);
    return this.#closing;
  }

  async #drain(graceMs: number): Promise<void> {
    // They never end by themselves; draining would wait for them.
    this.#accessLog?.close();
    this.#health.close();
    await Promise.all([this.#server, ...this.#network].map((transport) => transport.close(graceMs)));
  }

  readonly #check: GrpcMethod = (incoming, head) => {
    const { monotonicMs, maxCheckMs } = this.#options;
    const call = new IncomingCheck(incoming, {
      events: this.#events,
      head,
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
      this.#inFlight.give(call.agent);
      this.#budgets.all.give(call.message.length);
      call.message = NO_MESSAGE;
    },
    lingers: (call) => this.#watch.lingers(call),
    closed: (call) => this.#watch.delete(call),
  };

  readonly #expired = (call: IncomingCheck): void => {
    // A check that was asked records its decision, under the id of this answer.
    const isUnderWay = call.message !== NO_MESSAGE && call.queued.queue === null;
    call.answer(this.#refused(call, call.message, 'deadline', isUnderWay ? call.signal : undefined));
    call.signal.aborted = true;
  };

  readonly #crowdedOut = (call: IncomingCheck): void => {
    call.answer(this.#refusal('full'));
    call.cut();
  };

  #arrived(call: IncomingCheck, message: Buffer | MessageProblem | 'full'): void {
    if (typeof message === 'string') call.answer(this.#refusal(refusalCause[message]));
    else this.#asks(call, message);
  }

  #asks(call: IncomingCheck, message: Buffer): void {
    const agent = this.#admitted(message);
    if (agent === null) call.answer(this.#refused(call, message, 'agent'));
    else if (!this.#hasRoomFor(message, agent)) call.answer(this.#refused(call, message, 'full'));
    else this.#enqueue(call, { message, agent });
  }

  /** The answer to a check that is not decided: a refusal, unless its call is only observed. */
  #refused(
    { traceparent, deadlineMs, signal }: IncomingCheck,
    message: Buffer,
    ...why: [cause: RefusalCause, underWay?: RefusedCall | undefined]
  ): Uint8Array {
    if (message.length === 0) return this.#refusal(...why);
    try {
      const passing = this.#handler.passing?.({ message, traceparent, deadlineMs, signal }, ...why) ?? null;
      if (passing !== null && passing.length > 0) return passing;
    } catch (error) {
      this.#tellFault(error);
    }
    return this.#refusal(...why);
  }

  /** Whether there is room for a check of an agent, and for its message, which are then taken. */
  #hasRoomFor({ length }: Buffer, agent: string): boolean {
    if (!this.#inFlight.take(agent)) return false;
    const isHeld = this.#budgets.all.take(length);
    if (!isHeld) this.#inFlight.give(agent);
    return isHeld;
  }

  #admitted(message: Buffer): string | null {
    const { admit } = this.#options;
    try {
      return admit === undefined ? '' : admit(message);
    } catch (error) {
      this.#tellFault(error);
      return null;
    }
  }

  #enqueue(call: IncomingCheck, { message, agent }: { readonly message: Buffer; readonly agent: string }): void {
    // From here on its bytes are returned when the call is over, even after an exception.
    call.message = message;
    call.agent = agent;
    if (this.#inFlight.taken > MAX_VIEWS) call.message = ownCopyOf(message);
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
      return calls.map((call) => this.#refused(call, call.message, 'failed'));
    }
  }

  #answerWith(call: IncomingCheck, answer: unknown): void {
    if (!(answer instanceof Promise)) return call.answer(this.#answerOr(call, answer));
    answer.then(
      (bytes) => call.answer(this.#answerOr(call, bytes)),
      (error: unknown) => this.#failed(call, error),
    );
  }

  #failed(call: IncomingCheck, error: unknown): void {
    this.#tellFault(error);
    call.answer(this.#refused(call, call.message, 'failed'));
  }

  /** The handler's answer, or else a refusal; never empty. */
  #answerOr(call: IncomingCheck, bytes: unknown): Uint8Array {
    if (bytes instanceof Uint8Array && bytes.length > 0) return bytes;
    this.#tellFault(new Error('the handler returned no answer'));
    return this.#refused(call, call.message, 'failed');
  }

  #tellFault(error: unknown): void {
    try {
      this.#options.onFault?.(error);
    } catch {
      // A fault handler that throws must not prevent the answer.
    }
  }
}
