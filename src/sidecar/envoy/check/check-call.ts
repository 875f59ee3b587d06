import type { ByteBudget } from '../grpc/byte-budget.ts';
import type { StreamEvents } from '../../http2/stream.ts';
import type { GrpcCall, GrpcHead } from '../grpc/grpc-call.ts';
import { GrpcMessages, type MessageProblem } from '../grpc/grpc-messages.ts';
import type { RefusedCall } from './refusal.ts';
import { QueueNode } from '../../../core/runtime/collections/linked-queue.ts';

/** Largest CheckRequest: Envoy’s largest body, headers and a certificate. */
export const MAX_CHECK_BYTES = 4 * 1_024 * 1_024;

/** With the 5 bytes of the message prefix. */
const MAX_CALL_BYTES = MAX_CHECK_BYTES + 5;

/**
 * Subtracted from the client's deadline, which started before ours, so that a refusal arrives in time: at its deadline Envoy
 * reports an error. At most a quarter of the time.
 */
const MARGIN_MS = 100;

/** Allows for future versions; today it has 55. */
const MAX_TRACEPARENT_CHARS = 512;

/** Marks a missing message; never equal to a received message. */
export const NO_MESSAGE = Buffer.alloc(0);

/** Events of a call. */
export interface CheckCallEvents {
  /** The client half-closed: its message, or why there is none; `full` if the budget is used up. */
  readonly arrived: (call: IncomingCheck, message: Buffer | MessageProblem | 'full') => void;
  /** It was answered, or its client is gone. Called once. */
  readonly over: (call: IncomingCheck) => void;
  /** It was answered, but its stream is not closed yet. */
  readonly lingers: (call: IncomingCheck) => void;
  /** Its stream is closed, answered or not. */
  readonly closed: (call: IncomingCheck) => void;
}

/** What a call needs. */
export interface CheckCallOptions {
  readonly events: CheckCallEvents;
  readonly head: GrpcHead;
  /** Budget for incomplete messages. */
  readonly budget: ByteBudget;
  readonly nowMs: number;
  readonly maxCheckMs: number;
}

/**
 * One call of `Check`, from headers to answer. Answered at most once. `CallWatch` answers calls whose clients never complete
 * their message.
 */
export class IncomingCheck implements StreamEvents {
  /** The `traceparent` as sent; `null` if it is absent or too long to keep. */
  readonly traceparent: string | null;
  /** Monotonic instant. */
  readonly openedMs: number;
  readonly deadlineMs: number;
  /** Aborted when the answer is no longer awaited. */
  readonly signal: { aborted: boolean } & RefusedCall = { aborted: false };
  /** Its message while it waits to be answered, else `NO_MESSAGE`. */
  message: Buffer = NO_MESSAGE;
  /** Its node in `CallWatch`. */
  readonly watched = new QueueNode<IncomingCheck>(this);
  /** Its node in the queue of checks. */
  readonly queued = new QueueNode<IncomingCheck>(this);
  /** The agent according to the proxy, once the message is complete. */
  agent = '';
  /** When its message was complete, monotonic; 0 before that. */
  arrivedMs = 0;
  readonly #call: GrpcCall;
  readonly #events: CheckCallEvents;
  readonly #messages: GrpcMessages;
  #bytes = 0;
  #isOver = false;

  constructor(call: GrpcCall, { events, head, budget, nowMs, maxCheckMs }: CheckCallOptions) {
    this.#call = call;
    this.#events = events;
    this.#messages = new GrpcMessages(MAX_CHECK_BYTES, budget);
    this.traceparent = shortOf(head.traceparent);
    this.openedMs = nowMs;
    this.deadlineMs = nowMs + budgetOf(head.timeoutMs, maxCheckMs);
  }

  /** Whether it was answered or its client is gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  data(bytes: Buffer, part: 'more' | 'last'): void {
    this.#call.took(bytes.length);
    this.#bytes += bytes.length;
    if (this.#isOver) return;
    if (this.#bytes > MAX_CALL_BYTES) return this.#events.arrived(this, 'too-large');
    this.#messages.add(bytes);
    // The last part completes the message, which is counted as such.
    if (part === 'more' && !this.#messages.hold()) this.#events.arrived(this, 'full');
  }

  ended(): void {
    if (this.#isOver) return;
    const message = this.#messages.only();
    this.#messages.letGo();
    this.#events.arrived(this, message);
  }

  closed(): void {
    this.signal.aborted ||= !this.#isOver;
    this.#over();
    this.#events.closed(this);
  }

  /** Sends the answer, unless the call is over. */
  answer(message: Uint8Array): void {
    if (this.#isOver) return;
    this.#over();
    this.#call.end(message);
    if (this.watched.queue !== null) this.#events.lingers(this);
  }

  /** Abandons a call whose client does not read or half-close. */
  cut(): void {
    this.#call.cut();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#messages.letGo();
    this.#events.over(this);
  }
}

/** A `traceparent`, unless it is too long to be valid. */
const shortOf = (text: string | null): string | null =>
  text === null || text.length > MAX_TRACEPARENT_CHARS ? null : text;

const budgetOf = (timeoutMs: number | null, maxCheckMs: number): number =>
  timeoutMs === null ? maxCheckMs : Math.min(maxCheckMs, timeoutMs - Math.min(MARGIN_MS, timeoutMs / 4));
