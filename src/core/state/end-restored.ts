import { causeOf } from '../task/cause.ts';
import { expiryOf, stateAt } from '../task/task.ts';
import { changeTask } from './writes/family-change.ts';
import type { StateRows } from './writes/state-rows.ts';
import type { TaskKey } from './store.ts';

/**
 * Within a transaction: ends an open task of a restored state with its parts, each with its record; as expired if it has expired by the
 * floor. It may have ended since the backup, and its budgets may have been spent. Nothing happens if it has ended.
 */
export function endRestored(rows: StateRows, key: TaskKey, by: string): void {
  const task = rows.task(key);
  if (task === undefined || task.endedAtMs !== null) return;
  const isExpired = stateAt(task, rows.floorMs()) === 'expired';
  const event = isExpired
    ? ({ kind: 'expire', cause: expiryOf(task).cause } as const)
    : ({ kind: 'revoke', cause: causeOf('operator.restored') } as const);
  const changed = changeTask(rows, task, event, by);
  // A task that expires at this very moment is found again by the next query.
  if ('problem' in changed && changed.state !== 'expired')
    throw new Error(`an open task could not be ended: it is \`${changed.state}\``);
}
