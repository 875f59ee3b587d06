import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { base64Of, bytesFromBase64 } from './base64.ts';
import { isKeyName } from '../../runtime/verifier-key.ts';
import { noteKeyOf, type NoteKey } from './note-key.ts';

/** A note with verified signatures. */
export interface OpenedNote {
  /** The signed text, with its final newline. */
  readonly text: string;
  /** The given keys that signed it; never empty. */
  readonly signers: readonly NoteKey[];
}

/** A signature on a note, not verified. */
export interface NoteSignature {
  readonly name: string;
  /** 4 bytes in hex. */
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** A note whose signatures are not verified. */
export interface NoteParts {
  /** The text, with its final newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** Longest note in characters: 16 post-quantum signatures and as much text. */
const MAX_NOTE = 131_072;
const MAX_SIGNATURES = 16;
const ID_BYTES = 4;

/**
 * Verifies a note: at least one of `keys` must have signed it. Signatures of other keys are ignored. Refuses a note if a signature by one
 * of `keys` is wrong, or with more than 131,072 characters or 16 signatures.
 *
 * @see C2SP signed-note
 */
export function openedNote(note: string, keys: readonly NoteKey[]): OpenedNote | Problem {
  const parts = notePartsOf(note);
  if (isProblem(parts)) return parts;
  const signers = new Set<NoteKey>();
  for (const { name, id, bytes } of parts.signatures) {
    for (const key of keys.filter((known) => known.name === name && known.id === id)) {
      if (!isSignature(parts.text, { key, bytes })) return { problem: `has a wrong signature of \`${name}+${id}\`` };
      signers.add(key);
    }
  }
  return signers.size > 0 ? { text: parts.text, signers: [...signers] } : { problem: 'is not signed by a known key' };
}

/**
 * Signs a text under a name. The text must end in a newline and contain no other control characters.
 *
 * @param signer its private key is Ed25519
 */
export function signedNote(text: string, signer: { readonly name: string; readonly privateKey: KeyObject }): string {
  if (!text.endsWith('\n') || !isNoteText(text)) throw new Error('invalid text of a note');
  const { id } = noteKeyOf(signer.name, createPublicKey(signer.privateKey));
  const signature = sign(null, Buffer.from(text, 'utf8'), signer.privateKey);
  return `${text}\n— ${signer.name} ${base64Of(Buffer.concat([Buffer.from(id, 'hex'), signature]))}\n`;
}

/** No control characters below U+0020 except newline. */
const isNoteText = (text: string): boolean => text.isWellFormed() && /^[\n -\u{10ffff}]*$/u.test(text);

/** Parses a note with the bounds of `openedNote`; verifies nothing. */
export function notePartsOf(note: string): NoteParts | Problem {
  if (note.length > MAX_NOTE) return { problem: `is longer than ${MAX_NOTE} characters` };
  // The text may contain empty lines; the last empty line ends it.
  const end = note.lastIndexOf('\n\n');
  if (end === -1 || !note.endsWith('\n') || !isNoteText(note)) return { problem: 'is not a signed note' };
  const lines = note.slice(end + 2, -1).split('\n', MAX_SIGNATURES + 1);
  if (lines.length > MAX_SIGNATURES) return { problem: `has more than ${MAX_SIGNATURES} signatures` };
  const signatures: NoteSignature[] = [];
  for (const line of lines) {
    const signature = signatureFrom(line);
    if (signature === null) return { problem: 'has a line that is not a signature' };
    signatures.push(signature);
  }
  return { text: note.slice(0, end + 1), signatures };
}

function signatureFrom(line: string): NoteSignature | null {
  const [, name, base64] = /^— ([^ ]+) ([^ ]+)$/.exec(line) ?? [];
  if (name === undefined || base64 === undefined || !isKeyName(name)) return null;
  const bytes = bytesFromBase64(base64);
  if (bytes === null || bytes.length <= ID_BYTES) return null;
  return { name, id: bytes.toString('hex', 0, ID_BYTES), bytes: bytes.subarray(ID_BYTES) };
}

const isSignature = (text: string, { key, bytes }: { readonly key: NoteKey; readonly bytes: Uint8Array }): boolean =>
  verify(null, Buffer.from(text, 'utf8'), key.publicKey, bytes);
