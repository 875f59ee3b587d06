/** How many logs an authority receives, how fast an identity begins new logs, and how often refused logs are recorded. */
import { AgentRate } from '../../core/runtime/collections/agent-rate.ts';

/** The limits of a room. */
export interface LogLimits {
  /** Most open logs of the process. Default 20,000. */
  readonly logs?: number | undefined;
  /** Most open logs of an identity. Default 10,000. */
  readonly logsOfOne?: number | undefined;
  /** New logs of an identity a second, once it has begun `logsOfOne` at once. Default 5: each writes two records. */
  readonly newASecond?: number | undefined;
}

const MAX_LOGS = 20_000;
const MAX_LOGS_OF_ONE = 10_000;
const NEW_A_SECOND = 5;

/** The open logs of an authority, counted. No identity can keep others from being received, nor fill the ledger with the names of its logs. */
export class LogRoom {
  readonly #logs: number;
  readonly #logsOfOne: number;
  readonly #newASecond: number;
  readonly #begun: AgentRate;
  /** Number of logs by identity. */
  readonly #ofOne = new Map<string, number>();
  #size = 0;

  constructor(limits: LogLimits, monotonicMs: () => number) {
    this.#logs = limits.logs ?? MAX_LOGS;
    this.#logsOfOne = limits.logsOfOne ?? MAX_LOGS_OF_ONE;
    this.#newASecond = limits.newASecond ?? NEW_A_SECOND;
    this.#begun = new AgentRate({ perSecond: this.#newASecond, burst: this.#logsOfOne, monotonicMs });
  }

  /** Why no further log of an identity can begin now; `null` if one can, which then counts as begun. */
  begin(id: string): string | null {
    if (this.#size >= this.#logs) return `the authority already receives ${this.#logs} logs`;
    if ((this.#ofOne.get(id) ?? 0) >= this.#logsOfOne)
      return `the authority already receives ${this.#logsOfOne} logs of \`${id}\``;
    return this.#begun.take(id)
      ? null
      : `the authority takes ${this.#newASecond} new logs of \`${id}\` a second: they are taken later`;
  }

  /** A log that counts as begun could not begin, for a fault of the authority. */
  giveBack(id: string): void {
    this.#begun.give(id);
  }

  /** A log is open. */
  add(id: string): void {
    this.#size += 1;
    this.#ofOne.set(id, (this.#ofOne.get(id) ?? 0) + 1);
  }

  /** An open log is forgotten. */
  remove(id: string): void {
    this.#size -= 1;
    const left = (this.#ofOne.get(id) ?? 1) - 1;
    if (left > 0) this.#ofOne.set(id, left);
    else this.#ofOne.delete(id);
  }
}

/** A client that repeats a refused call is recorded once in this time. */
const REFUSED_MS = 60_000;
/** Most logs of which the last refusal is remembered. */
const MAX_REFUSED = 1_024;

/**
 * Which refusals of logs are to be recorded. Of more than 1,024 refused logs, the oldest are forgotten and may be recorded
 * sooner.
 */
export class Refusals {
  readonly #lastMs = new Map<string, number>();

  /** Whether a refusal now is to be recorded. @param nowMs on a monotonic clock */
  isToRecord(origin: string, nowMs: number): boolean {
    if (nowMs - (this.#lastMs.get(origin) ?? -Infinity) < REFUSED_MS) return false;
    const [oldest] = this.#lastMs.size < MAX_REFUSED ? [] : this.#lastMs.keys();
    if (oldest !== undefined) this.#lastMs.delete(oldest);
    this.#lastMs.delete(origin);
    this.#lastMs.set(origin, nowMs);
    return true;
  }
}
