import { isProblem, type Problem } from '../token/members.ts';
import { base64Of } from './base64.ts';
import { clockWatch } from './clock-watch.ts';
import { appended, isRange, type CompactRange } from './compact-range.ts';
import { headCheck, openedAnchors, type Anchor, type HeadCheck } from './head-check.ts';
import { leafFrom, type Leaf } from './leaf.ts';
import { keptWatch } from './kept-watch.ts';
import { HASH_BYTES, isSameHash, leafHash, rootOf } from './merkle.ts';
import type { NoteKey } from './note-key.ts';
import { broken, type Records, type Verdict } from './verdict.ts';

/** The tree over all records before one, with the leaf hash of the last of them; `null` before the first. */
export type Carried = CompactRange & { readonly prev: Uint8Array | null };

/** A record in a storage. */
export interface StoredEntry {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** Where a part of the storage begins: what that part says of itself and of all before it. */
export interface Seam {
  readonly origin: string;
  readonly carried: Carried;
}

/** A log as its storage gives it. Nothing of it is believed. */
export interface StoredLog {
  /** `remit.<trust domain>/<instance>/<epoch>`. */
  readonly origin: string;
  /** What is left of the records that were pruned, with the leaf hash of the last; empty where none was. */
  readonly carried: Carried;
  /** The records that are left, in order. Read once, one at a time. */
  readonly entries: () => Iterable<StoredEntry | Seam>;
  /** The log's own checkpoints, in the order of their sizes. Read once, one at a time, while the records are read. */
  readonly checkpoints: () => Iterable<{ readonly note: string }>;
}

/** What the verifier brings: none of it may come from the log. */
export interface Trust {
  /** The pinned key; its name is the origin of the log it is for. */
  readonly key: NoteKey;
  /** Checkpoints that were kept outside, in any order. They are held in memory. */
  readonly anchors: Iterable<Anchor>;
}

/**
 * What a log is worth: whether each record is whole, in its place and linked to the one before, whether the tree over them
 * has the roots that were signed and anchored, and how far that goes. Linear in the records, of which one is held at a time.
 */
export function verdictOn(log: StoredLog, { key, anchors }: Trust): Verdict {
  const unusable = logProblem(log, key);
  if (unusable !== null) return broken('log', null, unusable);
  const opened = openedAnchors(anchors, key);
  if ('kind' in opened) return opened;
  const heads = headCheck(key, { checkpoints: log.checkpoints(), anchors: opened });
  const clock = clockWatch(opened);
  const kept = keptWatch();

  let range: CompactRange = log.carried;
  let prev = base64OrNothing(log.carried.prev);
  let wrong = heads.at(range);
  if (wrong !== null) return wrong;
  for (const entry of log.entries()) {
    if ('carried' in entry) {
      const torn = seamProblem(entry, { origin: log.origin, range, prev });
      if (torn !== null) return broken('log', range.size, torn);
      continue;
    }
    const seq = range.size + 1;
    const leaf = leafInPlace(entry, { seq, prev });
    if (isProblem(leaf)) return broken('record', seq, leaf.problem);
    const hash = leafHash(entry.bytes);
    range = appended(range, hash);
    prev = base64Of(hash);
    clock.see(seq, leaf.record['at']);
    kept.see(seq, leaf.record);
    wrong = heads.at(range);
    if (wrong !== null) return wrong;
  }
  wrong = heads.end(range.size);
  if (wrong !== null) return wrong;
  const { remarks, remarkCount } = clock.found();
  const lost = kept.remarks(log.carried.size);
  return {
    kind: 'sound',
    ...coverage(log.carried.size, range.size, heads.found()),
    remarks: [...lost, ...remarks],
    remarkCount: remarkCount + lost.length,
  };
}

/** A part begins where the one before it ended: with the same tree, or records are missing in between or were changed. */
function seamProblem(
  seam: Seam,
  { origin, range, prev }: { readonly origin: string; readonly range: CompactRange; readonly prev: string },
): string | null {
  const { carried } = seam;
  if (seam.origin !== origin) return `the part after record ${range.size} is one of \`${seam.origin}\``;
  const unusable = carriedProblem(carried);
  if (unusable !== null) return `the part after record ${range.size} cannot be gone on with: ${unusable}`;
  if (carried.size !== range.size) {
    return carried.size > range.size
      ? `records ${range.size + 1} to ${carried.size} are missing`
      : `a part begins after record ${carried.size} a second time`;
  }
  const isSame = isSameHash(rootOf(carried.nodes), rootOf(range.nodes)) && base64OrNothing(carried.prev) === prev;
  return isSame ? null : `the part after record ${range.size} goes on from other records than those before it`;
}

const base64OrNothing = (hash: Uint8Array | null): string => (hash === null ? '' : base64Of(hash));

function logProblem({ origin, carried }: StoredLog, key: NoteKey): string | null {
  if (origin !== key.name) return `the log is \`${origin}\`, the key is one of \`${key.name}\``;
  return carriedProblem(carried);
}

function carriedProblem(carried: Carried): string | null {
  if (!isRange(carried)) return 'what is left of the pruned records is not a compact range';
  if (carried.size === 0) return carried.prev === null ? null : 'no record was pruned, and yet one is linked to';
  if (carried.prev?.length !== HASH_BYTES) return 'the hash of the last pruned record is missing';
  const last = carried.nodes.at(-1);
  const isOwnNode = carried.size % 2 === 1 && last !== undefined;
  return isOwnNode && !isSameHash(last, carried.prev) ? 'the last pruned record has two hashes' : null;
}

/** The leaf of a record, where it is the one that must follow. */
function leafInPlace(
  entry: StoredEntry,
  { seq, prev }: { readonly seq: number; readonly prev: string },
): Leaf | Problem {
  if (entry.seq !== seq) return { problem: `is missing: the next one is ${entry.seq}` };
  const leaf = leafFrom(entry.bytes);
  if (isProblem(leaf)) return leaf;
  if (leaf.seq !== seq) return { problem: `has the bytes of record ${leaf.seq}` };
  return leaf.prev === prev ? leaf : { problem: 'does not follow from the one before it: either was changed' };
}

function coverage(
  pruned: number,
  size: number,
  { anchored, signed, unchecked }: ReturnType<HeadCheck['found']>,
): {
  readonly size: number;
  readonly pruned: number;
  readonly anchored: Records | null;
  readonly signed: Records | null;
  readonly bare: Records | null;
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
const records = (after: number, to: number): Records | null => (to > after ? { from: after + 1, to } : null);
