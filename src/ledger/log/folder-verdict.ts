import { accessSync, constants, existsSync } from 'node:fs';
import { broken, type Verdict } from '../verdict.ts';
import { verdictOn, type StoredLog, type Trust } from '../verification.ts';
import type { Problem } from '../../token/members.ts';
import { failureOfSqlite, isStoreFailure } from '../../sqlite/store-failure.ts';
import { indexProblem } from './index-check.ts';
import { LogReader } from './log-reader.ts';
import { segmentsIn } from './segment-files.ts';
import { storedLogOf } from './stored-log.ts';

/** What a folder's log says it is, and what it is worth. */
export interface FolderVerdict {
  /** Empty where not even that can be read. */
  readonly origin: string;
  readonly verdict: Verdict;
}

/**
 * The verdict on the log of a folder: on its records, then on the files, whose index must find what is there. Whatever the
 * files hold gives a verdict; only one that may not be read, or is locked, is a problem.
 *
 * @param trustOf what the verifier brings for the log of an origin; without a key none is given
 * @param onRecord called before each record
 * @returns `null` where the folder holds no log
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
    // What whoever wrote the files can bring about is no bug of the reader, whichever way it fails.
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
      // SQLite reads a log of its own with the memory file that belongs to it, or makes one.
      if (existsSync(`${path}-wal`) && !existsSync(`${path}-shm`)) accessSync(folder, constants.W_OK);
    }
    return null;
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);
    if (code === 'ENOENT') return null;
    const hint = code === 'EROFS' ? ': a copy of a ledger in use is read where it can be written' : '';
    return { problem: `the ledger \`${folder}\` cannot be read: ${code}${hint}` };
  }
}
