import { LRUCache } from 'lru-cache';
import type { Connection } from './connection.ts';
import { changesAfter, endOfFeed } from './feed-table.ts';
import { stateAt } from '../../task/task.ts';
import type { TaskKey, UseState } from '../store.ts';
import { useStateAt } from './token-table.ts';

/** Tokens whose state is held at most, and what they take together; of one beyond that the state is read from the file again. */
const MAX_STATES = 16_384;
const MAX_BYTES = 32 * 1_024 * 1_024;
/** Of a state without the texts that a caller chose. */
const STATE_BYTES = 1_024;

/** A task that was declared itself with all of its parts: one history is theirs, and an end reaches all of them. */
interface Family {
  /** States that are held of it. */
  held: number;
  /** Whether it was written to since those were read. */
  isOld: boolean;
}

interface Held {
  readonly state: UseState;
  readonly whole: string;
  readonly family: Family;
}

/**
 * What uses are judged by, as it stands in the file: what was read stays good until something is written that may change it.
 * What this connection writes about a task the connection tells (`Connection.changed`), and what is held of that task, of its parts
 * and of what it is a part of is read again; of all other tasks it stays. That another connection has written SQLite tells, and the
 * feed of the file of which tasks; it is asked on every look, or once for all looks of a turn. So a state is never older than the last
 * commit of anybody before the look, or before the turn, save that its idle time may have started anew: one that is over is read again.
 * A look at an unchanged file costs a twentieth of the read, or nothing.
 *
 * @see https://www.sqlite.org/pragma.html#pragma_data_version
 */
export class UseStates {
  readonly #connection: Connection;
  readonly #states = new LRUCache<string, Held>({
    max: MAX_STATES,
    maxSize: MAX_BYTES,
    sizeCalculation: bytesOf,
    dispose: (held) => this.#letGo(held),
  });
  /** Those of which something is held, by the id of the whole task: no more than states. */
  readonly #families = new Map<string, Family>();
  #version = -1;
  /** How far the feed was read. */
  #position = 0;
  /** Within a turn: what others have written was asked for all of it. */
  #isTurn = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.onChange((whole) => this.#taskChanged(whole));
  }

  /** The state of a token that is held, where nobody has written since. Within `read`. */
  held({ issuer, id }: TaskKey, jtiDigest: string): UseState | undefined {
    if (!this.#isTurn) this.#ask();
    const held = this.#states.get(jtiDigest);
    if (held === undefined || held.family.isOld) return undefined;
    const { state } = held;
    // A use since then may have prolonged it, which nobody tells.
    if (state.task.idleMs !== null && stateAt(state.task, this.#connection.nowMs()) === 'expired') return undefined;
    return state.task.id === id && state.task.issuer === issuer ? state : undefined;
  }

  /**
   * Reads the state of a token, and holds it where task and token are there: a new task or token so changes nothing that is
   * held. Within `read`, after `held`.
   */
  read(key: TaskKey, jtiDigest: string): UseState | undefined {
    const read = useStateAt(this.#connection, key, jtiDigest);
    if (read === undefined) return undefined;
    const { state, whole } = read;
    if (state.issued !== undefined) this.#states.set(jtiDigest, { state, whole, family: this.#take(whole) });
    return state;
  }

  /** The state as a transaction that writes finds it: what others have written is asked for again. Within that transaction. */
  current(key: TaskKey, jtiDigest: string): UseState | undefined {
    this.#ask();
    return this.held(key, jtiDigest) ?? this.read(key, jtiDigest);
  }

  /** Asks once for all looks until `turnOver`. Within `read`. */
  turn(): void {
    this.#ask();
    this.#isTurn = true;
  }

  turnOver(): void {
    this.#isTurn = false;
  }

  /** Anything may be otherwise than it was read: what another connection wrote, what was read of writes that were undone. */
  forgetAll(): void {
    this.#states.clear();
  }

  /** INVARIANT: a family that was written to is never taken again, so that what was read of it before stays old. */
  #taskChanged(whole: string): void {
    const family = this.#families.get(whole);
    if (family === undefined) return;
    family.isOld = true;
    this.#families.delete(whole);
  }

  #take(whole: string): Family {
    const family = this.#families.get(whole) ?? { held: 0, isOld: false };
    family.held += 1;
    this.#families.set(whole, family);
    return family;
  }

  #letGo({ whole, family }: Held): void {
    family.held -= 1;
    if (family.held === 0 && !family.isOld) this.#families.delete(whole);
  }

  #ask(): void {
    const version = this.#connection.writesOfOthers();
    if (version === this.#version) return;
    const changes = this.#version === -1 ? null : changesAfter(this.#connection, this.#position);
    if (changes === null) this.forgetAll();
    else for (const root of changes.roots) this.#taskChanged(root);
    // INVARIANT: after the version was asked, and before any state is read by it: what is committed meanwhile is asked for again.
    this.#position = changes?.position ?? endOfFeed(this.#connection);
    this.#version = version;
  }
}

/** About what a state takes: a UTF-16 unit takes two bytes at most. */
const bytesOf = ({ state: { task, history } }: Held): number =>
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
