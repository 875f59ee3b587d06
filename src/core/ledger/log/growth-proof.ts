import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import { checkpointInNote } from '../proof/checkpoint.ts';
import { consistencyProblem, consistencyProof } from '../proof/consistency-proof.ts';
import { appended, emptyRange } from '../proof/compact-range.ts';
import type { CompactRange } from '../proof/compact-range.ts';
import { leafHash, rootOf } from '../proof/merkle.ts';
import type { KeptCheckpoint } from './kept-checkpoints.ts';
import type { LogReader } from './log-reader.ts';

/** A checkpoint of a log, with the proof that it extends the log's first `old` records. */
export interface GrowthProof {
  readonly old: number;
  readonly size: number;
  /** Size of the last checkpoint. */
  readonly last: number;
  readonly note: string;
  /** Empty if `old` is 0 or `size`. */
  readonly proof: readonly Uint8Array[];
}

/** Default for the growth that one proof covers: some seconds of hashing. A log that has grown by more is proved in steps. */
const MAX_RECORDS = 100_000;

/**
 * Proves that the log has grown from its first `old` records to its last checkpoint. If more than `maxRecords` lie between, to
 * the last checkpoint within `maxRecords`, or the first after `old` if there is none. Hashes each record from the checkpoint
 * before `old` on.
 *
 * @returns a problem if `old` is among the pruned records or beyond the last checkpoint, or the log has no checkpoint or is
 * damaged
 */
export function growthProof(log: LogReader, old: number, maxRecords: number = MAX_RECORDS): GrowthProof | Problem {
  const last = near(log, Number.MAX_SAFE_INTEGER, 'up-to');
  if (last === null) return { problem: 'the ledger has no checkpoint yet' };
  if (old > last.range.size)
    return { problem: `the last checkpoint has ${last.range.size} records, fewer than ${old}` };
  if (old === 0) return { old, size: last.range.size, last: last.range.size, note: last.note, proof: [] };
  if (old < log.carried.range.size) return { problem: `record ${old} was pruned, from which a proof would begin` };
  const base = near(log, old, 'up-to')?.range ?? log.carried.range;
  const until = old + maxRecords;
  const target =
    last.range.size <= until ? last : (near(log, until, 'up-to', old) ?? near(log, old + 1, 'from') ?? last);
  return provedGrowth(log, { base, old, target, last: last.range.size });
}

function provedGrowth(
  log: LogReader,
  {
    base,
    old,
    target,
    last,
  }: { readonly base: CompactRange; readonly target: KeptCheckpoint } & Pick<GrowthProof, 'old' | 'last'>,
): GrowthProof | Problem {
  const { size } = target.range;
  const hashes: Uint8Array[] = [];
  let oldRange = base;
  for (const { seq, bytes } of log.leaves(base.size + 1)) {
    if (seq > size) break;
    if (seq !== base.size + hashes.length + 1) return { problem: `record ${base.size + hashes.length + 1} is missing` };
    const hash = leafHash(bytes);
    hashes.push(hash);
    if (seq <= old) oldRange = appended(oldRange, hash);
  }
  const missing: Uint8Array = rootOf(emptyRange.nodes);
  const proof = consistencyProof({ carried: base, leaf: (index) => hashes[index - base.size] ?? missing }, old, size);
  const head = checkpointInNote(target.note);
  if (proof === null || isProblem(head)) return { problem: 'the ledger is damaged' };
  // Stored data is not trusted: a proof that does not hold is not sent.
  const wrong = consistencyProblem({ oldSize: old, oldRoot: rootOf(oldRange.nodes), size, root: head.root, proof });
  return wrong === null
    ? { old, size, last, note: target.note, proof }
    : { problem: `the ledger is damaged: ${wrong}` };
}

/**
 * The checkpoint of the largest size up to `size`, or of the smallest from it on; `null` if there is none larger than `after`.
 */
function near(log: LogReader, size: number, side: 'up-to' | 'from', after = -1): KeptCheckpoint | null {
  const segments = side === 'from' ? log.segments : log.segments.toReversed();
  const found = segments
    .values()
    .map((segment) => segment.checkpoints.near(size, side))
    .find((checkpoint) => checkpoint !== null);
  return found !== undefined && found.range.size > after ? found : null;
}
