import { longestOf } from '../../../../core/task/stop.ts';
import type { Stop, StopQuery, StopRow } from '../../../../core/task/stop.ts';
import type { StopChange } from './stop-statements.ts';
import type { UndoLog } from './undo-log.ts';

/** The stops of like declarations of a transaction in memory: as read, and what its writes change of them. */
export class StopRows {
  readonly #undo: UndoLog;
  #stops: readonly StopRow[] = [];
  #changes: readonly StopChange[] = [];

  constructor(undo: UndoLog) {
    this.#undo = undo;
  }

  load(stop: StopRow): void {
    this.#stops = [...this.#stops, stop];
  }

  /**
   * A stop that another write of this transaction ended or removed still counts as read: the declaration succeeds when retried.
   */
  find({ issuer, agent, subject, actions }: StopQuery): Stop | null {
    return longestOf(
      this.#stops.filter(
        (stop) =>
          stop.issuer === issuer &&
          stop.agent === agent &&
          (stop.subject === '' || stop.subject === subject) &&
          actions.includes(stop.action),
      ),
    );
  }

  add(stops: readonly StopRow[]): void {
    const before = this.#stops;
    this.#undo.add(() => (this.#stops = before));
    this.#stops = [...before, ...stops];
    this.change({ kind: 'add', stops });
  }

  /** Notes a change that the rows read here do not show. */
  change(change: StopChange): void {
    const before = this.#changes;
    this.#undo.add(() => (this.#changes = before));
    this.#changes = [...before, change];
  }

  /** What to write, in order. */
  changed(): readonly StopChange[] {
    return this.#changes;
  }
}
