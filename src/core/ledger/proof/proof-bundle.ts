import { isProblem, type Problem } from '../../runtime/problem.ts';
import { base64Of, bytesFromBase64 } from './base64.ts';
import { openedCheckpoint, type Checkpoint } from './checkpoint.ts';
import { inclusionProblem } from './inclusion-proof.ts';
import { leafFrom, type LedgerLeaf } from './leaf.ts';
import { HASH_BYTES, leafHash } from './merkle.ts';
import type { NoteKey } from './note-key.ts';

/** The first line of a proof. */
export const PROOF_VERSION = 'c2sp.org/tlog-proof@v1';
/** Room for the largest record in base64, 53 hashes and a checkpoint with its signatures. */
const MAX_PROOF = 262_144;
const MAX_HASHES = 64;

/**
 * Everything an auditor needs besides the log's key, as one text: a C2SP tlog-proof whose `extra` are the record's bytes.
 *
 * @param proof.hashes from `inclusionProof` for the record and the size of the checkpoint
 * @param proof.checkpoint a note with all its signatures
 * @see C2SP tlog-proof
 */
export function proofText(
  bytes: Uint8Array,
  proof: { readonly index: number; readonly hashes: readonly Uint8Array[]; readonly checkpoint: string },
): string {
  const lines = [PROOF_VERSION, `extra ${base64Of(bytes)}`, `index ${proof.index}`, ...proof.hashes.map(base64Of)];
  return `${lines.join('\n')}\n\n${proof.checkpoint}`;
}

/** A proved record, with the head it was proved from. */
export interface ProvedRecord {
  readonly leaf: LedgerLeaf;
  readonly bytes: Uint8Array;
  readonly checkpoint: Checkpoint;
}

/** Verifies a proof against the log of `key` and returns its record. */
export function provedRecord(text: string, key: NoteKey): ProvedRecord | Problem {
  if (text.length > MAX_PROOF) return { problem: `is longer than ${MAX_PROOF} characters` };
  const parts = partsOf(text);
  if (isProblem(parts)) return parts;
  const { bytes, index, hashes } = parts;
  const checkpoint = openedCheckpoint(parts.checkpoint, key);
  if (isProblem(checkpoint)) return { problem: `has an invalid checkpoint: it ${checkpoint.problem}` };
  const wrong = inclusionProblem(leafHash(bytes), {
    index,
    size: checkpoint.size,
    root: checkpoint.root,
    proof: hashes,
  });
  if (wrong !== null) return { problem: `does not prove the record: ${wrong}` };
  const leaf = leafFrom(bytes);
  if (isProblem(leaf)) return { problem: `has a wrong record: ${leaf.problem}` };
  if (leaf.seq !== index + 1) return { problem: `has record ${leaf.seq} at the index of record ${index + 1}` };
  return { leaf, bytes, checkpoint };
}

interface Parts {
  readonly bytes: Uint8Array;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
  readonly checkpoint: string;
}

function partsOf(text: string): Parts | Problem {
  const end = text.indexOf('\n\n');
  const [version, extra, position, ...lines] = text.slice(0, Math.max(end, 0)).split('\n', MAX_HASHES + 4);
  if (version !== PROOF_VERSION) return { problem: `must begin with \`${PROOF_VERSION}\` and have a checkpoint` };
  const bytes = bytesFromBase64(/^extra (.+)$/.exec(extra ?? '')?.[1] ?? '');
  if (bytes === null || bytes.length === 0) return { problem: 'must have the bytes of the record as its `extra`' };
  const digits = /^index (0|[1-9][0-9]{0,15})$/.exec(position ?? '')?.[1];
  if (digits === undefined) return { problem: 'must have an `index` in decimal, without leading zeros' };
  if (lines.length > MAX_HASHES) return { problem: `has more than ${MAX_HASHES} hashes` };
  const hashes: Uint8Array[] = [];
  for (const line of lines) {
    const hash = bytesFromBase64(line);
    if (hash?.length !== HASH_BYTES) return { problem: 'has a hash that is not 32 bytes in base64' };
    hashes.push(hash);
  }
  return { bytes, index: Number(digits), hashes, checkpoint: text.slice(end + 2) };
}
