import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { checkpointInNote } from '../../core/ledger/proof/checkpoint.ts';
import { bytesFromBase64 } from '../../core/ledger/proof/base64.ts';
import { emptyRange, rangeFrom } from '../../core/ledger/proof/compact-range.ts';
import type { CompactRange } from '../../core/ledger/proof/compact-range.ts';
import { inclusionProblem, inclusionProof } from '../../core/ledger/proof/inclusion-proof.ts';
import type { ProofOf } from '../../core/ledger/log/proof-of.ts';
import { leafHash } from '../../core/ledger/proof/merkle.ts';
import { noteKeyFrom } from '../../core/ledger/proof/note-key.ts';
import type { NoteKey } from '../../core/ledger/proof/note-key.ts';
import { PROOF_VERSION, proofText, provedRecord } from '../../core/ledger/proof/proof-bundle.ts';
import type { ProvedRecord } from '../../core/ledger/proof/proof-bundle.ts';
import type { CarriedTree } from '../../core/ledger/proof/seam.ts';
import type { ReceivedLog } from './received-logs.ts';

/**
 * Proves that a record is in a received log, under the first checkpoint of its sidecar that covers it. Starts from the tree in
 * the last section head before the record. That tree is untrusted: if its proof does not lead to the signed root, reads the log
 * from its start.
 *
 * @param pruned the tree over its deleted records, by the ledger of the authority; `null` if none are deleted
 */
export function receivedProof(log: ReceivedLog, seq: number, pruned: CarriedTree | null): ProofOf {
  const carried = pruned ?? emptyRange;
  if (seq <= carried.size) return { kind: 'pruned' };
  const near = claimedBefore(log, seq);
  const quick = near === null || near.size <= carried.size ? null : proofAfter(log, seq, near);
  return quick?.kind === 'proof' ? quick : proofAfter(log, seq, carried);
}

/** The tree that the last section head before a record claims; `null` if none claims one. */
function claimedBefore({ claims }: Pick<ReceivedLog, 'claims'>, seq: number): CompactRange | null {
  const claim = claims.findLast(({ size }) => size < seq);
  const bytes = claim === undefined ? null : bytesFromBase64(claim.tree);
  const range = bytes === null ? null : rangeFrom(bytes);
  return range?.size === claim?.size ? range : null;
}

/** @param carried the tree over the records before those that are read */
function proofAfter({ stored, entriesAfter }: ReceivedLog, seq: number, carried: CompactRange): ProofOf {
  const head = [...stored.checkpoints()]
    .map(({ note }) => ({ note, head: checkpointInNote(note) }))
    .find(({ head: each }) => !isProblem(each) && each.size >= seq);
  if (head === undefined || isProblem(head.head)) return { kind: 'unsigned' };
  const { size, root } = head.head;
  const hashes: Uint8Array[] = [];
  let bytes: Uint8Array | null = null;
  for (const entry of entriesAfter(carried.size)) {
    if (!('seq' in entry) || carried.size + hashes.length === size) break;
    hashes.push(leafHash(entry.bytes));
    if (entry.seq === seq) bytes = entry.bytes;
  }
  const own = hashes[seq - 1 - carried.size];
  if (bytes === null || own === undefined || carried.size + hashes.length < size) return { kind: 'damaged' };
  const index = seq - 1;
  const path = inclusionProof({ carried, leaf: (each) => hashes[each - carried.size] ?? own }, index, size);
  // Stored data is not trusted: a proof that does not lead to the signed root is not returned.
  if (path === null || inclusionProblem(own, { index, size, root, proof: path }) !== null) return { kind: 'damaged' };
  return { kind: 'proof', text: proofText(bytes, { index, hashes: path, checkpoint: head.note }), size };
}

/**
 * A proof for the key of an authority alone: that of a record in the log of a sidecar, then that of the record in the ledger of the authority
 * which names the key of that log.
 */
export const chainText = (ofRecord: string, ofKey: string): string => `${ofRecord}\n${ofKey}`;

/** A proved record, and the record that names the key of its log. */
export interface ProvedChain {
  readonly proved: ProvedRecord;
  /** `null` if the record is in the log of `key` itself. */
  readonly named: ProvedRecord | null;
}

/** Verifies a proof, or a chain of two, against the log of `key`. */
export function provedChain(text: string, key: NoteKey): ProvedChain | Problem {
  const next = text.indexOf(`\n${PROOF_VERSION}\n`);
  if (next === -1) {
    const proved = provedRecord(text, key);
    return isProblem(proved) ? proved : { proved, named: null };
  }
  const named = provedRecord(text.slice(next + 1), key);
  if (isProblem(named)) return { problem: `names the key of a log, in a proof that ${named.problem}` };
  const { kind, event, verifierKey, origin } = named.leaf.record;
  const isNaming = kind === 'emitter' && event === 'joined' && typeof verifierKey === 'string';
  const logKey = isNaming ? noteKeyFrom(verifierKey) : null;
  if (logKey === null || isProblem(logKey) || logKey.name !== origin) {
    return { problem: `has a record ${named.leaf.seq} that names no key of a log` };
  }
  const proved = provedRecord(text.slice(0, next), logKey);
  return isProblem(proved) ? proved : { proved, named };
}
