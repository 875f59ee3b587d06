import { verify } from 'node:crypto';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import type { WitnessKey } from './note-key.ts';
import { notePartsOf } from './signed-note.ts';

/** A witness's statement that a checkpoint is consistent with all that it had cosigned of this log before. */
export interface Cosignature {
  readonly witness: WitnessKey;
  /** When, by the clock of the witness, in seconds since the Unix epoch. */
  readonly atSeconds: number;
}

const TIME_BYTES = 8;
const SIGNATURE_BYTES = 64;

/** What a witness signs: a header, the time, and the text of the checkpoint. */
export const cosignedText = (text: string, atSeconds: number): string => `cosignature/v1\ntime ${atSeconds}\n${text}`;

/**
 * The cosignatures of these witnesses on a note; those of others are ignored. Says nothing about the signature of the log itself.
 *
 * @returns a problem if the note cannot be parsed, or a cosignature by one of the witnesses is wrong
 * @see C2SP tlog-cosignature, "Ed25519 signed message"
 */
export function cosignaturesOn(note: string, witnesses: readonly WitnessKey[]): readonly Cosignature[] | Problem {
  const parts = notePartsOf(note);
  if (isProblem(parts)) return parts;
  const found: Cosignature[] = [];
  for (const { name, id, bytes } of parts.signatures) {
    for (const witness of witnesses.filter((known) => known.name === name && known.id === id)) {
      const atSeconds = timeOf(parts.text, { witness, bytes });
      if (atSeconds === null) return { problem: `has a wrong cosignature of \`${name}+${id}\`` };
      found.push({ witness, atSeconds });
    }
  }
  return found;
}

/** The time that a cosignature states; `null` if it is wrong. */
function timeOf(
  text: string,
  { witness, bytes }: { readonly witness: WitnessKey; readonly bytes: Uint8Array },
): number | null {
  if (bytes.length !== TIME_BYTES + SIGNATURE_BYTES) return null;
  const signature = Buffer.from(bytes);
  const atSeconds = Number(signature.readBigUInt64BE());
  if (!Number.isSafeInteger(atSeconds)) return null;
  const signed = Buffer.from(cosignedText(text, atSeconds), 'utf8');
  return verify(null, signed, witness.publicKey, signature.subarray(TIME_BYTES)) ? atSeconds : null;
}
