import { closeSync, fsyncSync, lstatSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PRIVATE_MODE, privateFileProblem } from './private-file.ts';
import { APPLICATION_ID, DIGEST_KEY_BYTES, SCHEMA, SCHEMA_VERSION } from './schema.ts';
import { sqliteVersionProblem } from './sqlite-version.ts';
import { failureOfSqlite, storeFailure } from './store-failure.ts';
import type { StoreFailure } from './store-failure.ts';

/** How long a statement waits for another process's transaction. It stops the event loop, so it is short. */
const BUSY_TIMEOUT_MS = 1_000;

/** What a write may cost is fixed here: every commit is synced, and SQL cannot harm the file. */
const WRITER_PRAGMAS = [
  'PRAGMA journal_mode = WAL',
  'PRAGMA synchronous = FULL',
  'PRAGMA foreign_keys = ON',
  'PRAGMA trusted_schema = OFF',
  'PRAGMA cell_size_check = ON',
].join(';');

/** How a state file is opened. */
export type OpenOptions = {
  /** The file's largest size; a write beyond it fails as on a full disk. */
  readonly maxBytes: number;
} & (
  | { readonly access: 'read' }
  | {
      /** `create` makes the file where there is none; `write` and `read` need it to be there. */
      readonly access: 'create' | 'write';
      /** Cryptographically strong, for the key of a file that is empty. */
      readonly randomBytes: (length: number) => Uint8Array;
    }
);

/** Opens a state file and proves that it is sound, private and of this schema; a failure leaves nothing open. */
export function openSqlite(path: string, options: OpenOptions): DatabaseSync | StoreFailure {
  const unfit = prepareFile(path, options.access);
  if (unfit !== null) return unfit;
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { readOnly: options.access === 'read', allowExtension: false });
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    db.enableDefensive(true);
    const problem = problemOf(db, path, options) ?? (options.access === 'read' ? null : syncFolder(path));
    if (problem === null) return db;
    db.close();
    return problem;
  } catch (error) {
    if (db?.isOpen === true) db.close();
    return openFailure(path, error);
  }
}

/** Makes the file with its mode before SQLite sees it, since `-wal` and `-shm` take theirs from it. */
function prepareFile(path: string, access: OpenOptions['access']): StoreFailure | null {
  if (path === '' || path.includes('\0')) return storeFailure('refused', 'the path of the state file is not a path');
  try {
    if (access === 'create') createFile(path);
    const problem = privateFileProblem(path, lstatSync(path));
    return problem === null ? null : storeFailure('unusable', `state file ${problem}`);
  } catch (error) {
    return storeFailure('unusable', `state file \`${path}\` cannot be opened: ${systemCode(error)}`);
  }
}

/** INVARIANT: an existing file is never opened here, since closing it would drop the locks SQLite holds in this process. */
function createFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_MODE));
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
}

/**
 * Puts the names of the file and of its log on disk. SQLite does that too, but says nothing where it fails, and what is
 * acknowledged later would be gone with the name.
 */
function syncFolder(path: string): StoreFailure | null {
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
    return null;
  } catch (error) {
    return storeFailure('unusable', `the folder of state file \`${path}\` cannot be synced: ${systemCode(error)}`);
  } finally {
    closeSync(folder);
  }
}

const systemCode = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);

const openFailure = (path: string, error: unknown): StoreFailure => {
  const failure = failureOfSqlite(error);
  if (failure === null) throw error;
  return storeFailure(
    failure.code === 'broken' ? 'unusable' : failure.code,
    `state file \`${path}\` cannot be opened: ${failure.detail}`,
  );
};

function problemOf(db: DatabaseSync, path: string, options: OpenOptions): StoreFailure | null {
  const version = sqliteVersionProblem(String(scalar(db, 'SELECT sqlite_version()')));
  if (version !== null) return storeFailure('unusable', version);
  const foreign = schemaProblem(db, path, options.access);
  if (foreign !== null) return foreign;
  if (options.access === 'read') return null;
  const damage = scalar(db, 'PRAGMA quick_check(1)');
  if (damage !== 'ok') return storeFailure('unusable', `state file \`${path}\` is damaged: ${String(damage)}`);
  db.exec(WRITER_PRAGMAS);
  const pageBytes = Number(scalar(db, 'PRAGMA page_size'));
  db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(options.maxBytes / pageBytes))}`);
  if (scalar(db, 'PRAGMA user_version') === 0) createSchema(db, options.randomBytes(DIGEST_KEY_BYTES));
  return durabilityProblem(db, path);
}

/** An empty file is fit to become ours; any other must carry our mark and the version of this build. */
function schemaProblem(db: DatabaseSync, path: string, access: OpenOptions['access']): StoreFailure | null {
  const isEmpty = scalar(db, 'SELECT count(*) FROM sqlite_schema') === 0;
  const version = scalar(db, 'PRAGMA user_version');
  if (isEmpty && version === 0 && access !== 'read') return null;
  if (scalar(db, 'PRAGMA application_id') !== APPLICATION_ID) {
    return storeFailure('unusable', `\`${path}\` is not a state file of Remit`);
  }
  if (version === SCHEMA_VERSION) return null;
  const other = Number(version) < SCHEMA_VERSION ? 'an earlier build' : 'a later build';
  return storeFailure(
    'unusable',
    `state file \`${path}\` was written by ${other} of Remit: it has schema version ${String(version)}, this build reads version ${SCHEMA_VERSION} alone`,
  );
}

function createSchema(db: DatabaseSync, digestKey: Uint8Array): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    if (scalar(db, 'PRAGMA user_version') === 0) {
      db.exec(SCHEMA);
      db.prepare('INSERT INTO digest_key VALUES (1, ?)').run(digestKey);
    }
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** Reads back what was set: a pragma that does not take hold says nothing. */
function durabilityProblem(db: DatabaseSync, path: string): StoreFailure | null {
  const isDurable = scalar(db, 'PRAGMA journal_mode') === 'wal' && scalar(db, 'PRAGMA synchronous') === 2;
  return isDurable
    ? null
    : storeFailure(
        'unusable',
        `state file \`${path}\` cannot be used with a synced write-ahead log on this file system`,
      );
}

/** The first column of the first row. */
export const scalar = (db: DatabaseSync, sql: string): unknown => Object.values(db.prepare(sql).get() ?? {})[0];
