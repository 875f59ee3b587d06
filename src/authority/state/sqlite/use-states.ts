import { LRUCache } from 'lru-cache';
import { Sweep } from '../../../core/runtime/collections/sweep.ts';
import type { Connection } from './connection.ts';
import { changesAfter, endOfFeed } from './tables/feed-table.ts';
import { Orders } from '../../../core/order/orders.ts';
import { stateAt } from '../../../core/task/task.ts';
import type { ChangedPart } from '../../../core/state/feed.ts';
import { ordersIn } from './tables/order-table.ts';
import type { TaskKey } from '../../../core/state/store.ts';
import type { TaskStanding, UseState } from '../../../core/state/store-reader.ts';
import { useStateAt } from './tables/token-table.ts';

/** Bytes that the states may have in total, for each that is cached at most. */
const BYTES_FOR_EACH = 2 * 1_024;
/** Size of a state without the texts that a caller chose. */
const STATE_BYTES = 1_024;

/** A root task with all of its descendants. They share a history, and an end of the root ends all of them. */
interface Family {
  /** Number of cached states. */
  held: number;
  /** Number of changes to a task of the family or to a token, since it is known here. */
  taskChanges: number;
  /** Number of changes to the history. */
  historyChanges: number;
}

interface CachedState {
  readonly state: UseState;
  readonly root: string;
  readonly family: Family;
  /** As in the family when the state was read. */
  readonly taskChanges: number;
  readonly historyChanges: number;
}

/**
 * A cache of the state by which uses are decided. An entry stays valid until something is written that may change it. `Connection.changed`
 * announces writes of this connection. SQLite shows that another connection has written, and the feed shows to which tasks. Sub-tasks share
 * their root's history, so a change invalidates the cached states of the whole family, and of no other task. A change to the history alone
 * leaves task and token valid (`standing`), so that a use that has just added to it is not read again before its answer.
 *
 * Other connections are checked for on every look, or once for all looks of a turn. So a state is never older than the last commit before
 * the look, or before the turn. The exception is idle time that was restarted: a state that looks expired by it is read again. A look at an
 * unchanged file costs a twentieth of a read, or nothing.
 *
 * @see https://www.sqlite.org/pragma.html#pragma_data_version
 */
export class UseStates {
  readonly #connection: Connection;
  readonly #states: LRUCache<string, CachedState>;
  /** Drops the states of expired tokens: tokens of minutes would fill the cache of a process that runs for days. */
  readonly #sweep: Sweep<CachedState>;
  /** Families with cached states, by the id of the root task. No more than there are states. */
  readonly #families = new Map<string, Family>();
  #version = -1;
  /** Position in the feed up to which changes are applied. */
  #position = 0;
  /** Whether a turn is open, for which commits of other connections were already checked. */
  #isTurn = false;
  /** `null` if they may have changed since they were read. */
  #orders: Orders | null = null;

  /** @param maxStates tokens whose state is cached, with 2 KiB for each on average. The state of any other is read from the file again. */
  constructor(connection: Connection, maxStates: number) {
    this.#connection = connection;
    this.#states = new LRUCache({
      max: maxStates,
      maxSize: maxStates * BYTES_FOR_EACH,
      sizeCalculation: bytesOf,
      dispose: (held) => this.#letGo(held),
    });
    this.#sweep = new Sweep(this.#states);
    connection.onChange((root, part) => this.#apply(root, part));
  }

  /** The cached state of a token, if nothing was written since. Within `read`. */
  held(key: TaskKey, jtiDigest: string): UseState | undefined {
    const held = this.#standing(key, jtiDigest);
    return held !== undefined && held.historyChanges === held.family.historyChanges ? held.state : undefined;
  }

  /** The cached task and token, even if the history was written to since. Within `read`. */
  standing(key: TaskKey, jtiDigest: string): TaskStanding | undefined {
    return this.#standing(key, jtiDigest)?.state;
  }

  /** The orders in force, read again if they have changed. Within `read`. */
  orders(): Orders {
    if (!this.#isTurn) this.#ask();
    this.#orders ??= Orders.of(ordersIn(this.#connection));
    return this.#orders;
  }

  /**
   * Reads the state of a token, and caches it if task and token exist, so that a new task or token invalidates nothing. Within `read`,
   * after `held`.
   */
  read(key: TaskKey, jtiDigest: string): UseState | undefined {
    const read = useStateAt(this.#connection, key, jtiDigest);
    if (read === undefined) return undefined;
    const { state, root } = read;
    if (state.issued !== undefined) {
      this.#states.set(state.issued.jtiDigest, this.#heldOf(state, root));
      const nowMs = this.#connection.nowMs();
      this.#sweep.added(({ state: { issued } }) => issued !== undefined && issued.expiresAtMs <= nowMs);
    }
    return state;
  }

  /** The state within a transaction that writes. Checks again for commits of other connections. */
  current(key: TaskKey, jtiDigest: string): UseState | undefined {
    this.#ask();
    return this.held(key, jtiDigest) ?? this.read(key, jtiDigest);
  }

  /** Checks once for commits of other connections, for all looks until `turnOver`. Within `read`. */
  turn(): void {
    this.#ask();
    this.#isTurn = true;
  }

  turnOver(): void {
    this.#isTurn = false;
  }

  /** Invalidates everything: after writes of another connection that the feed cannot name, and after writes that were rolled back. */
  forgetAll(): void {
    this.#states.clear();
    this.#orders = null;
  }

  #standing({ issuer, id }: TaskKey, jtiDigest: string): CachedState | undefined {
    if (!this.#isTurn) this.#ask();
    const held = this.#states.get(jtiDigest);
    if (held === undefined || held.taskChanges !== held.family.taskChanges) return undefined;
    const { task } = held.state;
    // A use may have restarted the idle time since, which does not appear in the feed.
    if (task.idleMs !== null && stateAt(task, this.#connection.nowMs()) === 'expired') return undefined;
    return task.id === id && task.issuer === issuer ? held : undefined;
  }

  #apply(root: string, part: ChangedPart): void {
    if (part === 'orders') this.#orders = null;
    const family = this.#families.get(root);
    if (family === undefined) return;
    if (part === 'task') family.taskChanges += 1;
    else family.historyChanges += 1;
  }

  #heldOf(state: UseState, root: string): CachedState {
    const family = this.#families.get(root) ?? { held: 0, taskChanges: 0, historyChanges: 0 };
    family.held += 1;
    this.#families.set(root, family);
    const { taskChanges, historyChanges } = family;
    return { state, root, family, taskChanges, historyChanges };
  }

  /** INVARIANT: a family stays known as long as it has a cached state, so that a change always reaches that state. */
  #letGo({ root, family }: CachedState): void {
    family.held -= 1;
    if (family.held === 0) this.#families.delete(root);
  }

  #ask(): void {
    const version = this.#connection.writesOfOthers();
    if (version === this.#version) return;
    const changes = this.#version === -1 ? null : changesAfter(this.#connection, this.#position);
    if (changes === null) this.forgetAll();
    else for (const { root, part } of changes.changes) this.#apply(root, part);
    // INVARIANT: read after the version and before any state. What is committed in between is then found by the next check.
    this.#position = changes?.position ?? endOfFeed(this.#connection);
    this.#version = version;
  }
}

/** Approximate bytes of a state. A UTF-16 unit takes at most two bytes. */
const bytesOf = ({ state: { task, history } }: CachedState): number =>
  STATE_BYTES +
  2 *
    [
      task.detailsJson,
      task.purpose,
      ...Object.entries(task.claimed).flat(),
      ...task.attested.flatMap(({ name, value, by }) => [name, value, by]),
      ...history.actions,
      ...history.labels,
    ].reduce((sum, text) => sum + text.length, 0);
