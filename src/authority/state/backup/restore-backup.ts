import { chmodSync, constants, copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { base64Of } from '../../../core/ledger/proof/base64.ts';
import { rootOf } from '../../../core/ledger/proof/merkle.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { readLog } from '../../../core/ledger/log/log-reader.ts';
import type { LogReader } from '../../../core/ledger/log/log-reader.ts';
import { filesOf } from '../../../core/ledger/log/segment/segment-files.ts';
import { PRIVATE_MODE } from '../../../core/runtime/system/private-file.ts';
import { lockState } from '../sqlite/state-lock.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { synced } from '../../../core/runtime/system/synced.ts';
import { fileSha256 } from './manifest.ts';
import type { BackedUpFile } from './manifest.ts';
import { backupAt, movesOf, takenProblem } from './restore-plan.ts';
import type { Backup, Move, Moves, RestorePlaces } from './restore-plan.ts';
import type { RestoredOrders } from '../../../core/state/restored-orders.ts';
import { restoreState } from './restored-state.ts';
import type { RestoreFacts } from './restored-state.ts';

/** Options of a restore. */
export type RestoreOptions = Pick<RestoreFacts, 'clocks' | 'randomBytes' | 'by'> & {
  /** Receives the name of the backup file being copied and the number of bytes copied. */
  readonly onProgress: (name: string, bytes: number) => void;
};

/** Result of a restore. */
export interface Restored extends RestoredOrders {
  readonly state: string;
  /** Number of open tasks that were ended. */
  readonly ended: number;
  /** New paths of the backed-up ledgers. They can be read but not continued. */
  readonly ledgers: readonly string[];
  /** Paths of the restored keys. */
  readonly keys: readonly string[];
}

/**
 * Restores a backup: a folder made by `makeBackup`, or a copy of a state file alone. It overwrites nothing. `restoreState` ends every open
 * task in the restored state file, so that no task comes back to life.
 *
 * Each ledger gets a new path beside the ledger folder and is not continued: checkpoints signed after the backup would contradict it. A new
 * ledger begins, and its restore record names the ends of the old ledgers.
 *
 * Everything is copied and checked first and then moved into place, the state file last. So a restore that is killed leaves no state file
 * and can be run again.
 */
export async function restoreBackup(
  from: string,
  places: RestorePlaces,
  options: RestoreOptions,
): Promise<Restored | Problem> {
  const backup = backupAt(from);
  if (isProblem(backup)) return { problem: `\`${from}\` ${backup.problem}` };
  const moves = movesOf(backup, places);
  const taken = takenProblem(moves, places);
  if (taken !== null) return { problem: taken };
  try {
    mkdirSync(dirname(places.state), { recursive: true, mode: 0o700 });
    const lock = lockState(places.state);
    if (isStoreFailure(lock)) return { problem: lock.detail };
    try {
      for (const { fresh } of moves.all) removed(fresh);
      return await putBack(backup, { places, moves, options });
    } finally {
      for (const { fresh } of moves.all) removed(fresh);
      lock.release();
    }
  } catch (error) {
    const at = systemErrorOf(error);
    if (at === null) throw error;
    return { problem: `\`${at.path ?? from}\` cannot be read or written: ${at.code}` };
  }
}

interface Work {
  readonly places: RestorePlaces;
  readonly moves: Moves;
  readonly options: RestoreOptions;
}

async function putBack({ folder, manifest }: Backup, { places, moves, options }: Work): Promise<Restored | Problem> {
  const { state } = moves;
  for (const file of filesFor(manifest, moves)) {
    const problem = await copied(file, {
      folder,
      moves: [...moves.ledgers, ...moves.keys, { ...state, folder: manifest.state }],
      options,
    });
    if (problem !== null) return problem;
  }
  const ledgers = places.isStateOnly ? [places.ledger, ...places.others] : moves.ledgers.map(({ fresh }) => fresh);
  const heads: LedgerHead[] = [];
  for (const ledger of places.isStateOnly ? [] : ledgers) {
    const head = headOf(ledger);
    if (isStoreFailure(head)) return { problem: head.detail };
    heads.push(head);
  }
  const restored = restoreState(state.fresh, {
    ...options,
    takenOf: (fileId) => takenIn(ledgers, fileId),
    details: {
      backupMadeAt: manifest.madeAtMs ?? null,
      backupMadeBy: manifest.remit ?? null,
      ledgers: heads,
    },
  });
  if (isStoreFailure(restored))
    return { problem: restored.detail.replaceAll(state.fresh, join(folder, manifest.state)) };
  // INVARIANT: the ends are in the file that is moved. SQLite closes without an error if it could not merge them.
  if (existsSync(`${state.fresh}-wal`))
    return {
      problem: `the ends of tasks could not be written into \`${state.fresh}\`: another process has it open, or the disk is full. Nothing was restored: run it again`,
    };
  for (const { fresh, place } of moves.all) {
    renameSync(fresh, place);
    synced(dirname(place));
  }
  return {
    state: state.place,
    ended: restored.ended,
    stops: restored.stops,
    stopsUntilMs: restored.stopsUntilMs,
    ledgers: moves.ledgers.map(({ place }) => place),
    keys: moves.keys.map(({ place }) => place),
  };
}

/** The files to copy. A state file without a manifest has no known digest. */
const filesFor = ({ state, files }: Backup['manifest'], { ledgers, keys }: Moves): readonly Partial<BackedUpFile>[] =>
  files.length === 0
    ? [{ name: state }]
    : files.filter(({ name }) => name === state || [...ledgers, ...keys].some((move) => isIn(name, move.folder)));

const isIn = (name: string, folder: string): boolean => name === folder || name.startsWith(`${folder}/`);

/** Copies a file and checks the digest of the copy, not of the source. */
async function copied(
  { name = '', bytes, sha256 }: Partial<BackedUpFile>,
  {
    folder,
    moves,
    options,
  }: {
    readonly folder: string;
    readonly moves: readonly (Move & { readonly folder: string })[];
    readonly options: RestoreOptions;
  },
): Promise<Problem | null> {
  const move = moves.find((each) => isIn(name, each.folder));
  if (move === undefined) return null;
  const to = `${move.fresh}${name.slice(move.folder.length)}`;
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  options.onProgress(name, bytes ?? 0);
  copyFileSync(join(folder, name), to, constants.COPYFILE_EXCL);
  chmodSync(to, PRIVATE_MODE);
  synced(to);
  synced(dirname(to));
  const isSame = sha256 === undefined || (await fileSha256(to)) === sha256;
  return isSame
    ? null
    : { problem: `\`${join(folder, name)}\` has changed since the backup: its digest differs from the manifest` };
}

/** Origin, size and root of a backed-up ledger, for the record of the restore. */
type LedgerHead = { readonly [name: string]: string | number };

const headOf = (ledger: string): LedgerHead | StoreFailure => {
  const head = readLog(ledger, (log) => {
    const range = log.segments.at(-1)?.state().range;
    return { origin: log.origin, size: range?.size ?? 0, root: base64Of(rootOf(range?.nodes ?? [])) };
  });
  return head ?? storeFailure('unusable', `no ledger in \`${ledger}\``);
};

function takenIn(ledgers: readonly string[], fileId: string): number | StoreFailure {
  let taken = 0;
  for (const ledger of ledgers) {
    const of = readLog(ledger, (log: LogReader) => log.takenOf(fileId));
    if (isStoreFailure(of)) return of;
    taken = Math.max(taken, of ?? 0);
  }
  return taken;
}

const removed = (path: string): void => {
  for (const file of filesOf(path)) rmSync(file, { recursive: true, force: true });
};

/** The code and path of a system error; `null` for a bug. */
const systemErrorOf = (error: unknown): { readonly code: string; readonly path: string | null } | null =>
  typeof error === 'object' && error !== null && 'code' in error
    ? {
        code: String(error.code),
        path: 'path' in error && typeof error.path === 'string' ? error.path : null,
      }
    : null;
