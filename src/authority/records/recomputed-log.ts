import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { base64Of, bytesFromBase64 } from '../../core/ledger/proof/base64.ts';
import { openedCheckpoint } from '../../core/ledger/proof/checkpoint.ts';
import { appendedAll, emptyRange, rangeBytes, rangeFrom } from '../../core/ledger/proof/compact-range.ts';
import type { CompactRange } from '../../core/ledger/proof/compact-range.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import { isSameHash, leafHash, rootOf } from '../../core/ledger/proof/merkle.ts';
import { noteKeyFrom } from '../../core/ledger/proof/note-key.ts';
import type { NoteKey } from '../../core/ledger/proof/note-key.ts';
import { isPlainLeaf } from '../../core/ledger/proof/plain-leaf.ts';
import type { Section } from './pack.ts';

/** A log, recomputed from the stored sections that were read so far. */
export interface RecomputedLog {
  /** SPIFFE ID of the sidecar, and the key of its checkpoints as the sections name it; `null` if they were written without a key. */
  readonly id: string;
  readonly verifierKey: string | null;
  /** Of the last section. */
  readonly term: number;
  /** Number of records of the log before the first that was read, and up to the last. */
  readonly from: number;
  readonly size: number;
  readonly range: CompactRange;
  /** Leaf hash of the last record, in base64; empty for none. */
  readonly last: string;
  /** Number of records under the last checkpoint that was compared, and this signed note. */
  readonly signed: number;
  readonly note: string | null;
  /** Records that are missing between this section and the previous section; 0 for none. */
  readonly gap: number;
}

/** What is wrong with a section. */
export interface WrongSection extends Problem {
  /** Whether records before it may be what was changed: those that no checkpoint had covered yet. */
  readonly isEarlierDoubtful: boolean;
}

/**
 * The log after a section of it: each of its records is intact, in place and linked to its predecessor; the tree over them matches the head
 * of the section and each checkpoint of the section. A record that is there twice, or was received again under a higher term, counts once.
 * The tree of a first section that does not begin the log is trusted: the next checkpoint shows whether it is true.
 *
 * @param known the log before it; `null` for none
 */
export function recomputed(known: RecomputedLog | null, section: Section): RecomputedLog | WrongSection {
  const { origin, from, leaves, term, verifierKey, id } = section;
  const end = from + leaves.length;
  // Records that a process had received but not acknowledged when another process took the log over do not count.
  if (known !== null && term < known.term && end > known.size) return known;
  const isContinued = known !== null && from <= known.size && (term === known.term || from === known.size);
  // A log continues when its receiver is upgraded to a version that writes keys.
  const isOther = known !== null && known.verifierKey !== null && known.verifierKey !== verifierKey;
  if (isContinued && (isOther || known.id !== id))
    return wrong(`names another key or sidecar for \`${origin}\` than the section before it`);
  if (isContinued && end < known.size) return known;
  const claimed = claimedTree(section);
  if (isProblem(claimed)) return wrong(claimed.problem);
  const key = verifierKey === null ? null : noteKeyFrom(verifierKey);
  if (key !== null && (isProblem(key) || key.name !== origin)) return wrong(`names no key of \`${origin}\``);

  const before = isContinued ? known : null;
  const linked = linkedHashes(section, before);
  if (isProblem(linked)) return { ...linked, isEarlierDoubtful: linked.isFirst && before !== null };
  if ((before !== null || linked.hashes.length > 0) && linked.last !== section.last)
    return wrong(`has another hash of the last record of \`${origin}\` than that record`);
  const start = before?.range ?? (from === 0 ? emptyRange : null);
  const checked = comparedRange({ ...linked, start, claimed, key }, section);
  if (isProblem(checked)) return checked;
  const isGap = known !== null && from > known.size;
  return {
    id,
    verifierKey,
    term,
    // A log that another process took over continues from an earlier record.
    from: known === null || isGap ? from : known.from,
    size: end,
    range: claimed,
    last: section.last,
    signed: checked.signed ?? before?.signed ?? 0,
    note: checked.note ?? before?.note ?? null,
    gap: isGap ? from - known.size : 0,
  };
}

const wrong = (problem: string): WrongSection => ({ problem, isEarlierDoubtful: false });

function claimedTree({ origin, tree, from, leaves }: Section): CompactRange | Problem {
  const bytes = bytesFromBase64(tree);
  const range = bytes === null ? null : rangeFrom(bytes);
  return range?.size === from + leaves.length
    ? range
    : { problem: `has a section of \`${origin}\` whose tree is not that of its end` };
}

interface Linked {
  /** Number of records before the first new record, and the hashes of the new records. */
  readonly size: number;
  readonly hashes: readonly Uint8Array[];
  /** Leaf hash of the last record, in base64. */
  readonly last: string;
}

/** The hashes of the records after the known records, each intact and linked to its predecessor. */
function linkedHashes(
  { origin, from, leaves }: Section,
  before: RecomputedLog | null,
): Linked | (Problem & { readonly isFirst: boolean }) {
  const size = before?.size ?? from;
  const hashes: Uint8Array[] = [];
  let prev = before?.last ?? (from === 0 ? '' : null);
  for (const [index, bytes] of leaves.slice(size - from).entries()) {
    const seq = size + index + 1;
    if (prev === null || !isPlainLeaf(bytes, { prev, seq })) {
      const leaf = leafFrom(bytes);
      if (isProblem(leaf)) return { problem: `has a record of \`${origin}\` which ${leaf.problem}`, isFirst: false };
      if (leaf.seq !== seq || (prev !== null && leaf.prev !== prev))
        return { problem: `has a record ${seq} of \`${origin}\` that does not follow`, isFirst: index === 0 };
    }
    const hash = leafHash(bytes);
    hashes.push(hash);
    prev = base64Of(hash);
  }
  return { size, hashes, last: prev ?? '' };
}

interface Compared {
  readonly signed: number | null;
  readonly note: string | null;
}

/** Appends the new records, and compares the tree with each checkpoint of the section, and at its end with its head. */
function comparedRange(
  of: Linked & { readonly start: CompactRange | null; readonly claimed: CompactRange; readonly key: NoteKey | null },
  { origin, checkpoints }: Section,
): Compared | WrongSection {
  const { size, hashes, claimed, key } = of;
  let range = of.start;
  let signed: number | null = null;
  let last: string | null = null;
  for (const note of key === null ? [] : checkpoints) {
    const head = key === null ? null : openedCheckpoint(note, key);
    if (head === null || isProblem(head))
      return wrong(`has a checkpoint of \`${origin}\` which ${head?.problem ?? ''}`);
    if (head.size < size || head.size < (range?.size ?? 0)) continue;
    if (head.size > claimed.size) return wrong(`has a checkpoint of \`${origin}\` over records after its own`);
    if (range !== null) range = appendedAll(range, hashes.slice(range.size - size, head.size - size));
    // Of a first section that does not begin the log, only the tree at its end is known.
    const known = range ?? (head.size === claimed.size ? claimed : null);
    if (known === null) continue;
    if (!isSameHash(head.root, rootOf(known.nodes)))
      return {
        problem: `has a checkpoint of ${head.size} records of \`${origin}\` that is not over those that are here`,
        isEarlierDoubtful: true,
      };
    signed = head.size;
    last = note;
  }
  if (range !== null) range = appendedAll(range, hashes.slice(range.size - size));
  return range === null || isSameHash(rangeBytes(range), rangeBytes(claimed))
    ? { signed, note: last }
    : wrong(`has a section of \`${origin}\` whose tree is not that of its records`);
}
