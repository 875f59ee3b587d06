import { storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { isAsDecided } from '../premises.ts';
import type { Premises } from '../premises.ts';
import type { Connection } from './connection.ts';
import { taskAt } from './task-table.ts';
import { tokenAt } from './token-table.ts';

/** Within a transaction, before anything is written: `changed` where the write was decided by what no longer holds. */
export function premiseProblem(connection: Connection, premises: Premises | undefined): StoreFailure | null {
  if (premises === undefined) return null;
  const { tasks, jtiDigest } = premises;
  for (const was of tasks) {
    const now = taskAt(connection, was);
    if (now === undefined || !isAsDecided(was, now)) return changed(`task \`${was.id}\``);
  }
  const token = jtiDigest === undefined ? undefined : tokenAt(connection, jtiDigest);
  return jtiDigest === undefined || token?.revokedAtMs === null ? null : changed('the token that is exchanged');
}

const changed = (what: string): StoreFailure => storeFailure('changed', `${what} has changed since it was read`);
