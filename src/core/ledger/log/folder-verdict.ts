import { accessSync, constants, existsSync } from 'node:fs';
import { leafFrom, type LedgerLeaf } from '../proof/leaf.ts';
import { broken, coveredUpTo, type Sound, type Verdict } from '../proof/verdict.ts';
import { verdictOn, type Trust } from '../proof/verification.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { failureOfSqlite } from '../../sqlite/sqlite-failure.ts';
import { isStoreFailure } from '../../runtime/store-failure.ts';
import { indexProblem } from './segment/index-check.ts';
import { partsProblem } from './segment/index-parts.ts';
import { LogReader } from './log-reader.ts';
import { policyTextWatch, type PolicyTextWatch } from './policy-texts.ts';
import type { PlacedLeaf, Segment } from './segment/segment.ts';
import { segmentsIn } from './segment/segment-files.ts';
import { columnProblem } from './segment/segment-header.ts';
import type { BeforeSegment } from './segment/segment-header.ts';
import { storedLogOf } from './stored-log.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/** The verdict on a folder's log, with the origin it claims. */
export interface FolderVerdict {
  /** Empty if the origin cannot be read. */
  readonly origin: string;
  readonly verdict: Verdict;
}

/**
 * Verifies the log in a folder: its records, then its files, whose index must match. Anything in the files results in a
 * verdict. A problem only if a file may not be read, is locked or was written by a later build, or if there is no key.
 *
 * @param trustOf returns the verifier's key and anchors for an origin; without a key there is no verdict
 * @param onLeaf called with each record that is intact and in its place
 * @returns `null` if the folder contains no log
 */
export function folderVerdict(
  folder: string,
  trustOf: (origin: string) => { readonly key: Trust['key'] | undefined; readonly anchors: Trust['anchors'] },
  onLeaf: (leaf: LedgerLeaf) => void,
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
    const texts = policyTextWatch(folder);
    const see = (leaf: LedgerLeaf): void => {
      texts.see(leaf);
      onLeaf(leaf);
    };
    const verdict = verdictOn(storedLogOf(log), { key, anchors, onLeaf: see });
    if (verdict.kind === 'broken') return { origin: log.origin, verdict };
    const { prunedBy } = verdict;
    const pruned = log.segments.map((segment) => segment.leaf(prunedBy ?? 0)).find((leaf) => leaf !== undefined);
    return { origin: log.origin, verdict: damageOf(log, pruned) ?? withTexts(texts, verdict) };
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

function withTexts(texts: PolicyTextWatch, verdict: Sound): Verdict {
  const { remarks, remarkCount } = verdict;
  const covered = coveredUpTo(verdict);
  const problem = texts.found(covered);
  if (problem !== null) return broken('log', null, problem);
  const missing = texts.missingBefore(covered);
  return missing === null ? verdict : { ...verdict, remarks: [missing, ...remarks], remarkCount: remarkCount + 1 };
}

/** What is wrong with files whose records are intact: their format, their index, or their other columns. */
function damageOf({ segments }: LogReader, pruned: PlacedLeaf | undefined): Verdict | null {
  let last = lastBefore(segments[0], pruned);
  for (const [index, segment] of segments.entries()) {
    const isFollowed = index < segments.length - 1;
    const found =
      segment.damage() ??
      indexProblem(segment, { isFollowed }) ??
      partsProblem(segment) ??
      segment.atOnce(() => columnProblem(segment, { last, isFollowed }));
    if (typeof found === 'string') return broken('log', null, `\`${segment.path}\` is damaged: ${found}`);
    ({ last } = found);
  }
  return null;
}

/** The end of the pruned segments before the first segment, from the record that pruned them. */
function lastBefore(first: Segment | undefined, pruned: PlacedLeaf | undefined): BeforeSegment['last'] {
  const leaf = pruned === undefined ? null : leafFrom(pruned.bytes);
  if (leaf === null || isProblem(leaf)) return null;
  const { to, newest } = leaf.record;
  return to === first?.carried.range.size && typeof newest === 'number'
    ? { at: newest, begun: null, taken: null }
    : null;
}

function accessProblem(folder: string): Problem | null {
  try {
    accessSync(folder, constants.R_OK | constants.X_OK);
    for (const { path } of segmentsIn(folder)) {
      accessSync(path, constants.R_OK);
      // SQLite needs the shared-memory file of a WAL, or creates it.
      if (existsSync(`${path}-wal`) && !existsSync(`${path}-shm`)) accessSync(folder, constants.W_OK);
    }
    return null;
  } catch (error) {
    const code = errorCode(error) ?? String(error);
    if (code === 'ENOENT') return null;
    const hint = code === 'EROFS' ? ': put the copy of a ledger in use where it can be written' : '';
    return { problem: `the ledger \`${folder}\` cannot be read: ${code}${hint}` };
  }
}
