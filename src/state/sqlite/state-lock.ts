import { lockFile } from '../../sqlite/file-lock.ts';
import type { FileLock } from '../../sqlite/file-lock.ts';
import { failureOfSqlite, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';

/** Whether one process serves with a state file, or several do. */
export type StateAccess = 'exclusive' | 'shared';

const refusals: Readonly<Record<StateAccess, (path: string) => string>> = {
  exclusive: (path) =>
    `another process serves with the state file \`${path}\`: where several are to, give each of them \`stateAccess: shared\`, and an \`extAuthz.listen\`, \`admin.listen\` and \`ledger.folder\` of its own`,
  shared: (path) =>
    `another process has the state file \`${path}\` for itself: give that one \`stateAccess: shared\` too, and start it anew`,
};

/**
 * Takes a place among the processes that serve with a state file, until it is released or the process ends, however it ends:
 * those that share stand beside each other, one that does not stands alone. `busy` where that cannot be. Commands that write
 * the file for a moment take no place: what they write holds for all.
 */
export function lockState(path: string, access: StateAccess): FileLock | StoreFailure {
  return locked(path, { name: 'lock', kind: access }) ?? storeFailure('busy', refusals[access](path));
}

/**
 * Takes the one place from which the outbox of a state file is handed on, until it is released or the process ends, however it
 * ends; `busy` where another process has it. While nobody has it records wait in the file, and none is lost.
 */
export function lockOutbox(path: string): FileLock | StoreFailure {
  const lock = locked(path, { name: 'outbox-lock', kind: 'exclusive' });
  return lock ?? storeFailure('busy', `another process hands on the records of \`${path}\``);
}

/** The lock in a file beside the state file; `null` where another process has it. */
function locked(
  path: string,
  { name, kind }: { readonly name: string; readonly kind: StateAccess },
): FileLock | StoreFailure | null {
  try {
    return lockFile(`${path}.${name}`, kind);
  } catch (error) {
    const cause = failureOfSqlite(error)?.detail ?? codeOf(error);
    return storeFailure('unusable', `state file \`${path}\` cannot be locked by \`${path}.${name}\`: ${cause}`);
  }
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';
