import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { Problem } from '../../runtime/problem.ts';
import { base64Of, bytesFromBase64 } from './base64.ts';

/** A key that verifies notes, identified by name and id. */
export interface NoteKey {
  readonly name: string;
  /** 4 bytes in hex: distinguishes keys, proves nothing. */
  readonly id: string;
  /** Ed25519 public key. */
  readonly publicKey: KeyObject;
}

/** The signature type of plain Ed25519. Cosignatures and ML-DSA-44 have other types and are ignored. */
const ED25519 = 0x01;
const ED25519_BYTES = 32;
const MAX_NAME = 512;

/** Whether a text is a valid key name: 1 to 512 characters without plus, white space and control characters. */
export const isKeyName = (name: string): boolean =>
  name.length <= MAX_NAME && name.isWellFormed() && /^[^+\p{White_Space}\p{Cc}]+$/u.test(name);

/** Makes a key. Throws if the name is invalid or the key is not Ed25519. */
export function noteKeyOf(name: string, publicKey: KeyObject): NoteKey {
  if (!isKeyName(name)) throw new Error(`invalid key name \`${name}\``);
  const id = createHash('sha256').update(`${name}\n`).update(encoded(publicKey)).digest('hex').slice(0, 8);
  return { name, id, publicKey };
}

/** A key as text for pinning: `name+id+base64`. */
export const noteKeyText = ({ name, id, publicKey }: NoteKey): string =>
  `${name}+${id}+${base64Of(encoded(publicKey))}`;

/**
 * Parses the text of a key from `noteKeyText` or another C2SP tool. Refuses an id that does not belong to the key.
 *
 * @see C2SP signed-note, "Ed25519 signatures"
 */
export function noteKeyFrom(text: string): NoteKey | Problem {
  const [, name, id, base64] = /^([^+]{1,512})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/.exec(text) ?? [];
  if (name === undefined || base64 === undefined || !isKeyName(name)) {
    return { problem: 'must be a note key: `name+id+base64` of an Ed25519 key' };
  }
  const bytes = bytesFromBase64(base64);
  if (bytes === null || bytes[0] !== ED25519) return { problem: 'must be a note key of type Ed25519' };
  const x = bytes.subarray(1).toString('base64url');
  const key = noteKeyOf(name, createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }));
  return key.id === id ? key : { problem: `has the id \`${id}\`, but its key has \`${key.id}\`` };
}

/** The signature type and the 32 bytes of the key. */
function encoded(publicKey: KeyObject): Buffer {
  const bytes = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  if (publicKey.asymmetricKeyType !== 'ed25519' || bytes.length !== ED25519_BYTES)
    throw new Error('not an Ed25519 key');
  return Buffer.concat([Buffer.of(ED25519), bytes]);
}
