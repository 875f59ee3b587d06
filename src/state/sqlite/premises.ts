import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { changedSince, EXCHANGED, isAsDecided } from '../premises.ts';
import type { Premises } from '../premises.ts';
import type { Connection } from './connection.ts';
import { taskAt } from './task-table.ts';
import { tokenAt } from './token-table.ts';

/** Within a transaction, before anything is written: `changed` where a premise of the write no longer holds. */
export function premiseProblem(connection: Connection, premises: Premises | undefined): StoreFailure | null {
  if (premises === undefined) return null;
  const { tasks, jtiDigest } = premises;
  for (const was of tasks) {
    const now = taskAt(connection, was);
    if (now === undefined || !isAsDecided(was, now)) return changedSince(`task \`${was.id}\``);
  }
  const token = jtiDigest === undefined ? undefined : tokenAt(connection, jtiDigest);
  return jtiDigest === undefined || token?.revokedAtMs === null ? null : changedSince(EXCHANGED);
}
