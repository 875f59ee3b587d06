import { LRUCache } from 'lru-cache';
import type { Connection } from './connection.ts';
import type { TaskKey, UseState } from './store.ts';
import { useStateAt } from './token-table.ts';

/** Tokens whose state is held at most, and what they take together; of one beyond that the state is read from the file again. */
const MAX_STATES = 16_384;
const MAX_BYTES = 32 * 1_024 * 1_024;
/** Of a state without the texts that a caller chose. */
const STATE_BYTES = 1_024;

/** A state, and after which change of this connection it was read. */
interface Held {
  readonly state: UseState;
  readonly after: number;
}

/**
 * What uses are judged by, as it stands in the file: what was read stays good until something is written that may change it.
 * What this connection writes is told by `changed`; what another one has written SQLite tells, and is asked on every look, or once
 * for all looks of a turn. So a state is never older than the last commit of anybody before the look, or before the turn, and a look
 * at an unchanged file costs a twentieth of the read, or nothing.
 *
 * @see https://www.sqlite.org/pragma.html#pragma_data_version
 */
export class UseStates {
  readonly #connection: Connection;
  readonly #states = new LRUCache<string, Held>({
    max: MAX_STATES,
    maxSize: MAX_BYTES,
    sizeCalculation: bytesOf,
  });
  #version = -1;
  /** Changes of histories by this connection. */
  #changes = 0;
  /** The last of them, by the id of the task. */
  #changed = new Map<string, number>();
  /** Within a turn: what others have written was asked for all of it. */
  #isTurn = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The state of a token that is held, where nobody has written since. Within `read`. */
  held({ issuer, id }: TaskKey, jtiDigest: string): UseState | undefined {
    if (!this.#isTurn) this.#ask();
    const held = this.#states.get(jtiDigest);
    if (held === undefined || this.#isOld(held)) return undefined;
    const { state } = held;
    return state.task.id === id && state.task.issuer === issuer ? state : undefined;
  }

  /**
   * Reads the state of a token, and holds it where task and token are there: a new task or token so changes nothing that is
   * held. Within `read`, after `held`.
   */
  read(key: TaskKey, jtiDigest: string): UseState | undefined {
    const state = useStateAt(this.#connection, key, jtiDigest);
    if (state?.issued !== undefined) this.#states.set(jtiDigest, { state, after: this.#changes });
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

  /** This connection has written, or tried to write, what may change a state. */
  changed(): void {
    this.#states.clear();
    this.#changed.clear();
  }

  /**
   * This connection has written, or tried to write, to the history of a task and nothing else that is held. A part shares the history
   * of the whole task, so what is held of parts is old after any change, and what is held at all after one by a part.
   */
  historyChanged({ task: { id, parentId } }: UseState): void {
    if (parentId !== null || this.#changed.size >= MAX_STATES) return this.changed();
    this.#changes += 1;
    this.#changed.set(id, this.#changes);
  }

  #isOld({ state: { task }, after }: Held): boolean {
    return after < (task.parentId === null ? (this.#changed.get(task.id) ?? 0) : this.#changes);
  }

  #ask(): void {
    const version = this.#connection.writesOfOthers();
    if (version !== this.#version) this.changed();
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
