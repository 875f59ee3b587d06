import { accessSync, constants, existsSync } from 'node:fs';
import { broken, type Verdict } from '../verdict.ts';
import { verdictOn, type StoredLog, type Trust } from '../verification.ts';
import type { Problem } from '../../runtime/problem.ts';
import { failureOfSqlite, isStoreFailure } from '../../sqlite/store-failure.ts';
import { indexProblem } from './index-check.ts';
import { LogReader } from './log-reader.ts';
import { segmentsIn } from './segment-files.ts';
import { storedLogOf } from './stored-log.ts';

/** The verdict on a folder's log, with the origin it claims. */
export interface FolderVerdict {
  /** Empty where the origin cannot be read. */
  readonly origin: string;
  readonly verdict: Verdict;
}

/**
 * Verifies the log in a folder: its records, then its files, whose index must match. Anything in the files results in a
 * verdict; only a file that may not be read, or is locked, is a problem.
 *
 * @param trustOf returns the verifier's key and anchors for an origin; without a key there is no verdict
 * @param onRecord called before each record
 * @returns `null` where the folder contains no log
 */
export function folderVerdict(
  folder: string,
  trustOf: (origin: string) => { readonly key: Trust['key'] | undefined; readonly anchors: Trust['anchors'] },
  onRecord: (seq: number) => void,
): FolderVerdict | Problem | null {
  const unreadable = accessProblem(folder);
  if (unreadable !== null) return unreadable;
  let log: LogReader | null = null;
  try {
    const opened = LogReader.open(folder);
    if (opened === null) return null;
    if (isStoreFailure(opened)) {
      const isUnread = opened.code === 'busy' || opened.code === 'later';
      return isUnread ? { problem: opened.detail } : lost(opened.detail);
    }
    log = opened;
    const { key, anchors } = trustOf(log.origin);
    if (key === undefined) return { problem: 'a key is required' };
    const verdict = verdictOn(told(storedLogOf(log), onRecord), { key, anchors });
    return { origin: log.origin, verdict: verdict.kind === 'broken' ? verdict : (damageOf(log) ?? verdict) };
  } catch (error) {
    const failure = failureOfSqlite(error);
    if (failure?.code === 'busy') return { problem: failure.detail };
    // Hostile files can make the reader fail in any way; that is a verdict, not a bug.
    return lost(failure?.detail ?? `the files are not those of a ledger: ${String(error)}`, log?.origin);
  } finally {
    log?.close();
  }
}

const lost = (detail: string, origin = ''): FolderVerdict => ({ origin, verdict: broken('log', null, detail) });

const told = (log: StoredLog, onRecord: (seq: number) => void): StoredLog => ({
  ...log,
  *entries() {
    for (const entry of log.entries()) {
      if ('seq' in entry) onRecord(entry.seq);
      yield entry;
    }
  },
});

function damageOf({ segments }: LogReader): Verdict | null {
  for (const [index, segment] of segments.entries()) {
    const damage = segment.damage() ?? indexProblem(segment, { isFollowed: index < segments.length - 1 });
    if (damage !== null) return broken('log', null, `\`${segment.path}\` is damaged: ${damage}`);
  }
  return null;
}

function accessProblem(folder: string): Problem | null {
  try {
    accessSync(folder, constants.R_OK | constants.X_OK);
    for (const { path } of segmentsIn(folder)) {
      accessSync(path, constants.R_OK);
      // SQLite needs the shared-memory file of a WAL, or creates one.
      if (existsSync(`${path}-wal`) && !existsSync(`${path}-shm`)) accessSync(folder, constants.W_OK);
    }
    return null;
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);
    if (code === 'ENOENT') return null;
    const hint = code === 'EROFS' ? ': put the copy of a ledger in use where it can be written' : '';
    return { problem: `the ledger \`${folder}\` cannot be read: ${code}${hint}` };
  }
}
