import { isStoreFailure } from '../../runtime/store-failure.ts';
import { failureOfSqlite } from '../../sqlite/sqlite-failure.ts';
import { rootOf } from '../proof/merkle.ts';
import { LogReader } from './log-reader.ts';
import { segmentsIn } from './segment/segment-files.ts';
import type { SegmentFile } from './segment/segment-files.ts';
import { MAX_TOGETHER_BYTES, packedLeaves } from './written-leaves.ts';
import type { PackedLeaves } from './written-leaves.ts';

/** Most records of a page. */
const MAX_PAGE_LEAVES = 256;

/** Records of a log in order, up to its next checkpoint at most. */
export interface LogPage {
  /** `null` for none. */
  readonly leaves: PackedLeaves | null;
  /** The signed checkpoint over all records up to the end of the page; empty for none. */
  readonly checkpoint: string;
}

/**
 * Reads a log page by page, beside the process that writes it, for a copy elsewhere.
 *
 * Lifecycle: `close` once. Every failure is a problem in words; the next call tries again.
 */
export class LogPages {
  readonly #folder: string;
  #reader: LogReader | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Number of records, and the root of the tree over them. */
  head(): { readonly size: number; readonly root: Uint8Array } | { readonly problem: string } {
    return this.#read((log) => {
      const state = log.segments.at(-1)?.state();
      return { size: state?.range.size ?? 0, root: rootOf(state?.range.nodes ?? []) };
    });
  }

  /**
   * The page after a number of records.
   *
   * @param signed size of the last checkpoint that the reader of the pages has
   */
  after(size: number, signed: number): LogPage | { readonly problem: string } {
    return this.#read((log) => {
      if (log.carried.range.size > size) {
        return { problem: `record ${size + 1} was pruned before it was acknowledged` };
      }
      // INVARIANT: records are read before checkpoints. A checkpoint signed in between covers all of them, so none is missed.
      const leaves = leavesAfter(log, size);
      const next = log.segments
        .values()
        .map((segment) => segment.checkpoints.near(Math.max(size, signed + 1), 'from'))
        .find((checkpoint) => checkpoint !== null);
      const page = (found: readonly Uint8Array[], checkpoint: string): LogPage => ({
        leaves: found.length === 0 ? null : packedLeaves({ from: size, leaves: found }),
        checkpoint,
      });
      if (next === undefined || next.range.size > size + leaves.length) return page(leaves, '');
      return page(leaves.slice(0, next.range.size - size), next.note);
    });
  }

  close(): void {
    this.#reader?.close();
    this.#reader = null;
  }

  #read<T>(use: (log: LogReader) => T): T | { readonly problem: string } {
    try {
      // Segments are added and pruned rarely: open files are used until others are there. Their number tells nothing, since a
      // checkpoint may add one and prune one.
      if (this.#reader !== null && !hasSegments(this.#reader, segmentsIn(this.#folder))) this.close();
      const reader = this.#reader ?? LogReader.open(this.#folder);
      if (reader === null) return { problem: `no ledger in \`${this.#folder}\`` };
      if (isStoreFailure(reader)) return { problem: reader.detail };
      this.#reader = reader;
      return use(reader);
    } catch (error) {
      this.close();
      const failure = failureOfSqlite(error);
      return { problem: `the ledger \`${this.#folder}\` cannot be read: ${failure?.detail ?? String(error)}` };
    }
  }
}

const hasSegments = ({ segments }: LogReader, files: readonly SegmentFile[]): boolean =>
  segments.length === files.length && segments.every(({ path }, index) => path === files[index]?.path);

function leavesAfter(log: LogReader, size: number): readonly Uint8Array[] {
  const leaves: Uint8Array[] = [];
  let bytes = 0;
  for (const leaf of log.found({ fromSeq: size + 1 }, { isNewestFirst: false })) {
    bytes += leaf.bytes.length;
    if (leaves.length === MAX_PAGE_LEAVES || (leaves.length > 0 && bytes > MAX_TOGETHER_BYTES)) break;
    leaves.push(leaf.bytes);
  }
  return leaves;
}
