import type { After } from '../../runtime/timers.ts';
import type { Emitter, LogPart } from './emitter.ts';
import type { Section } from './pack.ts';
import type { EmitterHeads, RecordStore } from './record-store.ts';

/** Limits and delays of a keeper. */
export interface KeeperLimits {
  /** How long a part waits for others, to be kept together. Default 250 ms. */
  readonly batchMs: number;
  /** Bytes that are not waited for any longer. Default 8 MiB. */
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
  /** Called with the problem where records could not be kept, with `null` once they can. */
  readonly onFault: (problem: string | null) => void;
  readonly limits?: Partial<KeeperLimits>;
}

/** Parts of one log that wait. */
interface Waiting {
  readonly section: Section & { readonly leaves: Uint8Array[]; readonly checkpoints: string[] };
  /** After the last of them. */
  emitter: Emitter;
  bytes: number;
}

/**
 * Queues received parts of many logs and keeps them together. What cannot be kept is kept later: nothing is dropped.
 *
 * Lifecycle: `close` once, which tries a last time.
 */
export class RecordKeeper {
  readonly #services: KeeperServices;
  readonly #limits: KeeperLimits;
  #waiting = new Map<string, Waiting>();
  /** What is being kept now. */
  #taken: ReadonlyMap<string, Waiting> = new Map();
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

  /** Queues a part. @param emitter as it is after the part */
  add(emitter: Emitter, { from, leaves, checkpoint }: LogPart): void {
    const { origin, id } = emitter;
    const waiting = this.#waiting.get(origin) ?? {
      section: { origin, id, from, leaves: [], checkpoints: [] },
      emitter,
      bytes: 0,
    };
    this.#waiting.set(origin, waiting);
    waiting.emitter = emitter;
    waiting.section.leaves.push(...leaves);
    if (checkpoint !== '') waiting.section.checkpoints.push(checkpoint);
    const bytes = leaves.reduce((sum, leaf) => sum + leaf.length, checkpoint.length);
    waiting.bytes += bytes;
    this.#bytes += bytes;
    this.#keepWithin(this.#bytes >= this.#limits.batchBytes ? 0 : this.#limits.batchMs);
  }

  /** Resolves once nothing of a log waits, nobody waits for that any more, or the keeper is closed. */
  async settled(origin: string, isAwaited: () => boolean): Promise<void> {
    while (!this.#isClosed && isAwaited() && (this.#waiting.has(origin) || this.#taken.has(origin)))
      await this.#nextTurn();
  }

  /** Resolves once there is room for another part, or the keeper is closed. */
  async room(): Promise<void> {
    while (!this.#isClosed && this.#bytes >= this.#limits.maxBytes) await this.#nextTurn();
  }

  /** Keeps what waits. Returns a problem where it could not: none of it was acknowledged. */
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

  /** Sets the timer, unless it fires sooner already, or after a failure, whose pause is waited for. */
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
    // One at a time: who keeps now looks at what came meanwhile.
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
    const problem = await this.#write([...batch.values()]);
    this.#taken = new Map();
    if (problem !== null) {
      this.#putBack(batch);
      return problem;
    }
    for (const { bytes } of batch.values()) this.#bytes -= bytes;
    this.#services.onKept([...batch.values()].map(({ emitter }) => emitter));
    return null;
  }

  /** INVARIANT: the heads are kept after the records, so that no head is ahead of its records. */
  async #write(batch: readonly Waiting[]): Promise<string | null> {
    const { store, heads } = this.#services;
    try {
      const unkept = await store.keep(batch.map(({ section }) => section));
      return unkept ?? (await heads.keep(batch.map(({ emitter }) => ({ emitter, state: 'open' }))));
    } catch (error) {
      return `records cannot be kept: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  #putBack(batch: ReadonlyMap<string, Waiting>): void {
    const later = this.#waiting;
    this.#waiting = new Map(batch);
    for (const [origin, next] of later) {
      const waiting = this.#waiting.get(origin);
      if (waiting === undefined) {
        this.#waiting.set(origin, next);
        continue;
      }
      waiting.section.leaves.push(...next.section.leaves);
      waiting.section.checkpoints.push(...next.section.checkpoints);
      waiting.bytes += next.bytes;
      waiting.emitter = next.emitter;
    }
  }
}
