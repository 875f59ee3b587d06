import { closeSync, existsSync, fsyncSync, lstatSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { PRIVATE_MODE, privateFileProblem } from '../runtime/private-file.ts';
import { isBlank, versionFailure, versionIn } from './file-format.ts';
import type { FileFormat } from './file-format.ts';
import { scalar } from './scalar.ts';
import { sqliteVersionProblem } from './sqlite-version.ts';
import { failureOfSqlite, isStoreFailure, storeFailure } from './store-failure.ts';
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

/** How a file is opened. */
export type OpenOptions = {
  readonly format: FileFormat;
  /** The file's largest size; a write beyond it fails as on a full disk. */
  readonly maxBytes: number;
} & (
  | {
      /**
       * `read` is for a file of this host; `look` also for a copy, whose mode is its owner's affair and whose schema is not
       * believed. A look at a file that nobody has open leaves nothing beside it, so that its folder need not be writable; one
       * whose tables are not made yet is an empty database.
       */
      readonly access: 'read' | 'look';
    }
  | {
      /** `create` makes the file where there is none; `write` and `read` need it to be there. */
      readonly access: 'create' | 'write';
      /** Makes the tables of an empty file and sets both marks, within a transaction. */
      readonly create: (db: DatabaseSync) => void;
      /**
       * Whether the whole file is checked first, which takes time in proportion to its size; asked of a file of this schema.
       * Default: always.
       */
      readonly isCheckDue?: (db: DatabaseSync) => boolean;
    }
);

/** Opens a file that is private, of this schema and, where a check is due, sound; a failure leaves nothing open. */
export function openSqlite(path: string, options: OpenOptions): DatabaseSync | StoreFailure {
  const unfit = prepareFile(path, options);
  if (unfit !== null) return unfit;
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(locationOf(path, options), { readOnly: isReading(options), allowExtension: false });
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    db.enableDefensive(true);
    if (options.access === 'look') db.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON');
    const problem = problemOf(db, path, options) ?? (isReading(options) ? null : syncFolder(path, options.format));
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

/** Who writes a file has a log of SQLite beside it; without one the file is all there is, and needs no memory shared with anybody. */
function locationOf(path: string, { access }: OpenOptions): string | URL {
  if (access !== 'look' || existsSync(`${path}-wal`)) return path;
  const url = pathToFileURL(path);
  url.searchParams.set('immutable', '1');
  return url;
}

/** Makes the file with its mode before SQLite sees it, since `-wal` and `-shm` take theirs from it. */
function prepareFile(path: string, { access, format: { name } }: OpenOptions): StoreFailure | null {
  if (path === '' || path.includes('\0')) return storeFailure('refused', `the path of the ${name} is not a path`);
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

const systemCode = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);

const openFailure = (path: string, { name }: FileFormat, error: unknown): StoreFailure => {
  const failure = failureOfSqlite(error);
  if (failure === null) throw error;
  return storeFailure(
    failure.code === 'broken' ? 'unusable' : failure.code,
    `${name} \`${path}\` cannot be opened: ${failure.detail}`,
  );
};

function problemOf(db: DatabaseSync, path: string, options: OpenOptions): StoreFailure | null {
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
  // Before the first page is written: of a file that has one it cannot be changed.
  if (isEmpty && options.format.isShrinking === true) db.exec('PRAGMA auto_vacuum = INCREMENTAL');
  db.exec(WRITER_PRAGMAS);
  const pageBytes = Number(scalar(db, 'PRAGMA page_size'));
  db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(options.maxBytes / pageBytes))}`);
  if (scalar(db, 'PRAGMA user_version') === 0) createSchema(db, options.create);
  return durabilityProblem(db, path, options.format);
}

/** An empty file is fit to become ours; any other must carry our mark and a version that this build knows. */
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

/** Reads back what was set: a pragma that does not take hold says nothing. */
function durabilityProblem(db: DatabaseSync, path: string, { name }: FileFormat): StoreFailure | null {
  const isDurable = scalar(db, 'PRAGMA journal_mode') === 'wal' && scalar(db, 'PRAGMA synchronous') === 2;
  return isDurable
    ? null
    : storeFailure('unusable', `${name} \`${path}\` cannot be used with a synced write-ahead log on this file system`);
}
