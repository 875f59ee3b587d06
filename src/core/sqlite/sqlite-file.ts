import { closeSync, existsSync, fsyncSync, lstatSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { PRIVATE_MODE, privateFileProblem } from '../runtime/system/private-file.ts';
import { isBlank, versionFailure, versionIn } from './file-format.ts';
import type { FileFormat } from './file-format.ts';
import { scalar } from './scalar.ts';
import { sqliteVersionProblem } from './sqlite-version.ts';
import { failureOfSqlite } from './sqlite-failure.ts';
import { isStoreFailure, storeFailure } from '../runtime/store-failure.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import { errorCode } from '../runtime/system/error-code.ts';

/** How long a statement waits for another process's transaction. The wait blocks the event loop, so it is short. */
const BUSY_TIMEOUT_MS = 1_000;

/** Every commit is synced (`synchronous = FULL`), and SQL cannot harm the file. */
const WRITER_PRAGMAS = [
  'PRAGMA journal_mode = WAL',
  'PRAGMA synchronous = FULL',
  'PRAGMA foreign_keys = ON',
  'PRAGMA trusted_schema = OFF',
  'PRAGMA cell_size_check = ON',
].join(';');

/** How a file is opened. */
export type OpenOptions = {
  readonly format: FileFormat;
  /** Largest size of the file. A write beyond it fails as on a full disk. */
  readonly maxBytes: number;
} & (
  | {
      /**
       * `read` is for a file of this host. `look` is also for copies: their mode is not checked and their schema is not
       * trusted. Looking at a file that no process has open creates no file beside it, so its folder may be read-only. A file
       * without tables looks like an empty database.
       */
      readonly access: 'read' | 'look';
    }
  | {
      /** `create` makes the file if it is missing; `write` and `read` require it. */
      readonly access: 'create' | 'write';
      /** Makes the tables of an empty file and sets `application_id` and version. Runs in a transaction. */
      readonly create: (db: DatabaseSync) => void;
      /**
       * Whether to check the whole file first (`PRAGMA quick_check`), which takes time in proportion to its size. Called only
       * for files of this schema version. Default: always.
       */
      readonly isCheckDue?: (db: DatabaseSync) => boolean;
    }
);

/**
 * Opens a file after checking that it is private, of this schema and, if a check is due, undamaged. A failure leaves nothing
 * open. Throws an error that is not of SQLite, such as that the process has too many open files.
 */
export function openSqlite(path: string, options: OpenOptions): DatabaseSync | StoreFailure {
  const unfit = prepareFile(path, options);
  if (unfit !== null) return unfit;
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(locationOf(path, options), { readOnly: isReading(options), allowExtension: false });
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    db.enableDefensive(true);
    if (options.access === 'look') db.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON');
    const problem = openProblem(db, path, options) ?? (isReading(options) ? null : syncFolder(path, options.format));
    if (problem === null) return db;
    db.close();
    return problem;
  } catch (error) {
    if (db?.isOpen === true) db.close();
    return openFailure(path, options.format, error);
  }
}

const isReading = (options: OpenOptions): options is Extract<OpenOptions, { readonly access: 'read' | 'look' }> =>
  options.access === 'read' || options.access === 'look';

/** A file in use has a WAL beside it. Without a WAL the file is complete and can be opened as immutable, without shared memory. */
function locationOf(path: string, { access }: OpenOptions): string | URL {
  if (access !== 'look' || existsSync(`${path}-wal`)) return path;
  const url = pathToFileURL(path);
  url.searchParams.set('immutable', '1');
  return url;
}

/** Creates the file with its mode before SQLite opens it, because `-wal` and `-shm` inherit that mode. */
function prepareFile(path: string, { access, format: { name } }: OpenOptions): StoreFailure | null {
  if (path === '' || path.includes('\0'))
    return storeFailure('refused', `invalid path of the ${name}: it is empty or contains U+0000`);
  try {
    if (access === 'create') createFile(path);
    const stats = lstatSync(path);
    if (access === 'look' && stats.isFile()) return null;
    const problem = privateFileProblem(path, stats);
    return problem === null ? null : storeFailure('unusable', `${name} ${problem}`);
  } catch (error) {
    return storeFailure('unusable', `${name} \`${path}\` cannot be opened: ${systemCode(error)}`);
  }
}

/** INVARIANT: never opens an existing file: closing it would drop the POSIX locks SQLite holds in this process. */
function createFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_MODE));
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
}

/**
 * Syncs the folder, so that the names of the file and its WAL survive a crash. SQLite does that too but ignores errors, and
 * commits acknowledged later would be lost with the name.
 */
function syncFolder(path: string, { name }: FileFormat): StoreFailure | null {
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
    return null;
  } catch (error) {
    return storeFailure('unusable', `the folder of ${name} \`${path}\` cannot be synced: ${systemCode(error)}`);
  } finally {
    closeSync(folder);
  }
}

const systemCode = (error: unknown): string => errorCode(error) ?? String(error);

const openFailure = (path: string, { name }: FileFormat, error: unknown): StoreFailure => {
  const failure = failureOfSqlite(error);
  if (failure === null) throw error;
  return storeFailure(
    failure.code === 'broken' ? 'unusable' : failure.code,
    `${name} \`${path}\` cannot be opened: ${failure.detail}`,
  );
};

function openProblem(db: DatabaseSync, path: string, options: OpenOptions): StoreFailure | null {
  const version = sqliteVersionProblem(String(scalar(db, 'SELECT sqlite_version()')));
  if (version !== null) return storeFailure('unusable', version);
  const foreign = schemaProblem(db, path, options);
  if (foreign !== null) return foreign;
  if (isReading(options)) return null;
  const isEmpty = scalar(db, 'PRAGMA user_version') === 0;
  const damage = isEmpty || options.isCheckDue?.(db) !== false ? scalar(db, 'PRAGMA quick_check(1)') : 'ok';
  if (damage !== 'ok') {
    return storeFailure('unusable', `${options.format.name} \`${path}\` is damaged: ${String(damage)}`);
  }
  // Must come before the first page is written: it has no effect on a file that has pages.
  if (isEmpty && options.format.isShrinking === true) db.exec('PRAGMA auto_vacuum = INCREMENTAL');
  db.exec(WRITER_PRAGMAS);
  const pageBytes = Number(scalar(db, 'PRAGMA page_size'));
  db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(options.maxBytes / pageBytes))}`);
  if (scalar(db, 'PRAGMA user_version') === 0) createSchema(db, options.create);
  return durabilityProblem(db, path, options.format);
}

/** An empty file may become ours. Any other must have our `application_id` and a version this build knows. */
function schemaProblem(db: DatabaseSync, path: string, { access, format }: OpenOptions): StoreFailure | null {
  if (access !== 'read' && isBlank(db)) return null;
  const version = versionIn(db, path, format);
  if (isStoreFailure(version)) return version;
  const isKnown = version === format.version || (access === 'look' && format.alsoRead?.includes(version) === true);
  return isKnown ? null : versionFailure(version, path, format);
}

function createSchema(db: DatabaseSync, create: (db: DatabaseSync) => void): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    if (scalar(db, 'PRAGMA user_version') === 0) create(db);
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** Reads the pragmas back: SQLite does not report a pragma that had no effect. */
function durabilityProblem(db: DatabaseSync, path: string, { name }: FileFormat): StoreFailure | null {
  const isDurable = scalar(db, 'PRAGMA journal_mode') === 'wal' && scalar(db, 'PRAGMA synchronous') === 2;
  return isDurable
    ? null
    : storeFailure('unusable', `${name} \`${path}\` cannot be used with a synced write-ahead log on this file system`);
}
