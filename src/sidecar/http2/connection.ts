import type { Socket } from 'node:net';
import { afterReading } from '../../core/runtime/timers.ts';
import { BOUNDS } from './bounds.ts';
import { ErrorCode, type Frame, FrameType, MAX_31_BITS, uint32 } from './frame.ts';
import { FrameReader } from './frame-reader.ts';
import { LIST_LIMITS } from './header-decoder.ts';
import { Outgoing } from './outgoing.ts';
import type { RequestHead } from './request-head.ts';
import { Http2Session, INITIAL_WINDOW_BYTES } from './session.ts';
import { Http2Setting, settingsBytes } from './settings.ts';
import { type AnswerableStream, type Http2Stream, STREAM_WINDOW_BYTES, type StreamEvents } from './stream.ts';

/** What a connection needs. */
export interface ConnectionOptions {
  /** A request has begun. Returns the listener of its stream, which keeps what it needs of the head. */
  readonly onStream: (stream: AnswerableStream, head: RequestHead) => StreamEvents;
  /** Resets a stream after a delay. @returns cancels that */
  readonly endLater: (stream: Http2Stream) => () => void;
  /** Frames are buffered; `flush` sends them. */
  readonly onGathered: (connection: Http2Connection) => void;
  /** A chunk was processed. */
  readonly onRead: () => void;
  /** The connection has closed. */
  readonly onGone: (connection: Http2Connection) => void;
  /** Called with what a stream's listener threw. It must not throw. */
  readonly onFault: (error: unknown) => void;
  readonly monotonicMs: () => number;
}

/** The client's connection preface. @see RFC 9113 section 3.4 */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

const SETTINGS = settingsBytes([
  [Http2Setting.maxConcurrentStreams, BOUNDS.streams],
  [Http2Setting.initialWindowSize, STREAM_WINDOW_BYTES],
  [Http2Setting.maxHeaderListSize, LIST_LIMITS.bytes],
]);

/**
 * A server connection over cleartext HTTP/2 with prior knowledge: it connects a socket to its `Http2Session`. A session error
 * ends this connection only.
 *
 * Lifecycle: lives as long as the socket; `close` lets open streams finish and refuses new streams, `destroy` closes at once.
 * Timeouts end a peer that sends half a preface, does not read, or does not see that the connection is closing.
 *
 * @see RFC 9113
 */
export class Http2Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #outgoing: Outgoing;
  readonly #frames = new FrameReader();
  readonly #session: Http2Session;
  /** Whether its server will flush it. Written by the server. */
  isGathered = false;
  #cancelEnd: () => void = () => undefined;
  #prefaceBytes = 0;
  /** The last stream id sent in a GOAWAY. */
  #lastAnnounced = MAX_31_BITS;
  /** Reading is paused because the peer does not read what was written. */
  #isStalled = false;
  /** Reading is paused by `wait`. */
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
    // An error of a connection ends only that connection.
    socket.on('error', () => undefined);
    socket.on('end', this.#linger);
    socket.on('finish', this.#linger);
    socket.on('close', this.#gone);
    this.#send(FrameType.settings, 0, 0, SETTINGS);
    this.#send(FrameType.windowUpdate, 0, 0, uint32(BOUNDS.windowBytes - INITIAL_WINDOW_BYTES));
  }

  /** Sends a GOAWAY that refuses nothing yet, so that the client opens its next streams elsewhere. */
  warn(): void {
    if (this.#state === 'open') this.#goAway(MAX_31_BITS, ErrorCode.none);
    this.flush();
  }

  /** Refuses new streams and ends the connection once the open streams are over. */
  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#session.refusesStreams = true;
    this.#goAway(this.#session.last, ErrorCode.none);
    this.#endIfDone();
    this.flush();
  }

  /** Closes at once. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Sends the buffered frames. */
  flush(): void {
    this.#outgoing.flush();
    if (this.#isStalled || this.#outgoing.waiting <= BOUNDS.unreadBytes) return;
    this.#isStalled = true;
    this.#socket.pause();
    this.#endIn(BOUNDS.stalledMs);
  }

  /** Whether data arrived since the last pause. */
  get wasRead(): boolean {
    return this.#wasRead;
  }

  /** Pauses reading until `readOn`. */
  wait(): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#socket.pause();
  }

  /** Resumes reading after `wait`. */
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

  /** The bytes after the preface; `null` if the client sent something else. */
  #afterPreface(chunk: Buffer): Buffer | null {
    const length = Math.min(chunk.length, PREFACE.length - this.#prefaceBytes);
    const expected = PREFACE.subarray(this.#prefaceBytes, this.#prefaceBytes + length);
    if (!expected.equals(chunk.subarray(0, length))) return null;
    this.#prefaceBytes += length;
    if (this.#prefaceBytes === PREFACE.length) this.#cancelEnd();
    return chunk.subarray(length);
  }

  readonly #take = (frame: Frame): boolean => {
    const problem = this.#session.take(frame);
    if (problem !== null) this.#fail(problem);
    return this.#state !== 'over';
  };

  #goAway(last: number, code: number): void {
    // A later GOAWAY may lower the last stream id but must not raise it.
    this.#lastAnnounced = Math.min(this.#lastAnnounced, last);
    this.#send(FrameType.goAway, 0, 0, Buffer.concat([uint32(this.#lastAnnounced), uint32(code)]));
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

  /** Both halves are done: closes after a short delay. */
  readonly #linger = (): void => this.#endIn(BOUNDS.lingerMs);

  #endIn(ms: number): void {
    this.#cancelEnd();
    this.#cancelEnd = afterReading(ms, () => this.destroy());
  }

  readonly #drained = (): void => {
    if (!this.#isStalled) return;
    this.#isStalled = false;
    this.#cancelEnd();
    this.#readAgain();
  };

  #readAgain(): void {
    if (!this.#isStalled && !this.#waits) this.#socket.resume();
  }

  readonly #gone = (): void => {
    this.#cancelEnd();
    this.#state = 'over';
    this.#session.gone();
    this.#options.onGone(this);
  };
}
