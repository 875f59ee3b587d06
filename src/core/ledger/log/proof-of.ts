import { checkpointInNote } from '../proof/checkpoint.ts';
import { inclusionProblem, inclusionProof } from '../proof/inclusion-proof.ts';
import { leafHash } from '../proof/merkle.ts';
import { proofText } from '../proof/proof-bundle.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { LogReader } from './log-reader.ts';

/** A proof, or why there is none: the record was pruned, does not exist, is not signed yet, or the log is damaged. */
export type ProofOf =
  | { readonly kind: 'proof'; readonly text: string; readonly size: number }
  | { readonly kind: 'pruned' | 'absent' | 'unsigned' | 'damaged' };

/**
 * Proves that a record is in the log, under the first checkpoint that covers it. Computed from the last checkpoint before the
 * record, as if everything before were pruned, so it costs the records between two checkpoints, not the whole log.
 */
export function proofOf(log: LogReader, seq: number): ProofOf {
  if (seq <= log.carried.range.size) return { kind: 'pruned' };
  const at = log.segments.findLastIndex(({ carried }) => carried.range.size < seq);
  const home = log.segments[at];
  const [leaf] = log.leaves(seq);
  if (home === undefined || leaf?.seq !== seq) return { kind: seq <= log.size ? 'damaged' : 'absent' };
  const cover = log.segments
    .slice(at)
    .values()
    .map((segment) => segment.checkpoints.near(seq, 'from'))
    .find((checkpoint) => checkpoint !== null);
  if (cover === undefined) return { kind: 'unsigned' };
  const head = checkpointInNote(cover.note);
  if (isProblem(head) || head.size < seq) return { kind: 'damaged' };

  const carried = (home.checkpoints.near(seq - 1, 'up-to') ?? home.carried).range;
  const hashes = [...log.leaves(carried.size + 1).take(head.size - carried.size)].map(({ bytes }) => leafHash(bytes));
  if (hashes.length !== head.size - carried.size) return { kind: 'damaged' };
  const index = seq - 1;
  const own = leafHash(leaf.bytes);
  const path = inclusionProof({ carried, leaf: (each) => hashes[each - carried.size] ?? own }, index, head.size);
  if (path === null) return { kind: 'damaged' };
  // Stored data is not trusted: a proof that does not lead to the signed root is not returned.
  const wrong = inclusionProblem(own, { index, size: head.size, root: head.root, proof: path });
  if (wrong !== null) return { kind: 'damaged' };
  return {
    kind: 'proof',
    text: proofText(leaf.bytes, { index, hashes: path, checkpoint: cover.note }),
    size: head.size,
  };
}
