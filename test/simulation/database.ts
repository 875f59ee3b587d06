import type { FeedChange } from '../../src/state/feed.ts';
import { changeAt, DatabaseNode, headOf, isLostIn } from './database-node.ts';
import type { Entry, Rows, Write } from './database-node.ts';
import type { Mistake } from './mistakes.ts';
import type { Network } from './network.ts';
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
}

/**
 * `refused`: nothing was done, since this node is no primary. `unknown`: it may have been done, or may still be. `head` is the position of
 * the feed after the transaction.
 */
export type Outcome<T> = { readonly result: T; readonly head: number } | 'refused' | 'unknown';

/** What a client waits for from a node. It is told at most once. */
interface Client {
  readonly node: DatabaseNode;
  readonly lost: () => void;
}

interface Parts {
  readonly schedule: Schedule;
  readonly random: Random;
  readonly network: Network;
  readonly mistake: Mistake | null;
}

/** A client gives up after this long. What it asked may still be done. */
const PATIENCE_MS = 300;

/**
 * A primary and two standbys that replicate as PostgreSQL does with `ANY 1 (b, c)`: a commit is on the disk of the primary, then on that of a
 * standby, then seen by others and answered. Transactions that write the feed take the lock of its head last and number their changes under it.
 */
export class Database {
  readonly #parts: Parts;
  readonly nodes = [new DatabaseNode('node-a'), new DatabaseNode('node-b'), new DatabaseNode('node-c')] as const;
  readonly #copying = new Set<DatabaseNode>();
  readonly #clients = new Set<Client>();
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
    of: { readonly rows: (rows: Rows) => T; readonly told: (got: T | null) => void },
  ): void {
    const answer = this.#call<T | null>(client, node, { lost: null, told: of.told });
    this.#arrive(client, node, () => answer(node.isPrimary ? of.rows(node.rows) : null));
  }

  /** Runs a transaction and commits it. */
  commit<T>(
    client: Party,
    node: DatabaseNode,
    { transaction, told }: { readonly transaction: Transaction<T>; readonly told: (outcome: Outcome<T>) => void },
  ): void {
    const answer = this.#call<Outcome<T>>(client, node, { lost: 'unknown', told });
    this.#arrive(client, node, () => {
      if (node.isPrimary) this.#begin(node, transaction, answer);
      else answer('refused');
    });
  }

  /** The process of a server ends. Its disk stays. */
  crash(node: DatabaseNode): void {
    node.isUp = false;
    node.waiting.length = 0;
    for (const client of [...this.#clients].filter((one) => one.node === node)) client.lost();
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

  #begin<T>(node: DatabaseNode, transaction: Transaction<T>, answer: (outcome: Outcome<T>) => void): void {
    const { life } = node;
    const isGone = (): boolean => !node.isUp || node.life !== life;
    const locks = transaction.locks.length < 2 ? transaction.locks : transaction.locks.toSorted();
    const next = (at: number): void => {
      const name = locks[at];
      if (isGone()) return;
      if (name !== undefined) return node.lock(name, () => next(at + 1));
      const done = transaction.run(node.rows, this.#parts.schedule.nowMs);
      this.#number(node, { done, isGone, locks, answer });
    };
    next(0);
  }

  /** Numbers the changes under the lock of the head, so that numbers are in commit order. */
  #number<T>(
    node: DatabaseNode,
    {
      done,
      isGone,
      locks,
      answer,
    }: { done: Done<T>; isGone: () => boolean; locks: readonly string[]; answer: (outcome: Outcome<T>) => void },
  ): void {
    const numbered = (from: number): Write[] =>
      done.changes.flatMap((change, index): Write[] => {
        this.#marks += 1;
        return [
          [`feed:${from + index + 1}`, change],
          [`mark:${from + index + 1}`, this.#marks.toString()],
        ];
      });
    const commit = (feed: readonly Write[], head: number, held: readonly string[]): void => {
      this.#append(node, {
        entry: { writes: feed.length === 0 ? done.writes : [...done.writes, ...feed] },
        released: (isSynced) => {
          for (const name of held) node.unlock(name);
          answer(
            isSynced || this.#parts.mistake === 'warning-ignored'
              ? { result: done.result, head: head === 0 ? headOf(node.rows) : head }
              : 'unknown',
          );
        },
      });
    };
    // An answer that changes nothing is committed too: what it was decided by may be seen and yet be lost.
    const isRepeat = done.writes.length === 0 && this.#parts.mistake === 'repeat-unsynced';
    if (isRepeat) {
      for (const name of locks) node.unlock(name);
      return answer({ result: done.result, head: headOf(node.rows) });
    }
    if (done.changes.length === 0) return commit([], 0, locks);
    if (this.#parts.mistake === 'numbers-before-commit')
      return this.#numberTooEarly({ node, done, isGone, numbered, commit, locks });
    node.lock('head', () => {
      if (isGone()) return;
      const from = headOf(node.rows);
      const head = from + done.changes.length;
      commit([...numbered(from), ['head', head]], head, [...locks, 'head']);
    });
  }

  /** A sequence gives the number, and the commit comes when it comes: readers see a later number first. */
  #numberTooEarly<T>({
    node,
    done,
    isGone,
    numbered,
    commit,
    locks,
  }: {
    node: DatabaseNode;
    done: Done<T>;
    isGone: () => boolean;
    numbered: (from: number) => Write[];
    commit: (feed: readonly Write[], head: number, held: readonly string[]) => void;
    locks: readonly string[];
  }): void {
    const from = this.#given;
    const head = from + done.changes.length;
    this.#given = head;
    this.#parts.schedule.after(this.#parts.random.between(0, 60), () => {
      if (!isGone()) commit([...numbered(from), ['head', Math.max(head, headOf(node.rows))]], head, locks);
    });
  }

  #append(
    node: DatabaseNode,
    { entry, released }: { readonly entry: Entry; readonly released: (isSynced: boolean) => void },
  ): void {
    node.log.push(entry);
    const release = (isSynced: boolean): void => {
      node.apply(entry);
      released(isSynced);
    };
    if (this.#parts.mistake === 'local-commit') return release(true);
    node.waiting.push({ length: node.log.length, release });
    for (const standby of this.nodes) if (standby.follows === node) this.#copy(node, standby);
  }

  /** A standby receives what it lacks, in one go at a time. */
  #copy(primary: DatabaseNode, standby: DatabaseNode): void {
    if (this.#copying.has(standby)) return;
    this.#copying.add(standby);
    const { network, schedule } = this.#parts;
    schedule.after(network.delayMs(primary.place, standby.place), () =>
      network.whenFree(primary.place, standby.place, () => {
        this.#copying.delete(standby);
        if (standby.follows !== null && standby.follows !== primary) return this.#copy(standby.follows, standby);
        if (standby.follows === null || !primary.isUp || !standby.isUp) return;
        // Only the end differs: a standby that follows has a part of the log of its primary.
        for (let at = standby.log.length; at < primary.log.length; at += 1) standby.log.push(primary.log[at] as Entry);
        this.#confirm(primary, standby);
      }),
    );
  }

  #confirm(primary: DatabaseNode, standby: DatabaseNode): void {
    const { network, schedule } = this.#parts;
    const { life } = primary;
    const length = standby.log.length;
    schedule.after(network.delayMs(standby.place, primary.place), () =>
      network.whenFree(standby.place, primary.place, () => {
        if (!primary.isUp || primary.life !== life) return;
        primary.confirmed = Math.max(primary.confirmed, length);
        while ((primary.waiting[0]?.length ?? Infinity) <= primary.confirmed) primary.waiting.shift()?.release(true);
        if (standby.follows === primary && standby.log.length < primary.log.length) this.#copy(primary, standby);
      }),
    );
  }

  /** Gives `answer`, which reaches the client once: or the client has lost the connection or its patience before. */
  #call<T>(
    client: Party,
    node: DatabaseNode,
    { lost, told }: { readonly lost: T; readonly told: (got: T) => void },
  ): (got: T) => void {
    const tell = (got: T): void => {
      if (patience.work === null) return;
      patience.work = null;
      this.#clients.delete(waits);
      told(got);
    };
    const patience = client.deadline(PATIENCE_MS, () => tell(lost));
    const waits: Client = { node, lost: () => client.after(1, () => tell(lost)) };
    this.#clients.add(waits);
    return (got) => this.#parts.network.send(node.place, client, () => tell(got));
  }

  #arrive(client: Party, node: DatabaseNode, work: () => void): void {
    const server = this.#servers.get(node);
    if (server === undefined) return;
    this.#parts.network.send(client.place, server, () => {
      if (node.isUp) work();
    });
  }
}

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
