import type { ByteBudget } from './byte-budget.ts';
import type { AnswerableStream, StreamEvents } from '../http2/stream.ts';
import { ErrorCode } from '../http2/frame.ts';
import { endAnswer } from './grpc-answer.ts';
import { GrpcMessages, type MessageProblem } from './grpc-messages.ts';
import { grpcTimeoutMs } from './grpc-timeout.ts';
import { QueueNode } from '../runtime/linked-queue.ts';

/** Largest CheckRequest: Envoy’s largest body, headers and a certificate. */
export const MAX_CHECK_BYTES = 4 * 1_024 * 1_024;

/** With the prefix of a message. */
const MAX_CALL_BYTES = MAX_CHECK_BYTES + 5;

/**
 * Kept back from the client's deadline, which began before ours, so that the refusal arrives before it: at its deadline
 * Envoy makes an error of it. A quarter of a short one.
 */
const MARGIN_MS = 100;

/** Of a version to come: it has 55 today. */
const MAX_TRACEPARENT_CHARS = 512;

/** Stands where there is none; no message that arrives is this one. */
export const NO_MESSAGE = Buffer.alloc(0);

/** What becomes of a call. */
export interface CheckCallEvents {
  /** It has said all: its one message, or why there is none; `full` for one that no more could be held of. */
  readonly arrived: (call: IncomingCheck, message: Buffer | MessageProblem | 'full') => void;
  /** It was answered, or nobody waits any more. Told once. */
  readonly over: (call: IncomingCheck) => void;
  /** It was answered, and its stream is not closed yet. */
  readonly lingers: (call: IncomingCheck) => void;
  /** Its stream is closed, with an answer or without. */
  readonly closed: (call: IncomingCheck) => void;
}

/** What a call is made with. */
export interface CheckCallOptions {
  readonly events: CheckCallEvents;
  /** Of the call, of which little is kept. */
  readonly headers: ReadonlyMap<string, string>;
  /** Of messages that are not whole. */
  readonly budget: ByteBudget;
  readonly nowMs: number;
  readonly maxCheckMs: number;
}

/**
 * One call of `Check`, from its headers to its answer. It is answered at most once; that a client which never ends its message is
 * answered too is for `CallWatch` to see to.
 */
export class IncomingCheck implements StreamEvents {
  /** The trace context of the call: `traceparent` as sent; `null` for one that is too long to be kept while it waits. */
  readonly traceparent: string | null;
  /** On the monotonic clock. */
  readonly openedMs: number;
  readonly deadlineMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: { aborted: boolean } = { aborted: false };
  /** Its message while that waits to be answered, else `NO_MESSAGE`. */
  message: Buffer = NO_MESSAGE;
  /** Among the calls that are looked after. */
  readonly watched = new QueueNode<IncomingCheck>(this);
  /** In the queue of those that wait for their turn. */
  readonly queued = new QueueNode<IncomingCheck>(this);
  /** When its message was there, on the monotonic clock; 0 where it is not yet. */
  arrivedMs = 0;
  readonly #stream: AnswerableStream;
  readonly #events: CheckCallEvents;
  readonly #messages: GrpcMessages;
  #bytes = 0;
  #isOver = false;

  constructor(stream: AnswerableStream, { events, headers, budget, nowMs, maxCheckMs }: CheckCallOptions) {
    this.#stream = stream;
    this.#events = events;
    this.#messages = new GrpcMessages(MAX_CHECK_BYTES, budget);
    this.traceparent = shortOf(headers.get('traceparent'));
    this.openedMs = nowMs;
    this.deadlineMs = nowMs + budgetOf(grpcTimeoutMs(headers.get('grpc-timeout')), maxCheckMs);
  }

  /** Answered, or nobody waits any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  data(bytes: Buffer, part: 'more' | 'last'): void {
    this.#stream.took(bytes.length);
    this.#bytes += bytes.length;
    if (this.#isOver) return;
    if (this.#bytes > MAX_CALL_BYTES) return this.#events.arrived(this, 'too-large');
    this.#messages.add(bytes);
    // The last bytes are a message at once, which is counted as one.
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

  /** Gives the answer, where there was none and somebody waits for it. */
  answer(message: Uint8Array): void {
    if (this.#isOver) return;
    this.#over();
    endAnswer(this.#stream, message);
    if (this.watched.queue !== null) this.#events.lingers(this);
  }

  /** Ends what the client does not take or does not end. */
  cut(): void {
    this.#stream.reset(ErrorCode.cancel);
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#messages.letGo();
    this.#events.over(this);
  }
}

/** A text that is not longer than what it says can be. */
const shortOf = (text: string | undefined): string | null =>
  text === undefined || text.length > MAX_TRACEPARENT_CHARS ? null : text;

const budgetOf = (timeoutMs: number | null, maxCheckMs: number): number =>
  timeoutMs === null ? maxCheckMs : Math.min(maxCheckMs, timeoutMs - Math.min(MARGIN_MS, timeoutMs / 4));
