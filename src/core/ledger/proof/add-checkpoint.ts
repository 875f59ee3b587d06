/** The call by which a witness cosigns a checkpoint: its request, and what the answer means. */
import { isProblem } from '../../runtime/problem.ts';
import { base64Of } from './base64.ts';
import { cosignaturesOn } from './cosignature.ts';
import type { WitnessKey } from './note-key.ts';
import { notePartsOf } from './signed-note.ts';

/** A checkpoint that a witness is asked to cosign. */
export interface AskedCheckpoint {
  /** The size of the last checkpoint that the witness has cosigned; 0 if it has none. */
  readonly old: number;
  /** That the checkpoint extends the tree of that size; empty if `old` is 0 or the same size. */
  readonly proof: readonly Uint8Array[];
  /** Signed by the log. */
  readonly note: string;
}

/** What a witness answered. */
export type WitnessAnswer =
  /** It has cosigned. `line` is its verified signature line, with its newline. */
  | { readonly kind: 'cosigned'; readonly line: string; readonly atSeconds: number }
  /** The last checkpoint that it has cosigned has another size than `old`. */
  | { readonly kind: 'stands-at'; readonly size: number }
  /** The checkpoint contradicts what it has cosigned: the log was rewritten, or there are two of it. */
  | { readonly kind: 'contradicts' }
  /** It does not know this log or its key. */
  | { readonly kind: 'unknown-log' }
  | { readonly kind: 'failed'; readonly problem: string };

/** Longest answer that is read: 16 signatures, some of them post-quantum. */
export const MAX_ANSWER_BYTES = 65_536;

/** The body of the request: the old size, the proof, an empty line, the checkpoint. */
export const addCheckpointText = ({ old, proof, note }: AskedCheckpoint): string =>
  `${[`old ${old}`, ...proof.map(base64Of)].join('\n')}\n\n${note}`;

/**
 * Reads an answer. A cosignature counts only if it is by the key of this witness on this checkpoint.
 *
 * @see C2SP tlog-witness, "add-checkpoint"
 */
export function witnessAnswerFrom(
  { status, contentType, body }: { readonly status: number; readonly contentType: string; readonly body: string },
  { note, witness }: { readonly note: string; readonly witness: WitnessKey },
): WitnessAnswer {
  switch (status) {
    case 200:
      return cosignedBy(body, note, witness);
    case 409: {
      // The same size with another root has no size in its answer.
      const size = /^(0|[1-9][0-9]{0,15})\n$/.exec(body)?.[1];
      if (contentType !== 'text/x.tlog.size' || size === undefined) return { kind: 'contradicts' };
      return Number.isSafeInteger(Number(size))
        ? { kind: 'stands-at', size: Number(size) }
        : { kind: 'failed', problem: `answers with an impossible size, ${size}` };
    }
    case 422:
      return { kind: 'contradicts' };
    case 403:
    case 404:
      return { kind: 'unknown-log' };
    default:
      return { kind: 'failed', problem: `answers with status ${status}` };
  }
}

function cosignedBy(body: string, note: string, witness: WitnessKey): WitnessAnswer {
  const parts = notePartsOf(`${note.slice(0, note.lastIndexOf('\n\n'))}\n\n${body}`);
  if (isProblem(parts)) return { kind: 'failed', problem: `answers with lines that are not signatures` };
  for (const line of body.trimEnd().split('\n')) {
    const found = cosignaturesOn(`${parts.text}\n${line}\n`, [witness]);
    if (isProblem(found)) return { kind: 'failed', problem: `answers with a note that ${found.problem}` };
    const [own] = found;
    if (own !== undefined) return { kind: 'cosigned', line: `${line}\n`, atSeconds: own.atSeconds };
  }
  return { kind: 'failed', problem: `answers without a cosignature of \`${witness.name}+${witness.id}\`` };
}
