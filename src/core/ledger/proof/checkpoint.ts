import type { KeyObject } from 'node:crypto';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { base64Of, bytesFromBase64 } from './base64.ts';
import { HASH_BYTES } from './merkle.ts';
import { isKeyName } from '../../runtime/verifier-key.ts';
import type { NoteKey } from './note-key.ts';
import { openedNote, signedNote } from './signed-note.ts';

/** The head of a log: a commitment to its first `size` records. */
export interface Checkpoint {
  /** Identifies the log: `remit.<trust domain>/<instance>/<epoch>`, also the name of its signing key. */
  readonly origin: string;
  /** Number of records; a safe integer. */
  readonly size: number;
  /** Root of the RFC 6962 tree over them. */
  readonly root: Uint8Array;
}

/**
 * The signed text of a checkpoint: three lines, no extensions.
 *
 * @see C2SP tlog-checkpoint
 */
export const checkpointText = ({ origin, size, root }: Checkpoint): string => `${origin}\n${size}\n${base64Of(root)}\n`;

/** Parses a checkpoint; only exactly what `checkpointText` writes is accepted. */
export function checkpointFrom(text: string): Checkpoint | Problem {
  const [origin, digits, base64, ...others] = text.split('\n', 5);
  if (origin === undefined || digits === undefined || base64 === undefined || others.length !== 1 || others[0] !== '') {
    return { problem: 'must be the three lines of a checkpoint' };
  }
  if (!isKeyName(origin)) return { problem: 'must have an origin that can name a key' };
  const size = Number(digits);
  if (!/^(0|[1-9][0-9]{0,15})$/.test(digits) || !Number.isSafeInteger(size)) {
    return { problem: 'must have a size in decimal, without leading zeros' };
  }
  const root = bytesFromBase64(base64);
  if (root?.length !== HASH_BYTES) return { problem: 'must have a root of 32 bytes in base64' };
  return { origin, size, root };
}

/** The checkpoint that a note says, of which no signature is verified. */
export const checkpointInNote = (note: string): Checkpoint | Problem =>
  checkpointFrom(note.slice(0, note.indexOf('\n\n') + 1));

/** Signs a checkpoint as a note under its origin. */
export const signedCheckpoint = (checkpoint: Checkpoint, privateKey: KeyObject): string =>
  signedNote(checkpointText(checkpoint), { name: checkpoint.origin, privateKey });

/** Opens and verifies a checkpoint note; its origin must be the name of the key. */
export function openedCheckpoint(note: string, key: NoteKey): Checkpoint | Problem {
  const opened = openedNote(note, [key]);
  if (isProblem(opened)) return opened;
  const checkpoint = checkpointFrom(opened.text);
  if (isProblem(checkpoint) || checkpoint.origin === key.name) return checkpoint;
  return { problem: `has the origin \`${checkpoint.origin}\`, expected \`${key.name}\`` };
}
