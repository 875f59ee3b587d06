import { closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { isBlank, versionIn } from '../../../core/sqlite/file-format.ts';
import type { FileFormat, SchemaStep } from '../../../core/sqlite/file-format.ts';
import { PRIVATE_MODE } from '../../../core/runtime/system/private-file.ts';
import { scalar } from '../../../core/sqlite/scalar.ts';
import { openSqlite } from '../../../core/sqlite/sqlite-file.ts';
import { failureOfSqlite } from '../../../core/sqlite/sqlite-failure.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { synced } from '../../../core/runtime/system/synced.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';

/** Result of a migration. */
export interface Migrated {
  readonly from: number;
  readonly to: number;
  /** Path of a copy of the file before the migration, mode 0600; `null` if none was requested. */
  readonly copy: string | null;
}

/** A step needs little room. The operator's own bound applies to writes while serving. */
const MAX_BYTES = 64 * 1024 ** 3;

/**
 * The older version of a file that this build would migrate; `null` if it is up to date or does not exist. A failure if the version has no
 * migration in this build, or the file is not ours. It changes nothing.
 */
export function pendingVersion(path: string, format: FileFormat): number | null | StoreFailure {
  if (!existsSync(path)) return null;
  const older = (format.steps ?? []).map(({ from }) => from);
  const db = openSqlite(path, { format: { ...format, alsoRead: older }, access: 'look', maxBytes: MAX_BYTES });
  if (isStoreFailure(db)) return db;
  try {
    if (isBlank(db)) return null;
    const version = versionIn(db, path, format);
    return version === format.version ? null : version;
  } finally {
    db.close();
  }
}

/**
 * Migrates a file, step by step. Each step is a transaction, so a process that is killed leaves the version before or after a step, and
 * the next start continues. The whole file is checked for damage first. With `keepsCopy` a copy of it is on disk beside it (`.schema-N`)
 * before the first step. `null` if there is nothing to do. INVARIANT: the caller holds the file exclusively (`lockState`).
 */
export function migrateFile(
  path: string,
  format: FileFormat,
  { keepsCopy }: { readonly keepsCopy: boolean },
): Migrated | null | StoreFailure {
  const from = pendingVersion(path, format);
  if (from === null || isStoreFailure(from)) return from;
  const db = openSqlite(path, {
    format: { ...format, version: from },
    access: 'write',
    maxBytes: MAX_BYTES,
    create: () => undefined,
  });
  if (isStoreFailure(db)) return db;
  const copy = keepsCopy ? `${path}.schema-${from}` : null;
  try {
    if (copy !== null) keepCopy(db, copy);
    for (const step of (format.steps ?? []).filter((each) => each.from >= from)) take(db, step);
    return { from, to: format.version, copy };
  } catch (error) {
    const cause = failureOfSqlite(error)?.detail ?? errorCode(error) ?? String(error);
    return storeFailure(
      'unusable',
      `${format.name} \`${path}\` could not be migrated from schema version ${from} to ${format.version}; no step is half done: ${cause}; it needs disk space for a copy of the file beside it`,
    );
  } finally {
    db.close();
  }
}

function take(db: DatabaseSync, { from, run }: SchemaStep): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    if (scalar(db, 'PRAGMA user_version') !== from)
      throw new Error(`a step from schema version ${from} found another version`);
    run(db);
    db.exec(`PRAGMA user_version = ${from + 1}; COMMIT`);
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** Copies the file as of an instant. When this returns, the copy is on disk under its name; if it throws, there is none. */
function keepCopy(db: DatabaseSync, copy: string): void {
  const fresh = `${copy}.new`;
  rmSync(fresh, { force: true });
  closeSync(openSync(fresh, 'wx', PRIVATE_MODE));
  try {
    db.prepare('VACUUM INTO ?').run(fresh);
    synced(fresh);
    renameSync(fresh, copy);
    synced(dirname(copy));
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}
