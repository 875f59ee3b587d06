import { lockFile } from '../../../core/sqlite/file-lock.ts';
import type { FileLock } from '../../../core/sqlite/file-lock.ts';
import { failureOfSqlite } from '../../../core/sqlite/sqlite-failure.ts';
import { storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';

/**
 * Locks a state file for the process that serves with it, until the lock is released or the process ends. `busy` if another process
 * has it. Commands that write the file briefly take no lock: what they write is valid for the process that serves.
 */
export function lockState(path: string): FileLock | StoreFailure {
  try {
    return (
      lockFile(`${path}.lock`) ??
      storeFailure(
        'busy',
        `another process serves with the state file \`${path}\`: stop it, or make this process a sidecar of it with \`state: authority:unix:/path\``,
      )
    );
  } catch (error) {
    const cause = failureOfSqlite(error)?.detail ?? errorCode(error) ?? 'unknown error';
    return storeFailure('unusable', `state file \`${path}\` cannot be locked by \`${path}.lock\`: ${cause}`);
  }
}
