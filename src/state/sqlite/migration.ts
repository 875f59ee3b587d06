import { closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { isBlank, versionIn } from '../../sqlite/file-format.ts';
import type { FileFormat, SchemaStep } from '../../sqlite/file-format.ts';
import { PRIVATE_MODE } from '../../runtime/private-file.ts';
import { scalar } from '../../sqlite/scalar.ts';
import { openSqlite } from '../../sqlite/sqlite-file.ts';
import { failureOfSqlite, isStoreFailure, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { synced } from '../../runtime/synced.ts';

/** What a migration did. */
export interface Migrated {
  readonly from: number;
  readonly to: number;
  /** The file as it was before, mode 0600; `null` where none was asked for. */
  readonly copy: string | null;
}

/** No bound of its own: a step needs little room, and an operator's bound is one on what is written while serving. */
const MAX_BYTES = 64 * 1024 ** 3;

/**
 * The older version of a file that this build would bring up to date; `null` where it is up to date, or there is none yet. A failure
 * where it is of a version that this build has no way from, or is not ours. It touches nothing.
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
 * Brings a file up to date, step by step: each is one transaction, so that a process that is killed leaves the version before a step
 * or the one after it, and the next start goes on. The whole file is checked, and with `keepsCopy` a copy of it is on disk beside it
 * (`.schema-N`) before the first step. `null` where nothing is to be done. INVARIANT: the caller holds the file for itself (`lockState`).
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
    const cause = failureOfSqlite(error)?.detail ?? codeOf(error);
    return storeFailure(
      'unusable',
      `${format.name} \`${path}\` could not be brought from schema version ${from} to ${format.version}, and no step is half done: ${cause}; it takes room for a copy of the file beside it`,
    );
  } finally {
    db.close();
  }
}

function take(db: DatabaseSync, { from, run }: SchemaStep): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    if (scalar(db, 'PRAGMA user_version') !== from) throw new Error(`a step from version ${from} met another one`);
    run(db);
    db.exec(`PRAGMA user_version = ${from + 1}; COMMIT`);
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** Copies the file at one instant, on disk under its name when this returns, or not there. */
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

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);
