import type { LogPage, LogPages } from './log-pages.ts';
import { leafEnd, MAX_TOGETHER_BYTES } from './written-leaves.ts';
import type { PackedLeaves } from './written-leaves.ts';

/** Default memory for leaves that are not asked for, used from its start. Where it is full, all of them are read from the files again. */
const MAX_BYTES = 4 * 1024 ** 2;
/** Most leaves of a page that need not be read. */
const MAX_LEAVES = 512;

/** A place between two leaves: the number of records before it, and its offset. */
interface Place {
  readonly size: number;
  readonly at: number;
}

/**
 * Pages of a log, its last records as the log's thread wrote them, so that they need not be read again; older ones from the files.
 *
 * The leaves are copied into one buffer for good: the buffers they come in would outlive two collections of new objects, and then only a
 * collection of the whole heap would free them.
 *
 * Lifecycle: `wrote` with all that is written, in order; `close` once.
 */
export class RecentLeaves {
  readonly #pages: Pick<LogPages, 'head' | 'after' | 'close'>;
  readonly #buffer: Uint8Array<ArrayBuffer>;
  /** The smallest size whose page need not be read. */
  #least = Infinity;
  /** Where the last page starts and ends. */
  #start: Place = { size: 0, at: 0 };
  #end: Place = { size: 0, at: 0 };
  /** Behind the last leaf. */
  #last: Place = { size: 0, at: 0 };
  /** Checkpoints of at least as many records. */
  #checkpoints: { readonly size: number; readonly note: string }[] = [];

  constructor(pages: Pick<LogPages, 'head' | 'after' | 'close'>, maxBytes = MAX_BYTES) {
    this.#pages = pages;
    this.#buffer = new Uint8Array(maxBytes);
  }

  /**
   * Records were written and synced, and signed where there is a checkpoint over all up to them; `null` where it is not known what was
   * written, so that the files must be read.
   */
  wrote(written: PackedLeaves | null, checkpoint: string | null): void {
    if (written === null || written.bytes.length > this.#buffer.length) return this.#forget();
    const { from, count, bytes } = written;
    if (this.#least === Infinity || from !== this.#last.size) {
      // The checkpoint of the records before is in the files alone.
      this.#least = from + 1;
      this.#empty(from);
    } else if (this.#end.size === from || this.#last.at + bytes.length > this.#buffer.length) {
      this.#least = Math.max(this.#least, from);
      this.#empty(from);
    }
    this.#buffer.set(bytes, this.#last.at);
    this.#last = { size: from + count, at: this.#last.at + bytes.length };
    if (checkpoint !== null) this.#checkpoints.push({ size: this.#last.size, note: checkpoint });
  }

  head(): ReturnType<LogPages['head']> {
    return this.#pages.head();
  }

  /** As `LogPages.after`. The bytes of its leaves are valid until the next `wrote`. */
  after(size: number, signed: number): LogPage | { readonly problem: string } {
    if (size < this.#least || size > this.#last.size) return this.#pages.after(size, signed);
    const start = this.#leavesFrom(size < this.#end.size ? this.#start : this.#end, { upTo: size });
    this.#least = size;
    this.#checkpoints = this.#checkpoints.filter((checkpoint) => checkpoint.size >= size);
    const next = this.#checkpoints.find((checkpoint) => checkpoint.size > signed);
    const upTo = Math.min(this.#last.size, size + MAX_LEAVES, next?.size ?? Infinity);
    const end = this.#leavesFrom(start, { upTo, maxBytes: MAX_TOGETHER_BYTES });
    [this.#start, this.#end] = [start, end];
    const count = end.size - size;
    return {
      leaves: count === 0 ? null : { from: size, count, bytes: this.#buffer.subarray(start.at, end.at) },
      checkpoint: next?.size === end.size ? next.note : '',
    };
  }

  close(): void {
    this.#forget();
    this.#pages.close();
  }

  /** The place after a number of records; before it, where more leaves than one would have more than `maxBytes`. */
  #leavesFrom(
    start: Place,
    { upTo, maxBytes = Infinity }: { readonly upTo: number; readonly maxBytes?: number },
  ): Place {
    let { size, at } = start;
    while (size < upTo) {
      const end = leafEnd(this.#buffer, at);
      if (end - start.at > maxBytes && at > start.at) break;
      at = end;
      size += 1;
    }
    return { size, at };
  }

  #empty(size: number): void {
    this.#start = this.#end = this.#last = { size, at: 0 };
    this.#checkpoints = this.#checkpoints.filter((checkpoint) => checkpoint.size === size);
  }

  #forget(): void {
    this.#least = Infinity;
    this.#checkpoints = [];
  }
}
