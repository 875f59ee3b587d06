import { base64Of } from '../../core/ledger/proof/base64.ts';
import { appended, emptyRange, rangeBytes } from '../../core/ledger/proof/compact-range.ts';
import type { CompactRange } from '../../core/ledger/proof/compact-range.ts';
import { isSameHash, leafHash, rootOf } from '../../core/ledger/proof/merkle.ts';
import { noteKeyText } from '../../core/ledger/proof/note-key.ts';
import { base64OrNothing } from '../../core/ledger/proof/seam.ts';
import { broken, recordsText } from '../../core/ledger/proof/verdict.ts';
import type { Broken, RecordRange, Sound, Verdict } from '../../core/ledger/proof/verdict.ts';
import { verdictOn } from '../../core/ledger/proof/verification.ts';
import type { StoredLog } from '../../core/ledger/proof/verification.ts';
import { missingBefore } from './emitter-history.ts';
import type { EmitterHistory } from './emitter-history.ts';
import type { LinkFate, UseLink } from './linked-uses.ts';
import type { ReceivedLog, SectionClaim } from './received-logs.ts';

/** What was found of a log that an authority received. */
export interface EmitterVerdict {
  readonly origin: string;
  /** SPIFFE ID of the sidecar. */
  readonly id: string;
  readonly state: EmitterHistory['state'] | 'unknown';
  /** When the ledger of the authority recorded this; `null` if it does not. */
  readonly atMs: number | null;
  /** Records that are kept according to the ledger of the authority. */
  readonly anchored: number;
  /** Records that are here. */
  readonly received: number;
  /** Records that the retention deleted. */
  readonly pruned: number;
  /** Records that should be here and are not. */
  readonly missing: number;
  /** Uses of high risk that it only links to, and those of them that no ledger of an authority has. */
  readonly links: number;
  readonly unlinked: number;
  readonly verdict: Verdict;
}

/** The verdict on a log, once its links are compared with the ledgers of authorities. */
export function linkedVerdict(
  verdict: EmitterVerdict,
  fates: readonly { readonly link: UseLink; readonly fate: LinkFate }[],
): EmitterVerdict {
  const changed = fates.find(({ fate }) => fate === 'other')?.link;
  const unlinked = fates.filter(({ fate }) => fate === 'missing').length;
  const linked = { ...verdict, links: fates.length, unlinked };
  if (changed === undefined) return linked;
  const { seq, decisionId } = changed;
  const problem = `record ${seq} is of use ${decisionId}, of which the ledger of the authority has another record than was sent`;
  return { ...linked, verdict: broken('log', seq, problem) };
}

/**
 * Verifies a received log against the verified ledger of the authority: its key, its checkpoints, and how many of its records were
 * kept. A log that was cut, changed or deleted since is broken.
 *
 * @param log `null` if no record of it is here
 */
export function emitterVerdict(history: EmitterHistory, log: ReceivedLog | null): EmitterVerdict {
  const { origin, id, state, atMs, kept, key, anchors } = history;
  const stored = remainingOf(log, history);
  const received = countOf(stored);
  const pruned = stored.carried.size;
  const verdict = verdictOn(stored, { key, anchors, isPruningKnown: true });
  return {
    origin,
    id,
    state,
    atMs,
    anchored: kept.size,
    received,
    pruned,
    missing: Math.max(0, kept.size - pruned - received),
    links: 0,
    unlinked: 0,
    verdict:
      verdict.kind === 'broken'
        ? verdict
        : (contradictionOf(history) ??
          falseClaim(history, log, stored) ??
          withUncovered(keptVerdict(verdict, kept, stored), history)),
  };
}

/** Adds a remark if the retention deleted records that nothing covers. */
function withUncovered(verdict: Verdict, { uncovered }: EmitterHistory): Verdict {
  if (verdict.kind === 'broken' || uncovered === null) return verdict;
  const { from, to } = uncovered;
  const remark = `the retention deleted the records from ${from} on as they lay there: no checkpoint of the sidecar covers them, and no ledger that is given says that so many were kept`;
  return {
    ...verdict,
    remarks: [...verdict.remarks, { seq: to, remark }],
    remarkCount: verdict.remarkCount + 1,
  };
}

function contradictionOf(history: EmitterHistory): Broken | null {
  const { contradiction, pruned } = history;
  if (contradiction !== null) return broken('log', pruned?.size ?? null, contradiction);
  const lost = missingBefore(history);
  if (lost === null) return null;
  return broken('log', lost.to, `${recordsText(lost)} missing, and the retention deleted those after them`, { lost });
}

/** The first section whose head contradicts the records up to its end; `null` if none does. */
function falseClaim(
  { id, key }: EmitterHistory,
  log: ReceivedLog | null,
  { carried, entries }: StoredLog,
): Broken | null {
  const keyText = noteKeyText(key);
  const isOther = ({ verifierKey }: SectionClaim): boolean => verifierKey !== null && verifierKey !== keyText;
  const claims = Map.groupBy(log?.claims ?? [], ({ size }) => size);
  const wrongAt = (range: CompactRange, last: string): Broken | null => {
    const tree = base64Of(rangeBytes(range));
    const wrong = claims
      .get(range.size)
      ?.find((said) => said.id !== id || isOther(said) || said.tree !== tree || said.last !== last);
    if (wrong === undefined) return null;
    const what =
      wrong.id !== id
        ? `another sidecar than \`${id}\``
        : isOther(wrong)
          ? 'another key than that of its sidecar'
          : 'a tree that is not that of its records';
    return broken('log', range.size, `a section of \`${wrong.file}\`, up to record ${range.size}, names ${what}`);
  };
  let range: CompactRange = carried;
  let wrong = carried.size > 0 ? null : wrongAt(range, base64OrNothing(carried.prev));
  for (const entry of entries()) {
    if (wrong !== null) return wrong;
    if (!('seq' in entry)) continue;
    const hash = leafHash(entry.bytes);
    range = appended(range, hash);
    wrong = wrongAt(range, base64Of(hash));
  }
  return wrong;
}

/** The verdict on a log that the ledger of the authority does not name. */
export const unknownEmitter = ({ origin, id, stored }: ReceivedLog): EmitterVerdict => ({
  origin,
  id,
  state: 'unknown',
  atMs: null,
  anchored: 0,
  received: countOf(stored),
  pruned: 0,
  missing: 0,
  links: 0,
  unlinked: 0,
  verdict: broken('log', null, 'the ledger of the authority does not name this log'),
});

/** The part of a log that must still be here: the records after those that the ledger of the authority says are deleted. */
export function remainingOf(log: ReceivedLog | null, { origin, pruned }: EmitterHistory): StoredLog {
  const carried = pruned ?? { ...emptyRange, prev: null };
  return {
    origin,
    carried,
    *entries() {
      for (const entry of log?.stored.entries() ?? []) if (!('seq' in entry) || entry.seq > carried.size) yield entry;
    },
    checkpoints: () => log?.stored.checkpoints() ?? [],
  };
}

const countOf = ({ entries }: StoredLog): number => {
  let count = 0;
  for (const entry of entries()) if ('seq' in entry) count += 1;
  return count;
};

/** The records after the last checkpoint are covered by what the authority recorded when it lost the sidecar. */
function keptVerdict(verdict: Sound, kept: EmitterHistory['kept'], stored: StoredLog): Sound | Broken {
  const { anchored, signed, bare, size } = verdict;
  if (kept.size <= (anchored?.to ?? 0) || kept.size < stored.carried.size) return verdict;
  const problem = `the log ends at ${size}, the ledger of the authority says that ${kept.size} records are kept`;
  if (size < kept.size) return broken('log', kept.size, problem, { lost: { from: size + 1, to: kept.size } });
  if (!isSameHash(rootOf(rangeAt(stored, kept.size).nodes), kept.root)) {
    return broken('log', kept.size, `the first ${kept.size} records are not those that the authority kept`);
  }
  const after = (records: RecordRange | null): RecordRange | null =>
    records === null || records.to <= kept.size
      ? null
      : { from: Math.max(records.from, kept.size + 1), to: records.to };
  return { ...verdict, anchored: { from: 1, to: kept.size }, signed: after(signed), bare: after(bare) };
}

function rangeAt({ carried, entries }: StoredLog, size: number): CompactRange {
  let range: CompactRange = carried;
  for (const entry of entries()) {
    if (!('seq' in entry) || range.size === size) break;
    range = appended(range, leafHash(entry.bytes));
  }
  return range;
}
