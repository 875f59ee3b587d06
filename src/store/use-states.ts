import { LRUCache } from 'lru-cache';
import type { Connection } from './connection.ts';
import type { TaskKey, UseState } from './store.ts';
import { useStateAt } from './token-table.ts';

/** Tokens whose state is held at most, and what they take together; of one beyond that the state is read from the file again. */
const MAX_STATES = 16_384;
const MAX_BYTES = 32 * 1_024 * 1_024;
/** Of a state without the texts that a caller chose. */
const STATE_BYTES = 1_024;

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
  readonly #states = new LRUCache<string, UseState>({
    max: MAX_STATES,
    maxSize: MAX_BYTES,
    sizeCalculation: bytesOf,
  });
  #version = -1;
  /** Within a turn: what others have written was asked for all of it. */
  #isTurn = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The state of a token that is held, where nobody has written since. Within `read`. */
  held({ issuer, id }: TaskKey, jtiDigest: string): UseState | undefined {
    if (!this.#isTurn) this.#ask();
    const state = this.#states.get(jtiDigest);
    return state?.task.id === id && state.task.issuer === issuer ? state : undefined;
  }

  /**
   * Reads the state of a token, and holds it where task and token are there: a new task or token so changes nothing that is
   * held. Within `read`, after `held`.
   */
  read(key: TaskKey, jtiDigest: string): UseState | undefined {
    const state = useStateAt(this.#connection, key, jtiDigest);
    if (state?.issued !== undefined) this.#states.set(jtiDigest, state);
    return state;
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
  }

  #ask(): void {
    const version = this.#connection.writesOfOthers();
    if (version !== this.#version) this.#states.clear();
    this.#version = version;
  }
}

/** About what a state takes: a UTF-16 unit takes two bytes at most. */
const bytesOf = ({ task, history }: UseState): number =>
  STATE_BYTES +
  2 *
    [
      task.detailsJson,
      task.purpose,
      ...Object.entries(task.context).flat(),
      ...history.actions,
      ...history.labels,
    ].reduce((sum, text) => sum + text.length, 0);
