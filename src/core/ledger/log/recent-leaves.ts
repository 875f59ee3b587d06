import { RingReader } from './leaf-ring.ts';
import type { RingPart } from './leaf-ring.ts';
import type { LogPage, LogPages } from './log-pages.ts';
import { leafEnd, MAX_TOGETHER_BYTES, MAX_TOGETHER_LEAVES } from './written-leaves.ts';

/** A place between two records. */
interface LogPosition {
  /** Number of records before it. */
  readonly size: number;
  /** The checkpoint over them; empty for none, `null` if not known. */
  readonly checkpoint: string | null;
}

/** A part with the places before and after it. A checkpoint is made after a write, so there is none inside a part. */
interface HeldPart extends RingPart {
  readonly start: LogPosition;
  readonly end: LogPosition;
}

/**
 * Pages of a log: its last records from the ring that the log's thread shares, so that they need not be read again; others from the
 * files. Records for which the ring has no room are read from the files too, so there may be gaps between its parts.
 *
 * Lifecycle: `wrote` with all that is written, in order; `close` once.
 */
export class RecentLeaves {
  readonly #pages: Pick<LogPages, 'head' | 'after' | 'close'>;
  readonly #ring: RingReader;
  /** In order of their records. A part is released once later records are requested. */
  #parts: HeldPart[] = [];
  /** The end of the last part. If its checkpoint is `null`, the log may go on after it. */
  #end: LogPosition = { size: 0, checkpoint: null };

  constructor(pages: Pick<LogPages, 'head' | 'after' | 'close'>, ring: SharedArrayBuffer) {
    this.#pages = pages;
    this.#ring = new RingReader(ring);
  }

  /**
   * Takes a part that was written and synced, with the checkpoint if one was signed at its end. `null` if the records are not in
   * the ring, or it is not known what was written: then the files are read.
   */
  wrote(part: RingPart | null, checkpoint: string | null): void {
    const { size } = this.#end;
    if (part === null || !this.#ring.has(part) || part.from < size) {
      this.#end = { size, checkpoint: null };
      return;
    }
    const { from, count } = part;
    const start = size === from ? this.#end : { size: from, checkpoint: null };
    this.#end = { size: from + count, checkpoint: checkpoint ?? '' };
    this.#parts.push({ ...part, start, end: this.#end });
  }

  head(): ReturnType<LogPages['head']> {
    return this.#pages.head();
  }

  /** As `LogPages.after`. The bytes of its leaves are valid until the next call, which gives back their memory. */
  after(size: number, signed: number): LogPage | { readonly problem: string } {
    this.#free(size);
    const [first] = this.#parts;
    if (first !== undefined && first.from < size) return this.#page(first, { size, signed });
    const place = first?.start ?? this.#end;
    const isKnown = place.checkpoint !== null || (first !== undefined && size <= signed);
    if (place.size !== size || !isKnown) return this.#pages.after(size, signed);
    if (place.checkpoint && size > signed) return { leaves: null, checkpoint: place.checkpoint };
    return first === undefined ? { leaves: null, checkpoint: '' } : this.#page(first, { size, signed });
  }

  close(): void {
    this.#parts = [];
    this.#end = { size: this.#end.size, checkpoint: null };
    this.#pages.close();
  }

  /** The rest of the first part, with the contiguous parts after it that are sent together. */
  #page(first: HeldPart, { size, signed }: { readonly size: number; readonly signed: number }): LogPage {
    const { bytes } = this.#ring;
    let start = first.offset;
    for (let passed = first.from; passed < size; passed += 1) start = leafEnd(bytes, start);
    let last = first;
    for (const part of this.#parts.values().drop(1)) {
      const isNext = part.start === last.end && part.offset === last.offset + last.length;
      const isTooMuch =
        part.offset + part.length - start > MAX_TOGETHER_BYTES || part.end.size - size > MAX_TOGETHER_LEAVES;
      if (!isNext || isTooMuch || noteOf(last, signed) !== '') break;
      last = part;
    }
    return {
      leaves: { from: size, count: last.end.size - size, bytes: bytes.subarray(start, last.offset + last.length) },
      checkpoint: noteOf(last, signed),
    };
  }

  /** Releases the parts of the first `size` records. */
  #free(size: number): void {
    const next = this.#parts.findIndex(({ end }) => end.size > size);
    const read = this.#parts.splice(0, next === -1 ? this.#parts.length : next);
    const last = read.at(-1);
    if (last !== undefined) this.#ring.free(last);
  }
}

/** The checkpoint after a part, if it is newer than the last checkpoint sent. */
const noteOf = ({ end }: HeldPart, signed: number): string => (end.size > signed ? (end.checkpoint ?? '') : '');
