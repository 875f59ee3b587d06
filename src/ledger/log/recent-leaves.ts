import type { LogPage, LogPages } from './log-pages.ts';
import { MAX_PAGE_BYTES } from './log-pages.ts';
import type { WrittenLeaves } from './written-leaves.ts';

/** Memory for leaves that are not asked for. Beyond it the oldest are dropped, and read from the files again. */
const MAX_BYTES = 4 * 1024 ** 2;
/** Most leaves of a page that need not be read. */
const MAX_LEAVES = 512;

interface Chunk {
  readonly from: number;
  readonly leaves: readonly Uint8Array[];
  readonly bytes: number;
}

/**
 * Pages of a log, its last records as the log's thread wrote them, so that they need not be read again; older ones from the files.
 *
 * Lifecycle: `wrote` with all that is written, in order; `close` once.
 */
export class RecentLeaves {
  readonly #pages: Pick<LogPages, 'head' | 'after' | 'close'>;
  #chunks: Chunk[] = [];
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
  wrote(written: WrittenLeaves | null, checkpoint: string | null): void {
    if (written?.from !== this.#end) this.#forget();
    if (written === null) return;
    const { from, leaves } = written;
    const bytes = leaves.reduce((sum, leaf) => sum + leaf.length, 0);
    this.#chunks.push({ from, leaves, bytes });
    this.#bytes += bytes;
    if (checkpoint !== null) this.#checkpoints.push({ size: from + leaves.length, note: checkpoint });
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
    const leaves = this.#leavesAfter(size);
    const next = this.#checkpoints.find((checkpoint) => checkpoint.size >= Math.max(size, signed + 1));
    if (next === undefined || next.size > size + leaves.length) return { leaves, checkpoint: '' };
    return { leaves: leaves.slice(0, next.size - size), checkpoint: next.note };
  }

  close(): void {
    this.#forget();
    this.#pages.close();
  }

  /** Number of records up to the last chunk; `null` where there is none. */
  get #end(): number | null {
    const last = this.#chunks.at(-1);
    return last === undefined ? null : last.from + last.leaves.length;
  }

  #leavesAfter(size: number): readonly Uint8Array[] {
    const leaves: Uint8Array[] = [];
    let bytes = 0;
    for (const chunk of this.#chunks) {
      for (let at = Math.max(0, size - chunk.from); at < chunk.leaves.length; at += 1) {
        const leaf = chunk.leaves[at];
        bytes += leaf?.length ?? 0;
        if (leaf === undefined || leaves.length === MAX_LEAVES || (leaves.length > 0 && bytes > MAX_PAGE_BYTES)) {
          return leaves;
        }
        leaves.push(leaf);
      }
    }
    return leaves;
  }

  #dropFirst(): void {
    this.#bytes -= this.#chunks.shift()?.bytes ?? 0;
    const from = this.#chunks[0]?.from ?? 0;
    this.#checkpoints = this.#checkpoints.filter((checkpoint) => checkpoint.size > from);
  }

  #forget(): void {
    this.#chunks = [];
    this.#bytes = 0;
    this.#checkpoints = [];
  }
}
