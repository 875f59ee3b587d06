import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { endAnswer } from './grpc-answer.ts';
import { GrpcMessages, type MessageProblem } from './grpc-messages.ts';
import { grpcTimeoutMs } from './grpc-timeout.ts';

/** Largest CheckRequest: Envoy’s largest body, headers and a certificate. */
export const MAX_CHECK_BYTES = 4 * 1_024 * 1_024;

/**
 * Kept back from the client's deadline, which began before ours, so that the refusal arrives before it: at its deadline
 * Envoy makes an error of it. A quarter of a short one.
 */
const MARGIN_MS = 100;

const CARRIED_METADATA = ['traceparent', 'tracestate', 'baggage'] as const;

/** What becomes of a call. */
export interface CheckCallEvents {
  /** It has said all: its one message, or why there is none. */
  readonly arrived: (call: CheckCall, message: Buffer | MessageProblem) => void;
  /** Its deadline has come before an answer. */
  readonly expired: (call: CheckCall) => void;
  /** Its stream is closed, with an answer or without. */
  readonly closed: (call: CheckCall) => void;
}

/**
 * One call of `Check`, from its headers to its answer. It is answered at most once, and always: a client that never ends its
 * message is answered at its deadline.
 */
export class CheckCall {
  readonly metadata: ReadonlyMap<string, string>;
  /** On the monotonic clock. */
  readonly openedMs: number;
  readonly deadlineMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: { aborted: boolean } = { aborted: false };
  /** Told once when it is answered or nobody waits any more. */
  onOver: (() => void) | null = null;
  readonly #stream: ServerHttp2Stream;
  readonly #timer: ReturnType<typeof setTimeout>;
  #isOver = false;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    options: { readonly events: CheckCallEvents; readonly nowMs: number; readonly maxCheckMs: number },
  ) {
    const { events, nowMs } = options;
    const budgetMs = budgetOf(grpcTimeoutMs(headers['grpc-timeout']?.toString()), options.maxCheckMs);
    this.#stream = stream;
    this.metadata = carried(headers);
    this.openedMs = nowMs;
    this.deadlineMs = nowMs + budgetMs;
    this.#timer = setTimeout(() => events.expired(this), budgetMs);
    stream.once('close', () => {
      this.signal.aborted ||= !this.#isOver;
      this.#over();
      events.closed(this);
    });
    collect(stream, (message) => {
      if (!this.#isOver) events.arrived(this, message);
    });
  }

  /** Answered, or nobody waits any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Gives the answer, where there was none and somebody waits for it. */
  answer(message: Uint8Array): void {
    if (this.#isOver) return;
    this.#over();
    endAnswer(this.#stream, message);
  }

  /** Ends what the client does not take or does not end. */
  cut(): void {
    this.#stream.destroy();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.onOver?.();
  }
}

/** Whole milliseconds where they are many: timers of one length are kept together. */
const budgetOf = (timeoutMs: number | null, maxCheckMs: number): number =>
  timeoutMs === null ? maxCheckMs : Math.min(maxCheckMs, timeoutMs - Math.min(MARGIN_MS, timeoutMs / 4));

function carried(headers: IncomingHttpHeaders): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const name of CARRIED_METADATA) {
    const value = headers[name];
    if (typeof value === 'string') found.set(name, value);
  }
  return found;
}

function collect(stream: ServerHttp2Stream, done: (message: Buffer | MessageProblem) => void): void {
  const messages = new GrpcMessages(MAX_CHECK_BYTES);
  let size = 0;
  const take = (chunk: Buffer): void => {
    size += chunk.length;
    if (size <= MAX_CHECK_BYTES + 5) {
      messages.add(chunk);
      return;
    }
    stream.removeListener('data', take);
    stream.removeListener('end', end);
    done('too-large');
    stream.resume();
  };
  const end = (): void => {
    // A reset ends what can be read, too.
    if (!stream.aborted) done(messages.only());
  };
  stream.on('data', take);
  stream.on('end', end);
}
