import type { LogPage, LogPages } from './log-pages.ts';
import { MAX_PAGE_BYTES } from './log-pages.ts';
import { countOf, partOf, startOf } from './written-leaves.ts';
import type { PackedLeaves } from './written-leaves.ts';

/** Memory for leaves that are not asked for. Beyond it the oldest are dropped, and read from the files again. */
const MAX_BYTES = 4 * 1024 ** 2;
/** Most leaves of a page that need not be read. */
const MAX_LEAVES = 512;

/**
 * Pages of a log, its last records as the log's thread wrote them, so that they need not be read again; older ones from the files.
 *
 * Lifecycle: `wrote` with all that is written, in order; `close` once.
 */
export class RecentLeaves {
  readonly #pages: Pick<LogPages, 'head' | 'after' | 'close'>;
  #chunks: PackedLeaves[] = [];
  #bytes = 0;
  /** Checkpoints of more records than the first chunk starts after. */
  #checkpoints: { readonly size: number; readonly note: string }[] = [];

  constructor(pages: Pick<LogPages, 'head' | 'after' | 'close'>) {
    this.#pages = pages;
  }

  /**
   * Records were written and synced, and signed where there is a checkpoint over all up to them; `null` where it is not known what was
   * written, so that the files must be read.
   */
  wrote(written: PackedLeaves | null, checkpoint: string | null): void {
    if (written?.from !== this.#end) this.#forget();
    if (written === null) return;
    this.#chunks.push(written);
    this.#bytes += written.bytes.length;
    if (checkpoint !== null) this.#checkpoints.push({ size: endOf(written), note: checkpoint });
    while (this.#bytes > MAX_BYTES && this.#chunks.length > 1) this.#dropFirst();
  }

  head(): ReturnType<LogPages['head']> {
    return this.#pages.head();
  }

  /** As `LogPages.after`. */
  after(size: number, signed: number): LogPage | { readonly problem: string } {
    const [first] = this.#chunks;
    // The checkpoint of the records before the first chunk is in the files alone.
    if (first === undefined || size <= first.from || size > (this.#end ?? 0)) return this.#pages.after(size, signed);
    while ((this.#chunks[1]?.from ?? size) < size) this.#dropFirst();
    const next = this.#checkpoints.find((checkpoint) => checkpoint.size >= Math.max(size, signed + 1));
    const leaves = this.#leavesAfter(size, next?.size ?? Infinity);
    return { leaves, checkpoint: next !== undefined && size + countOf(leaves) === next.size ? next.note : '' };
  }

  close(): void {
    this.#forget();
    this.#pages.close();
  }

  /** Number of records up to the last chunk; `null` where there is none. */
  get #end(): number | null {
    const last = this.#chunks.at(-1);
    return last === undefined ? null : endOf(last);
  }

  /** @param upTo number of records after which no leaf is taken */
  #leavesAfter(size: number, upTo: number): readonly PackedLeaves[] {
    const parts: PackedLeaves[] = [];
    let [count, bytes] = [0, 0];
    for (const chunk of this.#chunks) {
      const first = Math.max(0, size - chunk.from);
      const most = Math.min(chunk.ends.length, upTo - chunk.from, first + MAX_LEAVES - count);
      let end = first;
      for (; end < most; end += 1) {
        bytes += startOf(chunk, end + 1) - startOf(chunk, end);
        if (count + end > first && bytes > MAX_PAGE_BYTES) break;
      }
      if (end > first) parts.push(partOf(chunk, first, end));
      if (end < chunk.ends.length) break;
      count += end - first;
    }
    return parts;
  }

  #dropFirst(): void {
    this.#bytes -= this.#chunks.shift()?.bytes.length ?? 0;
    const from = this.#chunks[0]?.from ?? 0;
    this.#checkpoints = this.#checkpoints.filter((checkpoint) => checkpoint.size > from);
  }

  #forget(): void {
    this.#chunks = [];
    this.#bytes = 0;
    this.#checkpoints = [];
  }
}

/** Number of records up to the end of packed leaves. */
const endOf = ({ from, ends }: PackedLeaves): number => from + ends.length;
