import { join } from 'node:path';
import { lockFile } from '../../sqlite/file-lock.ts';
import type { FileLock } from '../../sqlite/file-lock.ts';
import { storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';

/**
 * Locks a log's folder for this process until it is released or the process ends, however it ends. Two writers would fork the
 * log.
 */
export const lockFolder = (folder: string): FileLock | StoreFailure =>
  lockFile(join(folder, 'lock.db')) ?? storeFailure('busy', `the ledger \`${folder}\` is in use by another process`);
