import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { isProblem, type Problem } from '../token/members.ts';
import { base64Of, bytesFromBase64 } from './base64.ts';
import { isKeyName, noteKeyOf, type NoteKey } from './note-key.ts';

/** A note whose signatures were verified. */
export interface OpenedNote {
  /** What was signed, with its final newline. */
  readonly text: string;
  /** Those of the given keys that signed it; never empty. */
  readonly signers: readonly NoteKey[];
}

interface NoteSignature {
  readonly name: string;
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** Characters of a note at most: 16 signatures of a post-quantum kind, and as much text. */
const MAX_NOTE = 131_072;
const MAX_SIGNATURES = 16;
const ID_BYTES = 4;

/**
 * The text of a note that at least one of `keys` signed. Signatures of other keys are ignored; one that fails under a key
 * of `keys` refuses the note, whatever else signed it, as do a note of more than 131,072 characters and one of more than
 * 16 signatures.
 *
 * @see C2SP signed-note
 */
export function openedNote(note: string, keys: readonly NoteKey[]): OpenedNote | Problem {
  const parts = partsOf(note);
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
 * A text with its signature under a name. The text must end in a newline and be otherwise free of control characters.
 *
 * @param signer the private key is Ed25519
 */
export function signedNote(text: string, signer: { readonly name: string; readonly privateKey: KeyObject }): string {
  if (!text.endsWith('\n') || !isNoteText(text)) throw new Error('the text cannot be that of a note');
  const { id } = noteKeyOf(signer.name, createPublicKey(signer.privateKey));
  const signature = sign(null, Buffer.from(text, 'utf8'), signer.privateKey);
  return `${text}\n— ${signer.name} ${base64Of(Buffer.concat([Buffer.from(id, 'hex'), signature]))}\n`;
}

/** No control character but newline, of those below U+0020. */
const isNoteText = (text: string): boolean => text.isWellFormed() && /^[\n -\u{10ffff}]*$/u.test(text);

function partsOf(note: string): { readonly text: string; readonly signatures: readonly NoteSignature[] } | Problem {
  if (note.length > MAX_NOTE) return { problem: `is longer than ${MAX_NOTE} characters` };
  // The text may have empty lines itself: the last one ends it.
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
