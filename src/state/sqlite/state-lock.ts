import { lockFile } from '../../sqlite/file-lock.ts';
import type { FileLock } from '../../sqlite/file-lock.ts';
import { failureOfSqlite, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';

/** Whether one process serves with a state file, or several do. */
export type StateAccess = 'exclusive' | 'shared';

const refusals: Readonly<Record<StateAccess, (path: string) => string>> = {
  exclusive: (path) =>
    `another process serves with the state file \`${path}\`: to run several, give each of them \`stateAccess: shared\`, and its own \`extAuthz.listen\`, \`admin.listen\` and \`ledger.folder\``,
  shared: (path) =>
    `another process holds the state file \`${path}\` exclusively: give that one \`stateAccess: shared\` too, and restart it`,
};

/**
 * Locks a state file for a process that serves with it, until the lock is released or the process ends. Locks of kind `shared` coexist; an
 * `exclusive` one does not. `busy` where the lock is taken. Commands that write the file briefly take no lock: what they write is valid for
 * all processes.
 */
export function lockState(path: string, access: StateAccess): FileLock | StoreFailure {
  return locked(path, { name: 'lock', kind: access }) ?? storeFailure('busy', refusals[access](path));
}

/**
 * Takes the lock of the process that relays the outbox of a state file, until it is released or the process ends. `busy` where another
 * process has it. While no process has it, records wait in the file and none is lost.
 */
export function lockOutbox(path: string): FileLock | StoreFailure {
  const lock = locked(path, { name: 'outbox-lock', kind: 'exclusive' });
  return lock ?? storeFailure('busy', `another process relays the records of \`${path}\``);
}

/** Locks a file beside the state file; `null` where another process has the lock. */
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
