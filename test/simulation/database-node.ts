import type { FeedChange } from '../../src/core/state/feed.ts';

/** The life of a database that was never restored. */
const FIRST_EPOCH = 'epoch-1';

/** Rows by name, of any table. Values are never changed in place. */
export type Rows = Map<string, unknown>;
export type Write = readonly [name: string, value: unknown];

/** One committed transaction in the log of a node. */
export interface Entry {
  readonly writes: readonly Write[];
}

/** The position of the feed, as a row. */
export const headOf = (rows: Rows): number => (rows.get('head') as number | undefined) ?? 0;

/** A change of the feed, as a row. */
export const changeAt = (rows: Rows, seq: number): FeedChange | undefined =>
  rows.get(`feed:${seq}`) as FeedChange | undefined;

/** What tells a change from another one with its number. */
export const markAt = (rows: Rows, seq: number): string => (rows.get(`mark:${seq}`) as string | undefined) ?? '';

/** The life of the database, as a row. */
export const epochOf = (rows: Rows): string => (rows.get('epoch') as string | undefined) ?? FIRST_EPOCH;

/** When a life began: later lives have greater numbers. */
export const birthOf = (epoch: string): number => Number(epoch.slice('epoch-'.length));

/** Whether the database is known to lack commits, as a row. */
export const isLostIn = (rows: Rows): boolean => rows.get('lost') === true;

/** A database server: its log, the rows that readers see, and who waits for what. */
export class DatabaseNode {
  readonly place: string;
  /** What is on its disk. */
  log: Entry[] = [];
  /** What readers of a primary see: only what no commit waits for. A standby has no readers. */
  rows: Rows = new Map();
  isUp = true;
  isPrimary = false;
  timeline = 1;
  /** Changes with each start: what a client began before is gone. */
  life = 1;
  /** Of a standby: the node whose log it receives; `null` where it was told to receive none. */
  follows: DatabaseNode | null = null;
  /** Of a primary: how much of its log a standby has confirmed. */
  confirmed = 0;
  /** Of a primary: commits that wait for a standby, in log order. */
  readonly waiting: { readonly length: number; readonly release: (isSynced: boolean) => void }[] = [];
  readonly #locks = new Map<string, (() => void)[]>();

  constructor(place: string) {
    this.place = place;
  }

  /** Calls `locked` once the lock is free. */
  lock(name: string, locked: () => void): void {
    const queue = this.#locks.get(name);
    if (queue !== undefined) queue.push(locked);
    else {
      this.#locks.set(name, []);
      locked();
    }
  }

  unlock(name: string): void {
    const next = this.#locks.get(name)?.shift();
    if (next === undefined) this.#locks.delete(name);
    else next();
  }

  apply({ writes }: Entry): void {
    for (const [name, value] of writes) this.rows.set(name, value);
  }

  /** After a start or a promotion: a primary shows all of its log, and nobody waits. */
  recover(): void {
    this.life += 1;
    this.#locks.clear();
    this.waiting.length = 0;
    this.confirmed = 0;
    this.rows = new Map();
    if (this.isPrimary) for (const entry of this.log) this.apply(entry);
  }

  /** Becomes a standby of `primary`: what its log has beyond the common past is cut off. */
  rewindTo(primary: DatabaseNode): void {
    let common = 0;
    while (common < this.log.length && this.log[common] === primary.log[common]) common += 1;
    this.log.length = common;
    this.isPrimary = false;
    this.follows = primary;
    this.timeline = primary.timeline;
    this.recover();
  }
}
