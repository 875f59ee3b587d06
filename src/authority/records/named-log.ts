import { isProblem } from '../../core/runtime/problem.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import type { LedgerLeaf } from '../../core/ledger/proof/leaf.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { proofOf } from '../../core/ledger/log/proof-of.ts';
import type { ProofOf } from '../../core/ledger/log/proof-of.ts';
import type { CarriedTree } from '../../core/ledger/proof/seam.ts';
import type { RecordRange } from '../../core/ledger/proof/verdict.ts';
import type { ReceivedLog } from './received-logs.ts';
import { chainText, receivedProof } from './received-proof.ts';

/**
 * The records of a ledger on the logs that its authority received, in its order.
 *
 * @param range the records of the ledger that are read; default all
 */
export const emittersIn = (
  log: Pick<LogReader, 'found'>,
  { from = 1, to = Number.MAX_SAFE_INTEGER }: Partial<RecordRange> = {},
): readonly LedgerLeaf['record'][] =>
  [...log.found({ kind: 'emitter', fromSeq: from }, { isNewestFirst: false })].flatMap(({ seq, bytes }) => {
    const leaf = leafFrom(bytes);
    return seq > to || isProblem(leaf) ? [] : [leaf.record];
  });

/** The number of the first record in the ledger of an authority that names the key of a log; `null` if none does. */
export function namingRecord(log: LogReader, origin: string): number | null {
  const named = log.found({ kind: 'emitter' }, { isNewestFirst: false }).find(({ bytes }) => isJoining(bytes, origin));
  return named?.seq ?? null;
}

function isJoining(bytes: Uint8Array, origin: string): boolean {
  const leaf = leafFrom(bytes);
  return !isProblem(leaf) && leaf.record['event'] === 'joined' && leaf.record['origin'] === origin;
}

/**
 * Proves a record of a received log for the key of the authority alone: the proof of the record, then that of the record in the ledger which
 * names the key of the log.
 *
 * @param record.pruned the tree over the deleted records of the log; `null` if none are deleted
 */
export function provedByKey(
  log: LogReader,
  home: ReceivedLog,
  { seq, pruned }: { readonly seq: number; readonly pruned: CarriedTree | null },
): ProofOf {
  const naming = namingRecord(log, home.origin);
  if (naming === null) return { kind: 'absent' };
  const proof = receivedProof(home, seq, pruned);
  if (proof.kind !== 'proof') return proof;
  const ofKey = proofOf(log, naming);
  return ofKey.kind === 'proof' ? { ...proof, text: chainText(proof.text, ofKey.text) } : ofKey;
}
