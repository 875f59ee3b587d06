import { isProblem, type Problem } from '../../runtime/problem.ts';
import { base64Of } from './base64.ts';
import { clockWatch } from '../clock-watch.ts';
import { appended, emptyRange, type CompactRange } from './compact-range.ts';
import { givenUpWatch } from '../given-up.ts';
import { headCheck, openedAnchors, type Anchor, type HeadCheck } from './head-check.ts';
import { leafFrom, type LedgerLeaf } from './leaf.ts';
import { leafHash } from './merkle.ts';
import type { NoteKey } from './note-key.ts';
import { relayWatch } from '../relayed.ts';
import { base64OrNothing, carriedProblem, tornSeam, type CarriedTree, type Seam } from './seam.ts';
import { broken, type RecordRange, type Verdict } from './verdict.ts';

/** A stored record. */
export interface StoredEntry {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** A log as its storage presents it. Nothing in it is trusted. */
export interface StoredLog {
  /** `remit.<trust domain>/<instance>/<epoch>`. */
  readonly origin: string;
  /** The tree over pruned records with the leaf hash of the last; empty if none are pruned. */
  readonly carried: CarriedTree;
  /** The remaining records in order. Read once, one at a time. */
  readonly entries: () => Iterable<StoredEntry | Seam>;
  /** The log's own checkpoints in order of size. Read once, one at a time, along with the records. */
  readonly checkpoints: () => Iterable<{ readonly note: string }>;
}

/** What the verifier brings; none of it may come from the log. */
export interface Trust {
  /** The pinned key, whose name is the origin of its log. */
  readonly key: NoteKey;
  /** Checkpoints kept elsewhere, in any order; held in memory. */
  readonly anchors: Iterable<Anchor>;
  /** Whether the verifier knows itself that the carried records were pruned, so that the log need not say so. Default `false`. */
  readonly isPruningKnown?: boolean;
  /** Called with each record once it is found intact and in its place. Whether heads cover it is in the verdict. */
  readonly onLeaf?: (leaf: LedgerLeaf) => void;
}

/**
 * Verifies a log: each record is intact, in place and linked to its predecessor, the tree has the signed and anchored roots,
 * and the verdict says how far that reaches. Linear time; one record in memory.
 */
export function verdictOn(log: StoredLog, { key, anchors, isPruningKnown = false, onLeaf }: Trust): Verdict {
  const unusable = logProblem(log, key);
  if (unusable !== null) return broken('log', null, unusable);
  const opened = openedAnchors(anchors, key);
  if ('kind' in opened) return opened;
  const heads = headCheck(key, { checkpoints: log.checkpoints(), anchors: opened });
  const clock = clockWatch(opened);
  const givenUp = givenUpWatch(isPruningKnown ? emptyRange : log.carried);
  const relay = relayWatch();

  let range: CompactRange = log.carried;
  let prev = base64OrNothing(log.carried.prev);
  let wrong = heads.at(range);
  if (wrong !== null) return wrong;
  for (const entry of log.entries()) {
    if ('carried' in entry) {
      const torn = tornSeam(entry, { origin: log.origin, range, prev });
      if (torn !== null) return broken('log', range.size, torn.problem, torn);
      continue;
    }
    const seq = range.size + 1;
    const leaf = leafInPlace(entry, { seq, prev });
    if (isProblem(leaf)) return broken('record', seq, leaf.problem);
    const hash = leafHash(entry.bytes);
    range = appended(range, hash);
    prev = base64Of(hash);
    clock.see(leaf);
    onLeaf?.(leaf);
    givenUp.see(seq, leaf.record);
    relay.see(leaf.record);
    wrong = heads.at(range);
    if (wrong !== null) return wrong;
    if (heads.covered() === seq) givenUp.signed();
  }
  const prunedBy = givenUp.found();
  if (typeof prunedBy === 'object' && prunedBy !== null) return prunedBy;
  wrong = heads.end(range.size);
  if (wrong !== null) return wrong;
  const relayed = relay.found();
  return {
    kind: 'sound',
    ...coverage(log.carried.size, range.size, heads.found()),
    prunedBy,
    ...clock.found(),
    ...(relayed.length > 0 && { relayed }),
  };
}

function logProblem({ origin, carried }: StoredLog, key: NoteKey): string | null {
  if (origin !== key.name) return `the log is \`${origin}\`, but the key belongs to \`${key.name}\``;
  return carriedProblem(carried);
}

/** The leaf of a record, checked to be the expected next leaf. */
function leafInPlace(
  entry: StoredEntry,
  { seq, prev }: { readonly seq: number; readonly prev: string },
): LedgerLeaf | Problem {
  if (entry.seq !== seq) return { problem: `is missing: the next is ${entry.seq}` };
  const leaf = leafFrom(entry.bytes);
  if (isProblem(leaf)) return leaf;
  if (leaf.seq !== seq) return { problem: `has the bytes of record ${leaf.seq}` };
  return leaf.prev === prev ? leaf : { problem: 'does not follow from the record before it: either was changed' };
}

function coverage(
  pruned: number,
  size: number,
  { anchored, signed, unchecked }: ReturnType<HeadCheck['found']>,
): {
  readonly size: number;
  readonly pruned: number;
  readonly anchored: RecordRange | null;
  readonly signed: RecordRange | null;
  readonly bare: RecordRange | null;
  readonly unchecked: number;
} {
  const anchoredTo = Math.max(anchored, pruned);
  const signedTo = Math.max(signed, anchoredTo);
  return {
    size,
    pruned,
    anchored: records(pruned, anchoredTo),
    signed: records(anchoredTo, signedTo),
    bare: records(signedTo, size),
    unchecked,
  };
}

/** The records after `after`, up to `to`. */
const records = (after: number, to: number): RecordRange | null => (to > after ? { from: after + 1, to } : null);
