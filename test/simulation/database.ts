import type { EncodedRecord } from '../../src/core/ledger/encoded-record.ts';
import type { FeedChange } from '../../src/core/state/feed.ts';
import { changeAt, DatabaseNode, headOf, isLostIn } from './database-node.ts';
import type { Entry, Rows, Write } from './database-node.ts';
import { Query } from './database-query.ts';
import type { Mistake } from './mistakes.ts';
import type { Network } from './network.ts';
import { numberedRecords } from './outbox-rows.ts';
import { Party } from './party.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

/** What a transaction does, under locks of its rows. */
export interface Transaction<T> {
  readonly locks: readonly string[];
  readonly run: (rows: Rows, nowMs: number) => Done<T>;
}

export interface Done<T> {
  readonly result: T;
  readonly writes: readonly Write[];
  readonly changes: readonly FeedChange[];
  /** For the ledgers, where there are any. */
  readonly records?: () => readonly EncodedRecord[];
}

/**
 * `refused`: nothing was done, since this node is no primary. `unknown`: it may have been done, or may still be. `head` is the position of
 * the feed after the transaction.
 */
export type Outcome<T> = { readonly result: T; readonly head: number } | 'refused' | 'unknown';

/** A commit in the log that is not seen yet. */
interface Commit<T> {
  readonly entry: Entry;
  readonly result: T;
  /** Position of the feed after it; 0 where it changes nothing of it. */
  readonly head: number;
  readonly locks: readonly string[];
  readonly query: Query<Outcome<T>>;
}

interface Parts {
  readonly schedule: Schedule;
  readonly random: Random;
  readonly network: Network;
  readonly mistake: Mistake | null;
  readonly hasLedgers: boolean;
}

/**
 * A primary and two standbys that replicate as PostgreSQL does with `ANY 1 (b, c)`: a commit is on the disk of the primary, then on that of a
 * standby, then seen by others and answered. Transactions that write the feed take the lock of its head last and number their changes under it.
 */
export class Database {
  readonly #parts: Parts;
  readonly nodes = [new DatabaseNode('node-a'), new DatabaseNode('node-b'), new DatabaseNode('node-c')] as const;
  readonly #copying = new Set<DatabaseNode>();
  /** With so many queries, those answered are removed from the list. */
  #mostQueries = 100;
  /** In the order in which they were asked. */
  #queries: Pick<Query<unknown>, 'node' | 'isDropped' | 'lose'>[] = [];
  /** Servers are never stopped by SIGSTOP here: a stopped one is one whose lanes are blocked. */
  readonly #servers = new Map<DatabaseNode, Party>();
  /** With the mistake `numbers-before-commit`: the number given last. */
  #given = 0;
  /** Marks of changes given so far. */
  #marks = 0;
  /** Whether a backup was put in place without the command that makes it safe. */
  #isOlder = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    for (const node of this.nodes) this.#servers.set(node, new Party(node.place, parts));
    const [first, ...standbys] = this.nodes;
    first.isPrimary = true;
    for (const standby of standbys) standby.follows = first;
  }

  /** The primary that a client at that place finds: of those it reaches, that with the highest timeline. */
  primaryFor(place: string): DatabaseNode | null {
    const { network } = this.#parts;
    const found = this.nodes.filter(
      (node) =>
        node.isUp && node.isPrimary && !network.isBlocked(place, node.place) && !network.isBlocked(node.place, place),
    );
    return found.reduce<DatabaseNode | null>(
      (best, node) => (best === null || node.timeline > best.timeline ? node : best),
      null,
    );
  }

  /** The primary with the highest timeline, wherever it is. */
  get primary(): DatabaseNode | null {
    const primaries = this.nodes.filter((node) => node.isPrimary);
    return primaries.reduce<DatabaseNode | null>(
      (best, node) => (best === null || node.timeline > best.timeline ? node : best),
      null,
    );
  }

  /** Reads rows that a primary shows. `null` where there was no answer. */
  read<T>(
    client: Party,
    node: DatabaseNode,
    of: { readonly rows: (rows: Rows) => T; readonly onAnswer: (got: T | null) => void },
  ): void {
    const query = this.#query<T | null>(client, node, { lost: null, onAnswer: of.onAnswer });
    this.#arrive(client, node, () => query.answer(node.isPrimary ? of.rows(node.rows) : null));
  }

  /** Runs a transaction and commits it. */
  commit<T>(
    client: Party,
    node: DatabaseNode,
    {
      transaction,
      onAnswer,
    }: { readonly transaction: Transaction<T>; readonly onAnswer: (outcome: Outcome<T>) => void },
  ): void {
    const query = this.#query<Outcome<T>>(client, node, { lost: 'unknown', onAnswer });
    this.#arrive(client, node, () => {
      if (node.isPrimary) this.#begin(transaction, query);
      else query.answer('refused');
    });
  }

  /** The process of a server ends. Its disk stays. */
  crash(node: DatabaseNode): void {
    node.isUp = false;
    node.waiting.length = 0;
    for (const query of this.#queries) if (query.node === node && !query.isDropped) query.lose();
  }

  /** A crashed primary starts again: it shows all that was on its disk, also what no standby has. */
  restart(node: DatabaseNode): void {
    node.isUp = true;
    node.recover();
    for (const standby of this.nodes) if (standby.follows === node) this.#copy(node, standby);
  }

  /** The waits of all commits are cancelled: others see them, and their clients are warned. */
  cancelWaits(node: DatabaseNode): void {
    for (const { release } of node.waiting.splice(0)) release(false);
  }

  /** Makes the best standby the primary. Both standbys are told first to receive no more, and only then compared. */
  failOver(): void {
    const old = this.primary;
    const standbys = this.nodes.filter((node) => node !== old && node.isUp && !node.isPrimary);
    if (old === null || standbys.length < 2) return;
    for (const standby of standbys) standby.follows = null;
    const byLength = standbys.toSorted((one, other) => one.log.length - other.log.length);
    const best = this.#parts.mistake === 'lower-lsn' ? byLength[0] : byLength.at(-1);
    if (best === undefined) return;
    best.isPrimary = true;
    best.timeline = old.timeline + 1;
    best.recover();
    this.#given = headOf(best.rows);
    for (const standby of standbys) if (standby !== best) this.#join(standby, best);
  }

  /** Operators start what is down, and make standbys of all but the primary of the highest timeline. */
  repair(): void {
    const { primary } = this;
    if (primary === null) return;
    if (!primary.isUp) this.restart(primary);
    for (const node of this.nodes) if (node !== primary && (!node.isUp || node.isPrimary)) this.#join(node, primary);
  }

  /** Whether an operator has to run the command that makes a restored backup safe. */
  get isRestoreDue(): boolean {
    return this.#isOlder || (this.primary !== null && isLostIn(this.primary.rows));
  }

  /** Puts a backup in place of all nodes: the first `length` commits. Nobody is told. */
  putBack(length: number): void {
    this.#isOlder = true;
    this.#replace((this.primary?.log ?? []).slice(0, length));
  }

  /** Runs the command of an operator on the primary: its writes are on all nodes at once. */
  restore(writesOf: (rows: Rows) => readonly Write[]): void {
    const { primary } = this;
    if (primary === null) return;
    this.#isOlder = false;
    this.#replace(primary.log);
    this.#replace([...primary.log, { writes: writesOf(primary.rows) }]);
  }

  #replace(log: readonly Entry[]): void {
    const { primary } = this;
    if (primary === null) return;
    const timeline = Math.max(...this.nodes.map((node) => node.timeline)) + 1;
    for (const node of this.nodes) {
      if (node.isUp) this.crash(node);
      node.log = [...log];
      node.isUp = true;
      node.isPrimary = node === primary;
      node.follows = node === primary ? null : primary;
      node.timeline = timeline;
      node.recover();
    }
    this.#given = headOf(primary.rows);
  }

  #join(node: DatabaseNode, primary: DatabaseNode): void {
    if (node.isUp) this.crash(node);
    node.isUp = true;
    node.rewindTo(primary);
    this.#copy(primary, node);
  }

  #begin<T>(transaction: Transaction<T>, query: Query<Outcome<T>>): void {
    const { node } = query;
    const { life } = node;
    const locks = transaction.locks.length < 2 ? transaction.locks : transaction.locks.toSorted();
    const next = (at: number): void => {
      const name = locks[at];
      if (isGone(node, life)) return;
      if (name !== undefined) return node.lock(name, () => next(at + 1));
      this.#number(transaction.run(node.rows, this.#parts.schedule.nowMs), { locks, query });
    };
    next(0);
  }

  /** Numbers the changes under the lock of the head, so that numbers are in commit order. */
  #number<T>(
    done: Done<T>,
    { locks, query }: { readonly locks: readonly string[]; readonly query: Query<Outcome<T>> },
  ): void {
    const { result, writes, changes } = done;
    const { node } = query;
    const { life } = node;
    const { hasLedgers, mistake } = this.#parts;
    const records = hasLedgers ? (done.records?.() ?? []) : [];
    if (records.length > 0) {
      return node.lock('records', () => {
        if (isGone(node, life)) return;
        const all = [...writes, ...numberedRecords(node.rows, records)];
        this.#number({ result, writes: all, changes }, { locks: [...locks, 'records'], query });
      });
    }
    // An answer that changes nothing is committed too: what it was decided by may be seen and yet be lost.
    if (writes.length === 0 && mistake === 'repeat-unsynced') {
      for (const name of locks) node.unlock(name);
      return query.answer({ result, head: headOf(node.rows) });
    }
    if (changes.length === 0) return this.#append(node, { entry: { writes }, result, head: 0, locks, query });
    if (mistake === 'numbers-before-commit') return this.#numberTooEarly(done, { locks, query });
    node.lock('head', () => {
      if (isGone(node, life)) return;
      const from = headOf(node.rows);
      const head = from + changes.length;
      const entry = { writes: [...writes, ...this.#numbered(changes, from), ['head', head] as const] };
      this.#append(node, { entry, result, head, locks: [...locks, 'head'], query });
    });
  }

  /** A sequence gives the number, and the commit comes when it comes: readers see a later number first. */
  #numberTooEarly<T>(
    { result, writes, changes }: Done<T>,
    { locks, query }: { readonly locks: readonly string[]; readonly query: Query<Outcome<T>> },
  ): void {
    const { node } = query;
    const { life } = node;
    const from = this.#given;
    const head = from + changes.length;
    this.#given = head;
    this.#parts.schedule.after(this.#parts.random.between(0, 60), () => {
      if (isGone(node, life)) return;
      const last = ['head', Math.max(head, headOf(node.rows))] as const;
      const entry = { writes: [...writes, ...this.#numbered(changes, from), last] };
      this.#append(node, { entry, result, head, locks, query });
    });
  }

  #numbered(changes: readonly FeedChange[], from: number): readonly Write[] {
    return changes.flatMap((change, index): Write[] => {
      this.#marks += 1;
      return [
        [`feed:${from + index + 1}`, change],
        [`mark:${from + index + 1}`, this.#marks.toString()],
      ];
    });
  }

  #append<T>(node: DatabaseNode, commit: Commit<T>): void {
    node.log.push(commit.entry);
    if (this.#parts.mistake === 'local-commit') return this.#release(node, commit, true);
    node.waiting.push({
      length: node.log.length,
      release: (isSynced) => this.#release(node, commit, isSynced),
    });
    for (const standby of this.nodes) if (standby.follows === node) this.#copy(node, standby);
  }

  /** Others see a commit, and its client hears of it. */
  #release<T>(node: DatabaseNode, { entry, result, head, locks, query }: Commit<T>, isSynced: boolean): void {
    node.apply(entry);
    for (const name of locks) node.unlock(name);
    const isTold = isSynced || this.#parts.mistake === 'warning-ignored';
    query.answer(isTold ? { result, head: head === 0 ? headOf(node.rows) : head } : 'unknown');
  }

  /** A standby receives what it lacks, in one go at a time. */
  #copy(primary: DatabaseNode, standby: DatabaseNode): void {
    if (this.#copying.has(standby)) return;
    this.#copying.add(standby);
    const { network } = this.#parts;
    const [from, to] = [primary.place, standby.place];
    network.carry({ from, to, ms: network.delayMs(from, to) }, () => {
      this.#copying.delete(standby);
      if (standby.follows !== null && standby.follows !== primary) return this.#copy(standby.follows, standby);
      if (standby.follows === null || !primary.isUp || !standby.isUp) return;
      // Only the end differs: a standby that follows has a part of the log of its primary.
      for (let at = standby.log.length; at < primary.log.length; at += 1) standby.log.push(primary.log[at] as Entry);
      this.#confirm(primary, standby);
    });
  }

  #confirm(primary: DatabaseNode, standby: DatabaseNode): void {
    const { network } = this.#parts;
    const { life } = primary;
    const length = standby.log.length;
    const [from, to] = [standby.place, primary.place];
    network.carry({ from, to, ms: network.delayMs(from, to) }, () => {
      if (isGone(primary, life)) return;
      primary.confirmed = Math.max(primary.confirmed, length);
      while ((primary.waiting[0]?.length ?? Infinity) <= primary.confirmed) primary.waiting.shift()?.release(true);
      if (standby.follows === primary && standby.log.length < primary.log.length) this.#copy(primary, standby);
    });
  }

  #query<T>(
    client: Party,
    node: DatabaseNode,
    { lost, onAnswer }: { readonly lost: T; readonly onAnswer: (got: T) => void },
  ): Query<T> {
    const query = new Query(client, node, { network: this.#parts.network, lost, onAnswer });
    if (this.#queries.push(query) > this.#mostQueries) {
      this.#queries = this.#queries.filter(({ isDropped }) => !isDropped);
      this.#mostQueries = 2 * this.#queries.length + 100;
    }
    return query;
  }

  #arrive(client: Party, node: DatabaseNode, work: () => void): void {
    const server = this.#servers.get(node);
    if (server === undefined) return;
    this.#parts.network.send(client.place, server, () => {
      if (node.isUp) work();
    });
  }
}

/** Whether a node, or the life of it in which something began, is over. */
const isGone = (node: DatabaseNode, life: number): boolean => !node.isUp || node.life !== life;

/** The changes after a position that readers see, and the position after them. */
export function feedAfter(rows: Rows, position: number): { readonly changes: FeedChange[]; readonly head: number } {
  const head = headOf(rows);
  const changes: FeedChange[] = [];
  for (let seq = position + 1; seq <= head; seq += 1) {
    const change = changeAt(rows, seq);
    if (change !== undefined) changes.push(change);
  }
  return { changes, head };
}
