import { TokenBucket } from '../../core/runtime/collections/token-bucket.ts';
import { BOUNDS } from './bounds.ts';
import { ErrorCode, Flag, type Frame, FrameType, MAX_31_BITS, uint32 } from './frame.ts';
import { HeaderBlocks, type StreamHeaders } from './header-blocks.ts';
import { unpadded } from './padding.ts';
import { ReceiveWindow } from './receive-window.ts';
import { areTrailers, contentLengthOf, type RequestHead, requestHeadFrom } from './request-head.ts';
import { ResetMemory } from './reset-memory.ts';
import { settingsFrom } from './settings.ts';
import { type AnswerableStream, Http2Stream, type StreamConnection, type StreamEvents } from './stream.ts';

/** What a session needs. */
export interface SessionOptions {
  /** A request has begun. Returns the listener of its stream, which keeps what it needs of the head. */
  readonly onStream: (stream: AnswerableStream, head: RequestHead) => StreamEvents;
  /** Called with what a stream's listener threw. It must not throw. */
  readonly onFault: (error: unknown) => void;
  /** Resets a stream after a delay. @returns cancels that */
  readonly endLater: (stream: Http2Stream) => () => void;
  /** A stream is over. */
  readonly onOver: () => void;
  /** Sends a frame. */
  readonly send: (type: number, flags: number, stream: number, payload?: Uint8Array) => void;
  readonly monotonicMs: () => number;
}

/** Initial flow-control window of streams and connection, in both directions. */
export const INITIAL_WINDOW_BYTES = 65_535;

/** The result of a frame: a connection error code, or `null`. */
type FrameResult = number | null;

/**
 * The HTTP/2 state of a connection: streams, flow control, and the limits on what the peer may do. Stream errors reset the
 * stream only. No server push; priorities are ignored.
 *
 * @see RFC 9113 sections 5 and 6
 */
export class Http2Session implements StreamConnection {
  sendWindow = INITIAL_WINDOW_BYTES;
  /** Whether new streams are refused. */
  refusesStreams = false;
  readonly #options: SessionOptions;
  readonly #blocks = new HeaderBlocks();
  readonly #streams = new Map<number, Http2Stream>();
  /** Streams waiting for the connection's send window. */
  readonly #waiting = new Set<Http2Stream>();
  readonly #resetHere = new ResetMemory(BOUNDS.resetRemembered);
  readonly #receiveWindow = new ReceiveWindow(BOUNDS.windowBytes);
  readonly #resets: TokenBucket;
  readonly #idleFrames: TokenBucket;
  #hasSettings = false;
  #last = 0;
  #heldBytes = 0;
  /** Initial send window of new streams. */
  #streamSendWindow = INITIAL_WINDOW_BYTES;

  constructor(options: SessionOptions) {
    const { monotonicMs } = options;
    this.#options = options;
    this.#resets = new TokenBucket({ ...BOUNDS.resets, monotonicMs });
    this.#idleFrames = new TokenBucket({ ...BOUNDS.idleFrames, monotonicMs });
  }

  /** The highest stream id of the client; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** Processes a frame. @returns the connection error code, or `null`; after an error nothing more may be passed */
  take(frame: Frame): number | null {
    return this.#mayCome(frame) ? this.#handle(frame) : ErrorCode.protocol;
  }

  /** The connection has closed: closes all streams. */
  gone(): void {
    for (const stream of this.#streams.values()) stream.close({ isReset: false });
  }

  frame(type: number, flags: number, stream: number, payload?: Uint8Array): void {
    this.#options.send(type, flags, stream, payload);
  }

  hold(bytes: number): void {
    this.#heldBytes += bytes;
  }

  waitForWindow(stream: Http2Stream): void {
    this.#waiting.add(stream);
  }

  took(length: number): void {
    const credit = this.#receiveWindow.took(length);
    if (credit > 0) this.frame(FrameType.windowUpdate, 0, 0, uint32(credit));
  }

  endLater(stream: Http2Stream): () => void {
    return this.#options.endLater(stream);
  }

  over(stream: Http2Stream, { isReset }: { readonly isReset: boolean }): void {
    this.#streams.delete(stream.id);
    if (this.#waiting.size > 0) this.#waiting.delete(stream);
    if (isReset) this.#resetHere.add(stream.id);
    this.#options.onOver();
  }

  fault(error: unknown): void {
    this.#options.onFault(error);
  }

  #mayCome({ type, stream }: Frame): boolean {
    const { openStream } = this.#blocks;
    if (openStream !== null) return type === FrameType.continuation && stream === openStream;
    return type !== FrameType.continuation && (this.#hasSettings || type === FrameType.settings);
  }

  #handle(frame: Frame): FrameResult {
    switch (frame.type) {
      case FrameType.data:
        return this.#data(frame);
      case FrameType.headers:
        return frame.stream % 2 === 0 ? ErrorCode.protocol : this.#headers(this.#blocks.begin(frame));
      case FrameType.continuation:
        return this.#headers(this.#blocks.goOn(frame));
      case FrameType.windowUpdate:
        return this.#windowUpdate(frame);
      case FrameType.reset:
        return this.#reset(frame);
      case FrameType.settings:
        return frame.stream === 0 ? this.#settings(frame) : ErrorCode.protocol;
      case FrameType.ping:
        return frame.stream === 0 ? this.#ping(frame) : ErrorCode.protocol;
      case FrameType.priority:
        return frame.stream === 0 ? ErrorCode.protocol : this.#priority(frame);
      case FrameType.goAway:
        return frame.stream === 0 ? this.#idle() : ErrorCode.protocol;
      case FrameType.pushPromise:
        return ErrorCode.protocol;
      default:
        return this.#idle();
    }
  }

  #data(frame: Frame): FrameResult {
    const { flags, payload, stream: id } = frame;
    const counted = payload.length;
    const bytes = unpadded(payload, flags);
    if (bytes === null || !this.#hasBegun(id)) return ErrorCode.protocol;
    if (!this.#receiveWindow.receive(counted)) return ErrorCode.flowControl;
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.took(counted);
      return this.#resetHere.has(id) ? this.#idle() : this.#refuse(id, ErrorCode.streamClosed);
    }
    const ends = (flags & Flag.endStream) !== 0;
    const problem = stream.receive(bytes, frame) ?? (ends ? stream.receiveEnd() : null);
    if (problem !== null) return this.#refuse(id, problem);
    return bytes.length === 0 && !ends ? this.#idle() : null;
  }

  #headers(headers: StreamHeaders | FrameResult): FrameResult {
    if (headers === null || typeof headers === 'number') return headers;
    return headers.stream > this.#last ? this.#request(headers) : this.#trailers(headers);
  }

  #request({ stream: id, list, endsStream, dependsOnItself }: StreamHeaders): FrameResult {
    this.#last = id;
    this.#idleFrames.give(BOUNDS.idleFramesOfARequest);
    const isFull = this.#streams.size >= BOUNDS.streams || this.#heldBytes > BOUNDS.heldBytes;
    if (isFull || this.refusesStreams) return this.#refuse(id, ErrorCode.refusedStream);
    if (list === 'too-large') return this.#refuse(id, ErrorCode.enhanceYourCalm);
    const head = dependsOnItself ? null : requestHeadFrom(list);
    if (head === null) return this.#refuse(id, ErrorCode.protocol);
    const stream = new Http2Stream(this, {
      id,
      contentLength: contentLengthOf(head),
      sendWindow: this.#streamSendWindow,
    });
    this.#streams.set(id, stream);
    this.#hand(stream, head);
    const problem = endsStream ? stream.receiveEnd() : null;
    return problem === null ? null : this.#refuse(id, problem);
  }

  #hand(stream: Http2Stream, head: RequestHead): void {
    try {
      stream.handTo(this.#options.onStream(stream, head));
    } catch (error) {
      this.fault(error);
      stream.reset(ErrorCode.internal);
    }
  }

  #trailers({ stream: id, list, endsStream }: StreamHeaders): FrameResult {
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#resetHere.has(id) ? this.#idle() : ErrorCode.streamClosed;
    if (stream.isEnded) return this.#refuse(id, ErrorCode.streamClosed);
    const isSound = list !== 'too-large' && areTrailers(list) && endsStream;
    const problem = isSound ? stream.receiveEnd() : ErrorCode.protocol;
    return problem === null ? null : this.#refuse(id, problem);
  }

  #windowUpdate({ payload, stream: id }: Frame): FrameResult {
    if (payload.length !== 4) return ErrorCode.frameSize;
    const bytes = payload.readUInt32BE(0) & MAX_31_BITS;
    if (id === 0) return bytes === 0 ? ErrorCode.protocol : this.#widen(bytes);
    if (!this.#hasBegun(id)) return ErrorCode.protocol;
    const stream = this.#streams.get(id);
    if (stream === undefined) return this.#idle();
    if (bytes === 0) return this.#refuse(id, ErrorCode.protocol);
    return stream.widen(bytes) ? this.#idle() : this.#refuse(id, ErrorCode.flowControl);
  }

  #widen(bytes: number): FrameResult {
    this.sendWindow += bytes;
    if (this.sendWindow > MAX_31_BITS) return ErrorCode.flowControl;
    for (const stream of this.#waiting) {
      if (this.sendWindow <= 0) break;
      // Re-adding moves it behind the streams that have waited as long.
      this.#waiting.delete(stream);
      stream.sendHeld();
    }
    return this.#idle();
  }

  #reset({ payload, stream: id }: Frame): FrameResult {
    if (payload.length !== 4) return ErrorCode.frameSize;
    if (!this.#hasBegun(id)) return ErrorCode.protocol;
    if (!this.#resets.take()) return ErrorCode.enhanceYourCalm;
    this.#streams.get(id)?.close({ isReset: false });
    return null;
  }

  #settings({ flags, payload }: Frame): FrameResult {
    this.#hasSettings = true;
    if ((flags & Flag.ack) !== 0) return payload.length === 0 ? this.#idle() : ErrorCode.frameSize;
    const settings = settingsFrom(payload);
    if (typeof settings === 'number') return settings;
    this.frame(FrameType.settings, Flag.ack, 0);
    const change = (settings.initialWindowSize ?? this.#streamSendWindow) - this.#streamSendWindow;
    if (change === 0) return this.#idle();
    this.#streamSendWindow += change;
    // INVARIANT: the cost of a frame is charged for what it does: this frame updates every stream.
    const problem = this.#idle(1 + this.#streams.size);
    if (problem !== null) return problem;
    for (const stream of this.#streams.values()) if (!stream.widen(change)) return ErrorCode.flowControl;
    return null;
  }

  #ping({ flags, payload }: Frame): FrameResult {
    if (payload.length !== 8) return ErrorCode.frameSize;
    if ((flags & Flag.ack) === 0) this.frame(FrameType.ping, Flag.ack, 0, payload);
    return this.#idle();
  }

  #priority({ payload, stream: id }: Frame): FrameResult {
    const dependsOnItself = payload.length === 5 && (payload.readUInt32BE(0) & MAX_31_BITS) === id;
    if (payload.length === 5 && !dependsOnItself) return this.#idle();
    const problem = dependsOnItself ? ErrorCode.protocol : ErrorCode.frameSize;
    // An idle stream cannot be reset.
    return this.#hasBegun(id) ? this.#refuse(id, problem) : problem;
  }

  #hasBegun(id: number): boolean {
    return id % 2 === 1 && id <= this.#last;
  }

  /** Charges a frame that carries no data, as `count` such frames; a connection error above the limit. */
  #idle(count = 1): FrameResult {
    return this.#idleFrames.take(count) ? null : ErrorCode.enhanceYourCalm;
  }

  /** Resets a stream for an error of the client, and charges it. */
  #refuse(id: number, code: number): FrameResult {
    if (!this.#resets.take()) return ErrorCode.enhanceYourCalm;
    const stream = this.#streams.get(id);
    if (stream !== undefined) {
      stream.reset(code);
      return null;
    }
    this.frame(FrameType.reset, 0, id, uint32(code));
    this.#resetHere.add(id);
    return null;
  }
}
