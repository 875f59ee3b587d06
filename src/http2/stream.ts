import { ErrorCode, Flag, type Frame, FrameType, MAX_31_BITS, MAX_FRAME_BYTES, uint32 } from './frame.ts';
import type { HeaderBlock } from './header-block.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { ContentLength } from './request-head.ts';

/** What comes of a stream, told to whom it was handed. Who throws has the stream reset, and nothing else. */
export interface StreamEvents {
  /**
   * Bytes came: a view of what was received, which need not be copied. The client may send as many more once they are `took`.
   *
   * @param part `last` where the client says in the same frame that this is all: `ended` comes next, or `closed`
   */
  data(bytes: Buffer, part: 'more' | 'last'): void;
  /** The client has said all. Not told where the stream ends before. */
  ended(): void;
  /** The stream is over, however that came about. Told once, and last. */
  closed(): void;
}

/** A stream as it is answered. Whatever is sent where nobody waits any more goes nowhere. */
export interface AnswerableStream {
  /** Whether an answer, or more of it, can be sent. */
  readonly isAnswerable: boolean;
  /** Whether the headers of the answer have been sent. */
  readonly isAnswered: boolean;
  /** Whether the client has said all. */
  readonly isEnded: boolean;
  /** Sends the headers of the answer; with `ends` they are all of it. */
  respond(block: HeaderBlock, options?: { readonly ends: boolean }): void;
  /** Sends bytes, as soon as the client has room for them; those that have to wait are kept as they are. */
  send(bytes: Buffer): void;
  /** Ends the answer with trailers. */
  end(trailers: HeaderBlock): void;
  /** Ends the stream at once. */
  reset(code: number): void;
  /** Ends the stream a while after all of the answer was sent, where the client has not said all by then. */
  letGo(): void;
  /** Bytes that came have been dealt with. */
  took(length: number): void;
}

/** The connection of a stream, as the stream needs it. */
export interface StreamConnection {
  /** What may be sent now, of all streams together, bytes. */
  sendWindow: number;
  frame(type: number, flags: number, stream: number, payload?: Uint8Array): void;
  /** So many bytes more, or less, wait for a window. */
  hold(bytes: number): void;
  /** The stream waits for the window that all share: `sendHeld` once that is wider. */
  waitForWindow(stream: Http2Stream): void;
  /** Bytes that were received have been dealt with. */
  took(length: number): void;
  /** Who is told of streams has thrown. */
  fault(error: unknown): void;
  /** The stream is ended a while from now. @returns takes that back */
  endLater(stream: Http2Stream): () => void;
  /** The stream is over. */
  over(stream: Http2Stream, options: { readonly isReset: boolean }): void;
}

/** What a stream begins with. */
export interface Http2StreamOptions {
  readonly id: number;
  readonly contentLength: ContentLength;
  /** What may be sent of it before the client says more, bytes. */
  readonly sendWindow: number;
}

/** Why what came makes an error of the stream. */
export type StreamProblem = (typeof ErrorCode)['streamClosed' | 'flowControl' | 'protocol'];

/** What a client may send of one stream before it hears that more may come. */
export const STREAM_WINDOW_BYTES = 256 * 1_024;

/**
 * One stream of a connection: what comes is counted and handed on, what is sent waits for the windows of the client. Over when
 * both sides have said all, or one has reset it, or the connection is gone.
 *
 * @see RFC 9113 section 5.1
 */
export class Http2Stream implements AnswerableStream {
  readonly id: number;
  readonly #connection: StreamConnection;
  readonly #contentLength: ContentLength;
  #events: StreamEvents | null = null;
  readonly #receiveWindow = new ReceiveWindow(STREAM_WINDOW_BYTES);
  #received = 0;
  /** Handed on and not yet dealt with. */
  #untaken = 0;
  #isEnded = false;
  #sendWindow: number;
  /** Waits for a window; trailers come after it. */
  readonly #held: Buffer[] = [];
  #trailers: HeaderBlock | null = null;
  #answer: 'none' | 'begun' | 'ending' | 'ended' = 'none';
  #isLetGo = false;
  #keep: (() => void) | null = null;
  #isOver = false;

  constructor(connection: StreamConnection, { id, contentLength, sendWindow }: Http2StreamOptions) {
    this.id = id;
    this.#connection = connection;
    this.#contentLength = contentLength;
    this.#sendWindow = sendWindow;
  }

  get isAnswerable(): boolean {
    return !this.#isOver && (this.#answer === 'none' || this.#answer === 'begun');
  }

  get isAnswered(): boolean {
    return this.#answer !== 'none';
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Who is told what comes, and at once where the stream was ended already. */
  handTo(events: StreamEvents): void {
    this.#events = events;
    if (this.#isOver) this.#tellClosed();
  }

  respond(block: HeaderBlock, { ends }: { readonly ends: boolean } = { ends: false }): void {
    if (this.#isOver || this.#answer !== 'none') return;
    this.#answer = 'begun';
    if (ends) this.#finish(block);
    else this.#connection.frame(FrameType.headers, Flag.endHeaders, this.id, block);
  }

  send(bytes: Buffer): void {
    if (this.#isOver || this.#answer !== 'begun') return;
    const sent = this.#held.length > 0 ? 0 : this.#sendNow(bytes);
    if (sent === bytes.length) return;
    this.#held.push(bytes.subarray(sent));
    this.#connection.hold(bytes.length - sent);
  }

  end(trailers: HeaderBlock): void {
    if (this.#isOver || this.#answer !== 'begun') return;
    this.#answer = 'ending';
    if (this.#held.length === 0) this.#finish(trailers);
    else this.#trailers = trailers;
  }

  reset(code: number): void {
    if (this.#isOver) return;
    this.#connection.frame(FrameType.reset, 0, this.id, uint32(code));
    this.close({ isReset: true });
  }

  letGo(): void {
    if (this.#isOver || this.#isEnded || this.#isLetGo) return;
    this.#isLetGo = true;
    if (this.#answer === 'ended') this.#keep = this.#connection.endLater(this);
  }

  took(length: number): void {
    if (this.#isOver) return;
    this.#untaken -= length;
    this.#connection.took(length);
    const credit = this.#receiveWindow.took(length);
    if (credit > 0 && !this.#isEnded) this.#connection.frame(FrameType.windowUpdate, 0, this.id, uint32(credit));
  }

  /**
   * Content came, which the connection has counted.
   *
   * @param bytes without the padding, which was counted and is nothing
   */
  receive(bytes: Buffer, { flags, payload: { length: counted } }: Frame): StreamProblem | null {
    if (this.#isEnded) return this.#refused(counted, ErrorCode.streamClosed);
    if (!this.#receiveWindow.receive(counted)) return this.#refused(counted, ErrorCode.flowControl);
    this.#received += bytes.length;
    this.#untaken += counted;
    if (counted > bytes.length) this.took(counted - bytes.length);
    if (bytes.length === 0) return null;
    try {
      this.#events?.data(bytes, (flags & Flag.endStream) === 0 ? 'more' : 'last');
    } catch (error) {
      this.#fault(error);
    }
    return null;
  }

  /** The client has said all. */
  receiveEnd(): StreamProblem | null {
    if (this.#isOver) return null;
    if (this.#isEnded) return ErrorCode.streamClosed;
    // INVARIANT: what is not as long as it says has more than one reading, and is none.
    if (this.#contentLength !== null && this.#contentLength !== this.#received) return ErrorCode.protocol;
    this.#isEnded = true;
    try {
      this.#events?.ended();
    } catch (error) {
      this.#fault(error);
    }
    if (this.#answer === 'ended') this.close({ isReset: false });
    return null;
  }

  /** The client takes so much more, or less, than before; whether that is a window. */
  widen(bytes: number): boolean {
    this.#sendWindow += bytes;
    if (this.#sendWindow > MAX_31_BITS) return false;
    this.sendHeld();
    return true;
  }

  /** Sends what waited, as far as it may be sent now. */
  sendHeld(): void {
    for (let next = this.#held[0]; next !== undefined && !this.#isOver; next = this.#held[0]) {
      const sent = this.#sendNow(next);
      this.#connection.hold(-sent);
      if (sent < next.length) {
        if (sent > 0) this.#held[0] = next.subarray(sent);
        return;
      }
      this.#held.shift();
    }
    if (this.#trailers !== null && this.#held.length === 0) this.#finish(this.#trailers);
  }

  /** It is over; `isReset` where one side ended it before its time. */
  close(options: { readonly isReset: boolean }): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#keep?.();
    for (const { length } of this.#held.splice(0)) this.#connection.hold(-length);
    this.#connection.took(this.#untaken);
    this.#connection.over(this, options);
    this.#tellClosed();
  }

  #tellClosed(): void {
    try {
      this.#events?.closed();
    } catch (error) {
      this.#connection.fault(error);
    }
  }

  /** INVARIANT: what one stream throws ends neither the process nor any other stream. */
  #fault(error: unknown): void {
    this.#connection.fault(error);
    this.reset(ErrorCode.internal);
  }

  #refused(counted: number, problem: StreamProblem): StreamProblem {
    this.#connection.took(counted);
    return problem;
  }

  #finish(block: HeaderBlock): void {
    this.#trailers = null;
    this.#answer = 'ended';
    this.#connection.frame(FrameType.headers, Flag.endHeaders | Flag.endStream, this.id, block);
    if (this.#isEnded) this.close({ isReset: false });
    else if (this.#isLetGo) this.#keep = this.#connection.endLater(this);
  }

  /** How many bytes the windows let pass. */
  #sendNow(bytes: Buffer): number {
    let sent = 0;
    while (sent < bytes.length) {
      const room = Math.min(this.#sendWindow, this.#connection.sendWindow, MAX_FRAME_BYTES, bytes.length - sent);
      if (room <= 0) {
        if (this.#sendWindow > 0) this.#connection.waitForWindow(this);
        break;
      }
      this.#connection.frame(FrameType.data, 0, this.id, bytes.subarray(sent, sent + room));
      this.#sendWindow -= room;
      this.#connection.sendWindow -= room;
      sent += room;
    }
    return sent;
  }
}
