import { HeldBytes } from './held-bytes.ts';
import { MAX_LIST_BYTES } from './whole-list.ts';

const LF = 0x0a;
const CR = 0x0d;

/**
 * A piece of an event stream: a whole event with its blank line, the start of an event that is too long to be held, or bytes that follow: of that
 * event, or the LF of an event that has passed with its CR.
 */
export interface EventPiece {
  readonly kind: 'event' | 'start' | 'part';
  readonly bytes: Buffer;
}

/** Cuts an event stream into its events, in linear time. An event is held until its end, up to `MAX_LIST_BYTES`. */
export class EventCutter {
  readonly #held = new HeldBytes();
  /** Whether the event is too long to be held. */
  #isLong = false;
  /** Bytes of the line so far; a line without any ends the event. */
  #lineBytes = 0;
  #isAfterCr = false;

  /** The pieces that the next bytes complete. */
  cut(chunk: Buffer): readonly EventPiece[] {
    const pieces: EventPiece[] = [];
    let from = 0;
    // The LF of an event that has passed with its CR.
    if (this.#isAfterCr && this.#held.length === 0 && !this.#isLong && chunk[0] === LF) {
      pieces.push({ kind: 'part', bytes: chunk.subarray(0, 1) });
      this.#isAfterCr = false;
      from = 1;
    }
    for (let at = from; at < chunk.length; at += 1) {
      if (!this.#endsEvent(chunk[at] ?? 0)) continue;
      if (this.#isAfterCr && chunk[at + 1] === LF) at += 1;
      this.#isAfterCr = chunk[at] === CR;
      this.#hold(chunk.subarray(from, at + 1), pieces);
      this.#end(pieces);
      from = at + 1;
    }
    this.#hold(chunk.subarray(from), pieces);
    return pieces;
  }

  /** The piece that the end of the stream completes. A client drops an event without its blank line; a lenient client does not. */
  rest(): readonly EventPiece[] {
    const pieces: EventPiece[] = [];
    this.#end(pieces);
    return pieces;
  }

  /** Whether a byte ends a line that is empty. The LF of a CRLF belongs to the line that the CR has ended. */
  #endsEvent(byte: number): boolean {
    const isSecond = this.#isAfterCr && byte === LF;
    this.#isAfterCr = byte === CR;
    if (isSecond) return false;
    if (byte !== LF && byte !== CR) {
      this.#lineBytes += 1;
      return false;
    }
    const isEmpty = this.#lineBytes === 0;
    this.#lineBytes = 0;
    return isEmpty;
  }

  #hold(bytes: Buffer, pieces: EventPiece[]): void {
    if (bytes.length === 0) return;
    if (this.#isLong) return void pieces.push({ kind: 'part', bytes });
    this.#held.add(bytes);
    if (this.#held.length <= MAX_LIST_BYTES) return;
    this.#isLong = true;
    pieces.push({ kind: 'start', bytes: this.#held.taken() });
  }

  #end(pieces: EventPiece[]): void {
    if (!this.#isLong && this.#held.length > 0) pieces.push({ kind: 'event', bytes: this.#held.taken() });
    this.#isLong = false;
  }
}
