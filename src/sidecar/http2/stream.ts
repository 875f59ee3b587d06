import { ErrorCode, Flag, type Frame, FrameType, MAX_31_BITS, MAX_FRAME_BYTES, uint32 } from './frame.ts';
import type { HeaderBlock } from './header-block.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { ContentLength } from './request-head.ts';

/** Listener of a stream. An exception it throws resets its stream and nothing else. */
export interface StreamEvents {
  /**
   * Data arrived: a view of the received bytes. The client may send more once `took` is called for them.
   *
   * @param part `last` if the same frame ends the client's half: `ended` follows, or `closed`
   */
  data(bytes: Buffer, part: 'more' | 'last'): void;
  /** The client half-closed the stream. Not called if the stream ends before. */
  ended(): void;
  /** The stream is over. Called exactly once, as the last call. */
  closed(): void;
}

/** A stream as its handler sees it. Sending on a stream that is over does nothing. */
export interface AnswerableStream {
  /** Whether more of the answer can be sent. */
  readonly isAnswerable: boolean;
  /** Whether response headers were sent. */
  readonly isAnswered: boolean;
  /** Whether the client has half-closed. */
  readonly isEnded: boolean;
  /** Sends the response headers; with `ends` they are the whole answer. */
  respond(block: HeaderBlock, options?: { readonly ends: boolean }): void;
  /** Sends data as flow control permits. Waiting data is kept by reference, not copied. */
  send(bytes: Buffer): void;
  /** Ends the answer with trailers. */
  end(trailers: HeaderBlock): void;
  /** Resets the stream at once. */
  reset(code: number): void;
  /** Once the whole answer is sent, gives the client a while to half-close and then resets the stream. */
  letGo(): void;
  /** Marks received bytes as consumed, which opens the window again. */
  took(length: number): void;
}

/** What a stream needs of its connection. */
export interface StreamConnection {
  /** Send window of the connection, in bytes. */
  sendWindow: number;
  frame(type: number, flags: number, stream: number, payload?: Uint8Array): void;
  /** Changes the number of bytes that wait for a window. */
  hold(bytes: number): void;
  /** Queues the stream for the connection's send window; `sendHeld` is called once it opens. */
  waitForWindow(stream: Http2Stream): void;
  /** Marks received bytes as consumed. */
  took(length: number): void;
  /** The listener of a stream threw. */
  fault(error: unknown): void;
  /** Resets the stream after a delay. @returns cancels that */
  endLater(stream: Http2Stream): () => void;
  /** The stream is over. */
  over(stream: Http2Stream, options: { readonly isReset: boolean }): void;
}

/** The initial state of a stream. */
export interface Http2StreamOptions {
  readonly id: number;
  readonly contentLength: ContentLength;
  /** Initial send window, in bytes. */
  readonly sendWindow: number;
}

/** Error codes of a stream error. */
export type StreamProblem = (typeof ErrorCode)['streamClosed' | 'flowControl' | 'protocol'];

/** Initial receive window of a stream. */
export const STREAM_WINDOW_BYTES = 256 * 1_024;

/**
 * A stream: counts and passes on what arrives, and queues what is sent for the client's windows. It is over when both sides have half-closed,
 * either side has reset it, or the connection has closed.
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
  /** Bytes passed on and not yet consumed. */
  #untaken = 0;
  #isEnded = false;
  #sendWindow: number;
  /** Data waiting for a window. Trailers follow it. */
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

  /** Sets the listener, which hears of what has already happened. */
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
   * Processes the content of a DATA frame. The connection has already counted it.
   *
   * @param bytes without padding, which counts against the window as well
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

  /** The client half-closed. */
  receiveEnd(): StreamProblem | null {
    if (this.#isOver) return null;
    if (this.#isEnded) return ErrorCode.streamClosed;
    // INVARIANT: a body of another length than `content-length` has two readings and is refused.
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

  /** Changes the send window. Returns false if it exceeds the protocol's maximum. */
  widen(bytes: number): boolean {
    this.#sendWindow += bytes;
    if (this.#sendWindow > MAX_31_BITS) return false;
    this.sendHeld();
    return true;
  }

  /** Sends as much waiting data as the windows permit. */
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

  /** The stream is over; `isReset` if one side reset it. */
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

  /** INVARIANT: an exception of a stream's listener ends neither the process nor another stream. */
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

  /** Sends what the windows permit and returns how many bytes that was. */
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
