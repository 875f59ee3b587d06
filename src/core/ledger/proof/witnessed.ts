import { isProblem, type Problem } from '../../runtime/problem.ts';
import type { NamedAnchor } from './anchor-file.ts';
import { checkpointFrom } from './checkpoint.ts';
import { cosignaturesOn } from './cosignature.ts';
import type { WitnessKey } from './note-key.ts';
import { notePartsOf } from './signed-note.ts';

/** How far a witness has cosigned a log. */
export interface WitnessReach {
  /** The name of its key. */
  readonly name: string;
  /** Records under the largest checkpoint that it has cosigned; 0 for none. */
  readonly size: number;
  /** When it cosigned that, by its clock, in seconds since the Unix epoch; `null` for none. */
  readonly atSeconds: number | null;
}

/** What witnesses say of one log. */
export interface Witnessed {
  /** The checkpoints that at least one of them has cosigned. Those beyond `size` are compared with the log and cover nothing. */
  readonly anchors: readonly NamedAnchor[];
  /** In the order of the keys. */
  readonly reach: readonly WitnessReach[];
  /** Records that as many witnesses as are asked for have cosigned; 0 for none. */
  readonly size: number;
}

/**
 * What witnesses say of one log, by notes that need not be trusted: only cosignatures count, and notes without one are skipped.
 *
 * @param options.quorum how many of the witnesses must have cosigned a record, at its own size or at a larger one; at least 1
 * @returns a problem if a cosignature is wrong
 */
export function witnessedFrom(
  notes: readonly NamedAnchor[],
  { witnesses, quorum }: { readonly witnesses: readonly WitnessKey[]; readonly quorum: number },
): Witnessed | Problem {
  const reach = new Map<WitnessKey, { size: number; atSeconds: number }>();
  const cosigned: (NamedAnchor & { readonly size: number })[] = [];
  for (const anchor of notes) {
    const parts = notePartsOf(anchor.note);
    const found = cosignaturesOn(anchor.note, witnesses);
    if (isProblem(parts) || isProblem(found)) {
      const { problem } = isProblem(found) ? found : { problem: 'is not a note' };
      return { problem: `a cosigned checkpoint ${problem}` };
    }
    const head = checkpointFrom(parts.text);
    if (found.length === 0 || isProblem(head)) continue;
    for (const { witness, atSeconds } of found) {
      if (head.size > (reach.get(witness)?.size ?? 0)) reach.set(witness, { size: head.size, atSeconds });
    }
    cosigned.push({ ...anchor, size: head.size, atMs: Math.max(...found.map(({ atSeconds }) => atSeconds)) * 1_000 });
  }
  const sizes = witnesses.map((witness) => reach.get(witness)?.size ?? 0).toSorted((a, b) => b - a);
  const size = sizes[quorum - 1] ?? 0;
  return {
    anchors: cosigned.map(({ origin, note, atMs, size: own }) => ({ origin, note, atMs, isAlone: own > size })),
    reach: witnesses.map((witness) => {
      const { size: own = 0, atSeconds = null } = reach.get(witness) ?? {};
      return { name: witness.name, size: own, atSeconds };
    }),
    size,
  };
}
