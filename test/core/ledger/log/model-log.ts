import { newRing, RingWriter } from '../../../../src/core/ledger/log/leaf-ring.ts';
import type { RingPart } from '../../../../src/core/ledger/log/leaf-ring.ts';
import type { LogPage } from '../../../../src/core/ledger/log/log-pages.ts';
import { RecentLeaves } from '../../../../src/core/ledger/log/recent-leaves.ts';
import { packedLeaves } from '../../../../src/core/ledger/log/written-leaves.ts';
import { must } from '../../../builders/must.ts';
import { unpackedLeaves } from '../../../builders/unpacked-leaves.ts';

/** Most records of a page from the files. */
const FILE_PAGE_LEAVES = 7;

/**
 * A log in memory, a writer of its ring, and a sidecar that ships it to an authority. `write` and `miss` are what the thread of the log
 * does, `hear` is how its messages arrive, `send` and `reconnect` are what the shipper does. Each page is copied as late as it may be:
 * right before the next one is asked for, so that memory that is written over too early shows.
 */
export class ModelLog {
  readonly #leaves: Uint8Array[] = [];
  readonly #notes = new Map<number, string>();
  readonly #writer: RingWriter;
  readonly #recent: RecentLeaves;
  #messages: { readonly part: RingPart | null; readonly checkpoint: string | null }[] = [];
  /** What the authority has: its leaves, and the sizes of its checkpoints. */
  #received: Uint8Array[] = [];
  readonly #signed = new Set<number>();
  /** Number of records that were asked for, and the last checkpoint of this connection. */
  #sent = 0;
  #lastSigned = 0;
  #page: LogPage | null = null;

  constructor(ringBytes: number) {
    const ring = newRing(ringBytes);
    this.#writer = new RingWriter(ring);
    const files = {
      head: () => ({ problem: 'not asked for' }),
      after: (size: number, signed: number) => this.#filePage(size, signed),
      close: () => undefined,
    };
    this.#recent = new RecentLeaves(files, ring);
  }

  write(lengths: readonly number[], { isSigned }: { readonly isSigned: boolean }): void {
    const parts = this.#writer.write(this.#append(lengths));
    const size = this.#leaves.length;
    if (isSigned) this.#notes.set(size, `checkpoint of ${size}`);
    const checkpoint = this.#notes.get(size) ?? null;
    if (parts === null) this.#messages.push({ part: null, checkpoint: null });
    else {
      for (const part of parts) this.#messages.push({ part, checkpoint: part === parts.at(-1) ? checkpoint : null });
    }
  }

  /** A write of which the main thread does not know what came of it. */
  miss(lengths: readonly number[]): void {
    this.#append(lengths);
    this.#messages.push({ part: null, checkpoint: null });
  }

  hear(messages: number): void {
    for (const { part, checkpoint } of this.#messages.slice(0, messages)) this.#recent.wrote(part, checkpoint);
    this.#messages = this.#messages.slice(messages);
  }

  /** Sends pages, until there is none. */
  send(pages: number): void {
    for (let page = 0; page < pages; page += 1) {
      this.#take();
      const next = must(this.#recent.after(this.#sent, this.#lastSigned));
      if (next.leaves === null && next.checkpoint === '') return;
      const size = this.#sent + (next.leaves?.count ?? 0);
      const passed = [...this.#notes.keys()].find(
        (signed) => signed > this.#lastSigned && signed >= this.#sent && signed < size,
      );
      if (passed !== undefined) throw new Error(`the checkpoint of ${passed} is passed by`);
      if (next.checkpoint !== '' && next.checkpoint !== this.#notes.get(size)) throw new Error('a wrong checkpoint');
      this.#page = next;
      this.#sent = size;
      if (next.checkpoint !== '') this.#lastSigned = size;
    }
  }

  /** The authority has lost its last records and the checkpoint over the rest; the page under way arrives before. */
  reconnect(back: number): void {
    this.#take();
    this.#received = this.#received.slice(0, Math.max(0, this.#received.length - back));
    for (const size of this.#signed) if (size >= this.#received.length) this.#signed.delete(size);
    this.#sent = this.#received.length;
    this.#lastSigned = 0;
  }

  received(): unknown {
    this.#take();
    return asText(this.#received, this.#signed);
  }

  stored(): unknown {
    return asText(this.#leaves, new Set(this.#notes.keys()));
  }

  #append(lengths: readonly number[]) {
    const from = this.#leaves.length;
    const leaves = lengths.map((length, index) => {
      const leaf = new Uint8Array(length).fill((from + index) % 251);
      leaf[0] = (from + index) >> 8;
      return leaf;
    });
    this.#leaves.push(...leaves);
    return { from, leaves };
  }

  #take(): void {
    const { leaves, checkpoint } = this.#page ?? { leaves: null, checkpoint: '' };
    this.#page = null;
    if (leaves !== null) {
      if (leaves.from !== this.#received.length) throw new Error(`records from ${leaves.from} do not come next`);
      this.#received.push(...unpackedLeaves(leaves).map((leaf) => Uint8Array.from(leaf)));
    }
    if (checkpoint !== '') this.#signed.add(this.#received.length);
  }

  #filePage(size: number, signed: number): LogPage {
    const next = [...this.#notes.keys()].find((at) => at >= Math.max(size, signed + 1)) ?? Infinity;
    const leaves = this.#leaves.slice(size, Math.min(size + FILE_PAGE_LEAVES, next));
    return {
      leaves: leaves.length === 0 ? null : packedLeaves({ from: size, leaves }),
      checkpoint: size + leaves.length === next ? (this.#notes.get(next) ?? '') : '',
    };
  }
}

/** Short, as thousands of large leaves are compared. */
const asText = (leaves: readonly Uint8Array[], signed: ReadonlySet<number>): unknown => ({
  leaves: leaves.map((leaf) => `${leaf.length} bytes ${Buffer.from(leaf).toString('latin1')}`),
  signed: [...signed].toSorted((a, b) => a - b),
});
