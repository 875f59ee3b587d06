import { createHash } from 'node:crypto';
import { counterText } from '../../../../core/limit/limit-spend.ts';
import type { LimitCount, LimitCounter, OpenTasksLimit } from '../../../../core/limit/limit-spend.ts';
import type { LimitUse } from '../../../../core/state/limit-use.ts';
import type { UndoLog } from './undo-log.ts';

/** A counter of a limit. Neither number becomes less: what is given back is counted too. */
export interface LimitRow {
  readonly counter: LimitCounter;
  /** Everything that was ever taken. */
  readonly taken: number;
  /** What of it was given back. */
  readonly given: number;
  /** What the limit allowed when it was last used. */
  readonly max: number;
}

/** A value that a counter of distinct values has seen. */
export interface LimitValue {
  readonly counter: LimitCounter;
  readonly digest: string;
}

/** Open tasks of an agent on behalf of a subject. */
interface OpenTasksRow {
  readonly agent: string;
  readonly subject: string;
  readonly count: number;
}

/** The key of a counter: a digest, since `who` may be longer than an index allows. */
export const counterKey = (counter: LimitCounter): string =>
  createHash('sha256').update(counterText(counter)).digest('base64url');

/** The counter in a row of `limit_counts`. */
export const limitRowFrom = (row: Readonly<Record<string, unknown>>): LimitRow => ({
  counter: {
    limit: String(row['limit_id']),
    // `limitStatements` wrote it.
    measure: String(row['measure']) as LimitCount,
    who: String(row['who']),
    startsMs: Number(row['starts_ms']),
    endsMs: Number(row['ends_ms']),
  },
  taken: Number(row['used']),
  given: Number(row['given']),
  max: Number(row['max']),
});

/** A counter as it is listed. */
export const limitUseOf = ({ counter, taken, given, max }: LimitRow): LimitUse => ({
  ...counter,
  used: taken - given,
  max,
});

/** The rows of limits in a transaction in memory: as read, and as changed since. */
export class LimitRows {
  readonly #undo: UndoLog;
  readonly #counts = new Map<string, LimitRow>();
  readonly #values = new Map<string, LimitValue>();
  readonly #changed = { counts: new Set<string>(), values: new Set<string>() };
  #open: readonly OpenTasksRow[] = [];
  restoredAtMs: number | null = null;

  constructor(undo: UndoLog) {
    this.#undo = undo;
  }

  load(row: LimitRow): void {
    this.#counts.set(counterKey(row.counter), row);
  }

  /** @param key `counterKey` of its counter */
  loadValue(key: string, value: LimitValue): void {
    this.#values.set(`${key} ${value.digest}`, value);
  }

  loadOpen(row: OpenTasksRow): void {
    this.#open = [...this.#open, row];
  }

  used(counter: LimitCounter): number {
    const row = this.#counts.get(counterKey(counter));
    return row === undefined ? 0 : row.taken - row.given;
  }

  setUsed(counter: LimitCounter, used: number, max: number): void {
    const key = counterKey(counter);
    const { taken, given } = this.#counts.get(key) ?? { taken: 0, given: 0 };
    const more = used - (taken - given);
    const row = more >= 0 ? { taken: taken + more, given } : { taken, given: given - more };
    this.#undo.set(this.#counts, key, { counter, ...row, max });
    this.#undo.mark(this.#changed.counts, key);
  }

  has(counter: LimitCounter, digest: string): boolean {
    return this.#values.has(`${counterKey(counter)} ${digest}`);
  }

  add(counter: LimitCounter, digest: string): void {
    const key = `${counterKey(counter)} ${digest}`;
    this.#undo.set(this.#values, key, { counter, digest });
    this.#undo.mark(this.#changed.values, key);
  }

  /** A task was added that counts as open. */
  opened(agent: string, subject: string): void {
    const before = this.#open;
    this.#undo.add(() => (this.#open = before));
    this.#open = [...before, { agent, subject, count: 1 }];
  }

  open({ agent, subject }: Pick<OpenTasksLimit, 'agent' | 'subject'>): readonly OpenTasksRow[] {
    return this.#open.filter(
      (row) => (agent === null || row.agent === agent) && (subject === null || row.subject === subject),
    );
  }

  /** What to write. */
  changed(): { readonly counts: readonly LimitRow[]; readonly values: readonly LimitValue[] } {
    const { counts, values } = this.#changed;
    return { counts: atKeys(this.#counts, counts), values: atKeys(this.#values, values) };
  }
}

const atKeys = <V>(map: ReadonlyMap<string, V>, keys: ReadonlySet<string>): readonly V[] =>
  [...map].flatMap(([key, value]) => (keys.has(key) ? [value] : []));
