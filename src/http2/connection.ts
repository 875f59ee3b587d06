import type { Socket } from 'node:net';
import { BOUNDS } from './bounds.ts';
import { ErrorCode, type Frame, FrameType, MAX_31_BITS, uint32 } from './frame.ts';
import { FrameReader } from './frame-reader.ts';
import { LIST_LIMITS } from './header-decoder.ts';
import { Outgoing } from './outgoing.ts';
import type { RequestHead } from './request-head.ts';
import { Http2Session, INITIAL_WINDOW_BYTES } from './session.ts';
import { Setting, settingsBytes } from './settings.ts';
import { type AnswerableStream, type Http2Stream, STREAM_WINDOW_BYTES, type StreamEvents } from './stream.ts';

/** What a connection is made with. */
export interface ConnectionOptions {
  /** A request has begun; the result is told what comes of it. What is kept of the head is for it to say. */
  readonly onStream: (stream: AnswerableStream, head: RequestHead) => StreamEvents;
  /** Resets a stream a while from now. @returns takes that back */
  readonly endLater: (stream: Http2Stream) => () => void;
  /** Frames have gathered; they go out with `flush`. */
  readonly onGathered: (connection: Http2Connection) => void;
  /** A piece of what comes was dealt with. */
  readonly onRead: () => void;
  /** The connection is gone. */
  readonly onGone: (connection: Http2Connection) => void;
  /** Told of what was thrown by those who are told of streams; throws nothing itself. */
  readonly onFault: (error: unknown) => void;
  readonly monotonicMs: () => number;
}

/** With which a connection begins. @see RFC 9113 section 3.4 */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

const SETTINGS = settingsBytes([
  [Setting.maxConcurrentStreams, BOUNDS.streams],
  [Setting.initialWindowSize, STREAM_WINDOW_BYTES],
  [Setting.maxHeaderListSize, LIST_LIMITS.bytes],
]);

/**
 * One connection of a server, by prior knowledge and without TLS: what is between a socket and its `Http2Session`. Errors of the
 * session end the connection and no other.
 *
 * Lifecycle: from the socket's begin to its end; `close` lets streams end and takes no new ones, `destroy` ends it now. What the
 * other end leaves standing is ended in time: a preface that is not whole, what it does not read, an end that it does not see.
 *
 * @see RFC 9113
 */
export class Http2Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #outgoing: Outgoing;
  readonly #frames = new FrameReader();
  readonly #session: Http2Session;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #prefaceBytes = 0;
  /** The latest stream that the client was told to be taken. */
  #lastTold = MAX_31_BITS;
  /** Nothing is read, since the other end does not read what was written. */
  #isStalled = false;
  /** Nothing is read, since enough has come for now. */
  #waits = false;
  #wasRead = false;
  #state: 'open' | 'closing' | 'over' = 'open';

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#outgoing = new Outgoing(socket);
    this.#session = new Http2Session({ ...options, send: this.#send, onOver: () => this.#endIfDone() });
    this.#endIn(BOUNDS.prefaceMs);
    socket.on('data', this.#receive);
    socket.on('drain', this.#drained);
    // What is wrong with one connection ends that one.
    socket.on('error', () => undefined);
    socket.on('end', this.#linger);
    socket.on('finish', this.#linger);
    socket.on('close', this.#gone);
    this.#send(FrameType.settings, 0, 0, SETTINGS);
    this.#send(FrameType.windowUpdate, 0, 0, uint32(BOUNDS.windowBytes - INITIAL_WINDOW_BYTES));
  }

  /** Says that streams should be opened elsewhere, before one is refused. */
  warn(): void {
    if (this.#state === 'open') this.#goAway(MAX_31_BITS, ErrorCode.none);
    this.flush();
  }

  /** Takes no new streams, and ends once those that are open are over. */
  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#session.refusesStreams = true;
    this.#goAway(this.#session.last, ErrorCode.none);
    this.#endIfDone();
    this.flush();
  }

  /** Ends now. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Sends what has gathered. */
  flush(): void {
    this.#outgoing.flush();
    if (this.#isStalled || this.#outgoing.waiting <= BOUNDS.unreadBytes) return;
    this.#isStalled = true;
    this.#socket.pause();
    this.#endIn(BOUNDS.stalledMs);
  }

  /** Whether something came since it last waited. */
  get wasRead(): boolean {
    return this.#wasRead;
  }

  /** Reads nothing until `readOn`. */
  wait(): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#socket.pause();
  }

  /** Reads again after `wait`. */
  readOn(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#wasRead = false;
    this.#readAgain();
  }

  readonly #send = (type: number, flags: number, stream: number, payload?: Uint8Array): void => {
    if (this.#outgoing.isEmpty) this.#options.onGathered(this);
    this.#outgoing.frame(type, flags, stream, payload);
  };

  readonly #receive = (chunk: Buffer): void => {
    if (this.#state === 'over') return;
    const rest = this.#prefaceBytes < PREFACE.length ? this.#afterPreface(chunk) : chunk;
    if (rest === null) this.#fail(ErrorCode.protocol);
    else if (this.#frames.read(rest, this.#take) === 'too-large') this.#fail(ErrorCode.frameSize);
    this.#wasRead = true;
    this.#options.onRead();
  };

  /** What comes after the preface, or `null` where that is none. */
  #afterPreface(chunk: Buffer): Buffer | null {
    const length = Math.min(chunk.length, PREFACE.length - this.#prefaceBytes);
    const expected = PREFACE.subarray(this.#prefaceBytes, this.#prefaceBytes + length);
    if (!expected.equals(chunk.subarray(0, length))) return null;
    this.#prefaceBytes += length;
    if (this.#prefaceBytes === PREFACE.length) clearTimeout(this.#timer);
    return chunk.subarray(length);
  }

  readonly #take = (frame: Frame): boolean => {
    const problem = this.#session.take(frame);
    if (problem !== null) this.#fail(problem);
    return this.#state !== 'over';
  };

  #goAway(last: number, code: number): void {
    // Once said, it may be less and not more.
    this.#lastTold = Math.min(this.#lastTold, last);
    this.#send(FrameType.goAway, 0, 0, Buffer.concat([uint32(this.#lastTold), uint32(code)]));
  }

  #endIfDone(): void {
    if (this.#state !== 'closing' || this.#session.openStreams > 0) return;
    this.flush();
    this.#socket.end();
  }

  #fail(code: number): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#goAway(this.#session.last, code);
    this.flush();
    this.#socket.destroySoon();
    this.#linger();
  }

  /** Nothing more will be said, or heard. */
  readonly #linger = (): void => this.#endIn(BOUNDS.lingerMs);

  #endIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.destroy(), ms).unref();
  }

  readonly #drained = (): void => {
    if (!this.#isStalled) return;
    this.#isStalled = false;
    clearTimeout(this.#timer);
    this.#readAgain();
  };

  #readAgain(): void {
    if (!this.#isStalled && !this.#waits) this.#socket.resume();
  }

  readonly #gone = (): void => {
    clearTimeout(this.#timer);
    this.#state = 'over';
    this.#session.gone();
    this.#options.onGone(this);
  };
}
