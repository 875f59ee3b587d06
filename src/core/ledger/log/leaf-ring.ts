/** Memory that the thread of the log shares with the main thread: the last leaves it wrote. */
import { MAX_TOGETHER_BYTES, packedLeaves, partsOf } from './written-leaves.ts';
import type { WrittenLeaves } from './written-leaves.ts';

// A ring buffer in memory that two threads share, with one writer and one reader. The writer packs leaves into free memory and sends
// their position in a message. The reader releases parts through the header of the ring.

/** Packed leaves (`written-leaves.ts`) in a ring, contiguous. */
export interface RingPart {
  /** Grows from part to part. Exceeds 32 bits after some 100 days of load. */
  readonly number: number;
  /** Number of records before its leaves. */
  readonly from: number;
  /** Number of its leaves, at least 1. */
  readonly count: number;
  /** Offset of its bytes. */
  readonly offset: number;
  readonly length: number;
}

/** Default memory of a ring: a second or more at 1,000 records a second. Leaves that do not fit are read from the files. */
const RING_BYTES = 1024 ** 2;
/** Before the leaves: the number of the last part that is free again, modulo 2^32. A cache line, so that it shares none with a leaf. */
const HEADER_BYTES = 64;

/** The memory of a ring, for one writer and one reader. @param bytes room for leaves; default 1 MiB */
export const newRing = (bytes = RING_BYTES): SharedArrayBuffer => new SharedArrayBuffer(HEADER_BYTES + bytes);

const headerOf = (ring: SharedArrayBuffer): Int32Array => new Int32Array(ring, 0, 1);

/** The side of the thread that writes the log. Lives as long as the thread. */
export class RingWriter {
  readonly #header: Int32Array;
  readonly #bytes: Buffer;
  /** Leaves are packed here and copied at once: single writes to shared memory cost more. */
  readonly #room = Buffer.allocUnsafeSlow(MAX_TOGETHER_BYTES);
  /** The parts that are not free, in order. */
  readonly #parts: RingPart[] = [];
  #number = 0;

  /** @param ring made by `newRing`, and not yet written */
  constructor(ring: SharedArrayBuffer) {
    this.#header = headerOf(ring);
    this.#bytes = Buffer.from(ring, HEADER_BYTES);
  }

  /** Writes leaves into the ring; `null` if there is no room for all of them: then none is kept. */
  write(written: WrittenLeaves): readonly RingPart[] | null {
    this.#free();
    const before = this.#parts.length;
    for (const leaves of partsOf(written)) {
      const { from, count, bytes } = packedLeaves(leaves, this.#room);
      const offset = this.#roomFor(bytes.length);
      if (offset === null) {
        this.#parts.splice(before);
        return null;
      }
      bytes.copy(this.#bytes, offset);
      this.#parts.push({ number: (this.#number += 1), from, count, offset, length: bytes.length });
    }
    return this.#parts.slice(before);
  }

  /**
   * INVARIANT: a part is written over only after the reader has stored its number, or a later number, with `Atomics`: by then it has
   * finished reading the part.
   */
  #free(): void {
    const freed = Atomics.load(this.#header, 0);
    // The difference modulo 2^32, as both numbers may have exceeded it.
    const held = this.#parts.findIndex(({ number }) => ((number - freed) | 0) > 0);
    this.#parts.splice(0, held === -1 ? this.#parts.length : held);
  }

  /** The offset of free memory: behind the last part, or at the start if nothing is held or the end is too short. */
  #roomFor(length: number): number | null {
    const [first, last] = [this.#parts[0], this.#parts.at(-1)];
    // While the reader keeps up, this reuses the same memory.
    if (first === undefined || last === undefined) return length <= this.#bytes.length ? 0 : null;
    const end = last.offset + last.length;
    if (end <= first.offset) return end + length <= first.offset ? end : null;
    if (end + length <= this.#bytes.length) return end;
    return length <= first.offset ? 0 : null;
  }
}

/** The side of the main thread, which reads the parts that the messages of the writer name. */
export class RingReader {
  readonly #header: Int32Array;
  /** All bytes of leaves. */
  readonly bytes: Buffer;

  constructor(ring: SharedArrayBuffer) {
    this.#header = headerOf(ring);
    this.bytes = Buffer.from(ring, HEADER_BYTES);
  }

  /** Whether a part lies in the ring. */
  has({ number, from, count, offset, length }: RingPart): boolean {
    return (
      [number, from, count, offset, length].every((value) => Number.isSafeInteger(value) && value >= 0) &&
      count > 0 &&
      length > 0 &&
      offset + length <= this.bytes.length
    );
  }

  /** Releases a part and all before it. INVARIANT: nothing of them is read from here on. */
  free({ number }: RingPart): void {
    Atomics.store(this.#header, 0, number);
  }
}
