import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { After } from '../../core/runtime/timers.ts';
import { base64Of } from '../../core/ledger/proof/base64.ts';
import { rangeBytes } from '../../core/ledger/proof/compact-range.ts';
import { isSameHash, leafHash } from '../../core/ledger/proof/merkle.ts';
import { noteKeyText } from '../../core/ledger/proof/note-key.ts';
import { base64OrNothing } from '../../core/ledger/proof/seam.ts';
import type { Emitter, LogPart } from './emitter.ts';
import type { Section } from './pack.ts';
import type { EmitterHead, EmitterHeads, RecordStore } from './record-store.ts';

/** Limits and delays of a keeper. */
export interface KeeperLimits {
  /** How long a part waits for others, to be kept together. Default 250 ms. */
  readonly batchMs: number;
  /** Bytes at which parts are kept without waiting for more. Default 8 MiB. */
  readonly batchBytes: number;
  /** Bytes at which `room` waits. Default 32 MiB. */
  readonly maxBytes: number;
  /** Pause after parts could not be kept. Default 1 s. */
  readonly retryMs: number;
}

const defaultLimits: KeeperLimits = {
  batchMs: 250,
  batchBytes: 8 * 1024 ** 2,
  maxBytes: 32 * 1024 ** 2,
  retryMs: 1_000,
};

/** The dependencies of a keeper. */
export interface KeeperServices {
  readonly store: Pick<RecordStore, 'keep'>;
  readonly heads: Pick<EmitterHeads, 'keep'>;
  readonly after: After;
  /** Called with the emitters whose records up to here are now kept. It must not throw. */
  readonly onKept: (emitters: readonly Emitter[]) => void;
  /** Called with a log that another process has taken over: what waited of it was not kept, and is dropped. It must not throw. */
  readonly onTaken: (taken: TakenLog) => void;
  /** Called with the problem if records could not be kept, with `null` once they can. */
  readonly onFault: (problem: string | null) => void;
  readonly limits?: Partial<KeeperLimits>;
}

/** A log that another process has taken over. */
export interface TakenLog {
  /** As that process has kept it. */
  readonly head: EmitterHead;
  /** Whether a record of it differs from the record with the same number that waited here. */
  readonly isFork: boolean;
}

/**
 * Bytes of records, and of checkpoints, after which a section ends: what fits in a single write to the store, and in the single line of a
 * head.
 */
const SECTION_BYTES = 512 * 1024;
const SECTION_NOTES = 128 * 1024;

/** A section that grows. */
interface Growing {
  readonly from: number;
  readonly leaves: Uint8Array[];
  readonly checkpoints: string[];
  /** After the last of its records. */
  emitter: Emitter;
  bytes: number;
  noteBytes: number;
}

/** Parts of a log that wait. */
interface PendingParts {
  readonly term: number;
  readonly sections: Growing[];
  bytes: number;
}

/**
 * Queues received parts of many logs and keeps them together. What cannot be kept is kept later: nothing is dropped but what another
 * process has taken over.
 *
 * Lifecycle: `close` once, which tries a last time.
 */
export class RecordKeeper {
  readonly #services: KeeperServices;
  readonly #limits: KeeperLimits;
  #waiting = new Map<string, PendingParts>();
  /** What is being kept now. */
  #taken: ReadonlyMap<string, PendingParts> = new Map();
  #bytes = 0;
  #timer: { readonly dueMs: number; readonly cancel: () => void } | null = null;
  #isFailing = false;
  #isClosed = false;
  #callers: (() => void)[] = [];

  constructor(services: KeeperServices) {
    this.#services = services;
    this.#limits = { ...defaultLimits, ...services.limits };
  }

  /** Bytes that are received and not kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Queues a part. @param log.emitter as it is after the part */
  add(
    { emitter, term }: { readonly emitter: Emitter; readonly term: number },
    { from, leaves, checkpoint }: LogPart,
  ): void {
    const { origin } = emitter;
    const waiting = this.#waiting.get(origin) ?? { term, sections: [], bytes: 0 };
    this.#waiting.set(origin, waiting);
    const last = waiting.sections.at(-1);
    const isFull = last === undefined || last.bytes >= SECTION_BYTES || last.noteBytes >= SECTION_NOTES;
    const section = isFull ? { from, leaves: [], checkpoints: [], emitter, bytes: 0, noteBytes: 0 } : last;
    if (isFull) waiting.sections.push(section);
    section.emitter = emitter;
    section.leaves.push(...leaves);
    if (checkpoint !== '') section.checkpoints.push(checkpoint);
    section.noteBytes += checkpoint.length;
    const bytes = leaves.reduce((sum, leaf) => sum + leaf.length, checkpoint.length);
    section.bytes += bytes;
    waiting.bytes += bytes;
    this.#bytes += bytes;
    this.#keepWithin(this.#bytes >= this.#limits.batchBytes ? 0 : this.#limits.batchMs);
  }

  /** Resolves once nothing of a log waits, `isAwaited` is false, or the keeper is closed. */
  async settled(origin: string, isAwaited: () => boolean): Promise<void> {
    while (!this.#isClosed && isAwaited() && (this.#waiting.has(origin) || this.#taken.has(origin)))
      await this.#nextTurn();
  }

  /** Resolves once there is room for another part, or the keeper is closed. */
  async room(): Promise<void> {
    while (!this.#isClosed && this.#bytes >= this.#limits.maxBytes) await this.#nextTurn();
  }

  /** Keeps what waits. Returns a problem if it could not: none of it was acknowledged. */
  async close(): Promise<string | null> {
    while (this.#taken.size > 0) await this.#nextTurn();
    this.#isClosed = true;
    this.#timer?.cancel();
    const problem = this.#waiting.size === 0 ? null : await this.#keepOnce();
    this.#endTurn();
    return problem;
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#callers.push(resolve));
  }

  #endTurn(): void {
    const callers = this.#callers;
    this.#callers = [];
    for (const resolve of callers) resolve();
  }

  /** Sets the timer, unless it is already set to fire sooner, or is the pause after a failure. */
  #keepWithin(dueMs: number): void {
    if (this.#isClosed || (this.#timer !== null && (this.#isFailing || this.#timer.dueMs <= dueMs))) return;
    this.#timer?.cancel();
    const cancel = this.#services.after(dueMs, () => {
      this.#timer = null;
      void this.#keep();
    });
    this.#timer = { dueMs, cancel };
  }

  async #keep(): Promise<void> {
    // One at a time: the run in progress picks up what arrived meanwhile.
    if (this.#taken.size > 0) return;
    const problem = await this.#keepOnce();
    this.#isFailing = problem !== null;
    this.#services.onFault(problem);
    this.#endTurn();
    if (this.#waiting.size > 0) this.#keepWithin(problem === null ? 0 : this.#limits.retryMs);
  }

  async #keepOnce(): Promise<string | null> {
    const batch = this.#waiting;
    this.#taken = batch;
    this.#waiting = new Map();
    const unmoved = await this.#write(batch);
    this.#taken = new Map();
    if (isProblem(unmoved)) {
      this.#putBack(batch);
      return unmoved.problem;
    }
    for (const { bytes } of batch.values()) this.#bytes -= bytes;
    const taken = new Map(unmoved.map((head) => [head.emitter.origin, head]));
    this.#services.onKept(
      [...batch.values()].flatMap((waiting) => {
        const { emitter } = endOf(waiting);
        return taken.has(emitter.origin) ? [] : [emitter];
      }),
    );
    for (const [origin, waiting] of batch) {
      const head = taken.get(origin);
      if (head === undefined) continue;
      // Records that came meanwhile follow those that were not kept.
      this.#bytes -= this.#waiting.get(origin)?.bytes ?? 0;
      this.#waiting.delete(origin);
      this.#services.onTaken({ head, isFork: isFork(waiting.sections, head) });
    }
    return null;
  }

  /** INVARIANT: the heads are kept after the records, so that no head is ahead of its records. */
  async #write(batch: ReadonlyMap<string, PendingParts>): Promise<readonly EmitterHead[] | Problem> {
    const { store, heads } = this.#services;
    try {
      const unkept = await store.keep([...batch.values()].flatMap(sectionsOf));
      if (unkept !== null) return { problem: unkept };
      const moved = [...batch.values()].map(
        (waiting) => ({ emitter: endOf(waiting).emitter, state: 'open', term: waiting.term }) as const,
      );
      return await heads.keep(moved);
    } catch (error) {
      return { problem: `records cannot be kept: ${error instanceof Error ? error.message : String(error)}` };
    }
  }

  #putBack(batch: ReadonlyMap<string, PendingParts>): void {
    const later = this.#waiting;
    this.#waiting = new Map(batch);
    for (const [origin, next] of later) {
      const waiting = this.#waiting.get(origin);
      if (waiting === undefined) {
        this.#waiting.set(origin, next);
        continue;
      }
      waiting.sections.push(...next.sections);
      waiting.bytes += next.bytes;
    }
  }
}

const sectionsOf = ({ term, sections }: PendingParts): readonly Section[] =>
  sections.map(({ from, leaves, checkpoints, emitter: { origin, key, id, range, prev } }) => {
    const tree = base64Of(rangeBytes(range));
    return {
      origin,
      id,
      verifierKey: noteKeyText(key),
      term,
      from,
      tree,
      last: base64OrNothing(prev),
      leaves,
      checkpoints,
    };
  });

/** The last section: a waiting log has at least one section. */
function endOf({ sections }: PendingParts): Growing {
  const end = sections.at(-1);
  if (end === undefined) throw new Error('a log waits without a section');
  return end;
}

/** Whether the last record of a head differs from the record with its number in sections. `false` if it is not among them. */
function isFork(sections: readonly Growing[], { emitter: { range, prev } }: EmitterHead): boolean {
  const section = sections.find(({ from, leaves }) => from < range.size && range.size <= from + leaves.length);
  const own = section?.leaves[range.size - section.from - 1];
  return own !== undefined && prev !== null && !isSameHash(leafHash(own), prev);
}
