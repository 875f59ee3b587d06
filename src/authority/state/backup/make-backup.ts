import { copyFileSync, chmodSync, constants, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { copyDatabase } from '../../../core/sqlite/database-copy.ts';
import { closedSegment } from '../../../core/ledger/log/segment/closed-segment.ts';
import { LogReader } from '../../../core/ledger/log/log-reader.ts';
import { segmentPath } from '../../../core/ledger/log/segment/segment-files.ts';
import { PRIVATE_MODE } from '../../../core/runtime/system/private-file.ts';
import { scalar } from '../../../core/sqlite/scalar.ts';
import { stateFormat } from '../sqlite/schema.ts';
import { openSqlite } from '../../../core/sqlite/sqlite-file.ts';
import { failureOfSqlite } from '../../../core/sqlite/sqlite-failure.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { synced } from '../../../core/runtime/system/synced.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { writeManifest } from './manifest.ts';
import type { BackedUpLedger, Manifest } from './manifest.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';

/** Paths of what is backed up. */
export interface BackupPlaces {
  readonly state: string;
  /** Folders. A missing folder is skipped. */
  readonly ledgers: readonly string[];
  /** Files and folders of keys, each with its configuration key, such as `ledger.key`. A missing path is skipped. */
  readonly keys: readonly { readonly of: string; readonly path: string }[];
}

/** Options of a backup. */
export interface BackupOptions {
  readonly nowMs: () => number;
  /** Version of this build. */
  readonly version: string;
  /** Receives the path of the file being copied and the number of bytes copied. */
  readonly onProgress: (path: string, bytes: number) => void;
}

const MAX_BYTES = 64 * 1024 ** 3;

/**
 * Makes a backup in a new folder while other processes serve. The state file is copied first, at an instant, then each ledger, so that a
 * record which had left the state file by then is in a ledger. Files have mode 0600 and are on disk when the promise resolves. The manifest
 * is written last. A failed backup is removed.
 */
export async function makeBackup(
  to: string,
  places: BackupPlaces,
  options: BackupOptions,
): Promise<Manifest | Problem> {
  try {
    mkdirSync(to, { mode: 0o700 });
  } catch (error) {
    const isThere = errorCode(error) === 'EEXIST';
    return {
      problem: isThere
        ? `\`${to}\` already exists: give a new folder for the backup`
        : `\`${to}\` cannot be created: ${errorCode(error) ?? String(error)}`,
    };
  }
  const made = await filled(to, places, options).catch((error: unknown) => backupProblem(error));
  if (isProblem(made)) rmSync(to, { recursive: true, force: true });
  return made;
}

async function filled(
  to: string,
  { state, ledgers, keys }: BackupPlaces,
  options: BackupOptions,
): Promise<Manifest | Problem> {
  const madeAtMs = options.nowMs();
  const unfit = await copyState(state, join(to, STATE), options);
  if (unfit !== null) return { problem: unfit.detail };
  const names = [STATE];
  const kept: BackedUpLedger[] = [];
  for (const from of ledgers) {
    const copied = await copyLedger(from, {
      to,
      folder: kept.length === 0 ? 'ledger' : `ledger-${kept.length + 1}`,
      options,
    });
    if (copied === null) continue;
    if (isStoreFailure(copied)) return { problem: copied.detail };
    kept.push(copied.ledger);
    names.push(...copied.names);
  }
  const keyed = keys.filter(({ path }) => existsSync(path)).map((key) => copyKey(key, to));
  names.push(...keyed.flatMap((key) => key.names));
  return writeManifest(to, names, {
    remit: options.version,
    madeAtMs,
    state: STATE,
    ledgers: kept,
    keys: keyed.map(({ of, place }) => ({ of, place })),
  });
}

const STATE = 'state.db';

/** Copies the state file and checks the whole copy for damage. */
async function copyState(from: string, to: string, { onProgress }: BackupOptions): Promise<StoreFailure | null> {
  const db = openSqlite(from, { format: stateFormat, access: 'read', maxBytes: MAX_BYTES });
  if (isStoreFailure(db)) return db;
  try {
    await copyDatabase(db, to, (bytes) => onProgress(from, bytes));
  } finally {
    db.close();
  }
  const copy = openSqlite(to, { format: stateFormat, access: 'look', maxBytes: MAX_BYTES });
  if (isStoreFailure(copy)) return copy;
  try {
    const damage = scalar(copy, 'PRAGMA quick_check(1)');
    return damage === 'ok' ? null : storeFailure('unusable', `state file \`${from}\` is damaged: ${String(damage)}`);
  } finally {
    copy.close();
  }
}

/** Copies the segments of a ledger and the policy texts beside them. `null` if the folder holds no ledger. */
async function copyLedger(
  from: string,
  {
    to,
    folder,
    options: { onProgress },
  }: { readonly to: string; readonly folder: string; readonly options: BackupOptions },
): Promise<{ readonly ledger: BackedUpLedger; readonly names: readonly string[] } | StoreFailure | null> {
  const log = LogReader.open(from);
  if (log === null || isStoreFailure(log)) return log;
  try {
    const target = join(to, folder);
    mkdirSync(target, { mode: 0o700 });
    const names: string[] = [];
    let size = 0;
    for (const segment of log.segments) {
      const path = segmentPath(target, segment.carried.range.size);
      await segment.copyTo(path, (bytes) => onProgress(segment.path, bytes));
      names.push(join(folder, basename(path)));
      const end = closedSegment(path, (copy) => copy.state().range.size);
      if (isStoreFailure(end)) return end;
      size = end;
    }
    names.push(...copyFiles(join(from, POLICIES), to, join(folder, POLICIES)));
    synced(target);
    return { ledger: { folder, from, origin: log.origin, size }, names };
  } finally {
    log.close();
  }
}

/** Folder beside a ledger that holds the texts of policy sets. */
const POLICIES = 'policies';

/** Copies a file, or the files of a folder, into `keys/` of the backup. */
function copyKey(
  { of, path }: BackupPlaces['keys'][number],
  to: string,
): { readonly of: string; readonly place: string; readonly names: readonly string[] } {
  mkdirSync(join(to, 'keys'), { recursive: true, mode: 0o700 });
  const place = join('keys', of);
  if (statSync(path).isDirectory()) return { of, place, names: copyFiles(path, to, place) };
  copyPrivate(path, join(to, place));
  synced(join(to, 'keys'));
  return { of, place, names: [place] };
}

/** Copies the files of a folder, if it exists, and returns their names within the backup. */
function copyFiles(from: string, to: string, folder: string): readonly string[] {
  if (!existsSync(from)) return [];
  mkdirSync(join(to, folder), { mode: 0o700 });
  const names = readdirSync(from, { withFileTypes: true })
    // Skips files that are not ours, and temporary files that are being written.
    .filter((entry) => entry.isFile() && /^\w[\w.-]*$/.test(entry.name) && !entry.name.endsWith('.new'))
    .map(({ name }) => name);
  for (const name of names) copyPrivate(join(from, name), join(to, folder, name));
  synced(join(to, folder));
  return names.map((name) => join(folder, name));
}

/** Copies a file into a new file that only its owner may read. The source may be replaced but never changes in place. */
function copyPrivate(from: string, to: string): void {
  copyFileSync(from, to, constants.COPYFILE_EXCL);
  chmodSync(to, PRIVATE_MODE);
  synced(to);
}

function backupProblem(error: unknown): Problem {
  const failure = failureOfSqlite(error);
  return {
    problem: failure === null ? `it cannot be written or read: ${errorCode(error) ?? String(error)}` : failure.detail,
  };
}
