import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Problem } from '../../runtime/problem.ts';
import { COSIGNATURE_TYPE, isKeyName, keyIdOf, verifierKeyText } from '../../runtime/verifier-key.ts';
import type { VerifierKeyText } from '../../runtime/verifier-key.ts';
import { base64Of } from './base64.ts';

/** A key that verifies notes, identified by name and id. */
export interface NoteKey {
  readonly name: string;
  /** 4 bytes in hex: distinguishes keys, proves nothing. */
  readonly id: string;
  /** Ed25519 public key. */
  readonly publicKey: KeyObject;
}

/** A key of a witness, which signs checkpoints together with the time. Not a key of a log: its signatures have another type. */
export interface WitnessKey extends NoteKey {
  readonly role: 'witness';
}

/** The signature type of plain Ed25519. Signatures of other types, such as ML-DSA-44, are ignored. */
const ED25519 = 0x01;
const ED25519_BYTES = 32;

/** Makes a key. Throws if the name is invalid or the key is not Ed25519. */
export function noteKeyOf(name: string, publicKey: KeyObject): NoteKey {
  if (!isKeyName(name)) throw new Error(`invalid key name \`${name}\``);
  return { name, id: keyIdOf(name, encoded(publicKey, ED25519)), publicKey };
}

/** Makes the key of a witness. Throws if the name is invalid or the key is not Ed25519. */
export function witnessKeyOf(name: string, publicKey: KeyObject): WitnessKey {
  if (!isKeyName(name)) throw new Error(`invalid key name \`${name}\``);
  return { name, id: keyIdOf(name, encoded(publicKey, COSIGNATURE_TYPE)), publicKey, role: 'witness' };
}

/** A key as text for pinning: `name+id+base64`. */
export const noteKeyText = ({ name, id, publicKey }: NoteKey): string =>
  `${name}+${id}+${base64Of(encoded(publicKey, ED25519))}`;

/** The key of a witness as text: `name+id+base64`. */
export const witnessKeyText = ({ name, id, publicKey }: WitnessKey): string =>
  `${name}+${id}+${base64Of(encoded(publicKey, COSIGNATURE_TYPE))}`;

/**
 * Parses the text of a key from `noteKeyText` or another C2SP tool. Refuses an id that does not belong to the key.
 *
 * @see C2SP signed-note, "Ed25519 signatures"
 */
export function noteKeyFrom(text: string): NoteKey | Problem {
  const parts = verifierKeyText(text);
  if (parts === null) return { problem: 'must be a note key: `name+id+base64` of an Ed25519 key' };
  if (parts.type !== ED25519) {
    const isWitness = parts.type === COSIGNATURE_TYPE;
    return { problem: `must be a note key of type Ed25519${isWitness ? ', and is the key of a witness' : ''}` };
  }
  return withId(noteKeyOf(parts.name, publicKeyOf(parts)), parts);
}

/**
 * Parses the text of the key of a witness, as `litewitness` prints it. Refuses an id that does not belong to the key.
 *
 * @see C2SP tlog-cosignature, "Format"
 */
export function witnessKeyFrom(text: string): WitnessKey | Problem {
  const parts = verifierKeyText(text);
  if (parts === null) return { problem: 'must be the key of a witness: `name+id+base64` of an Ed25519 key' };
  if (parts.type !== COSIGNATURE_TYPE) {
    const isLog = parts.type === ED25519;
    return { problem: `must be a key for cosignatures (type 4)${isLog ? ', and is the key of a log' : ''}` };
  }
  return withId(witnessKeyOf(parts.name, publicKeyOf(parts)), parts);
}

const publicKeyOf = ({ key }: VerifierKeyText): KeyObject => {
  const x = Buffer.from(key).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
};

const withId = <K extends NoteKey>(key: K, { id, ownId }: VerifierKeyText): K | Problem =>
  id === ownId ? key : { problem: `has the id \`${id}\`, but its key has \`${ownId}\`` };

/** The signature type and the 32 bytes of the key. */
function encoded(publicKey: KeyObject, type: number): Buffer {
  const bytes = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  if (publicKey.asymmetricKeyType !== 'ed25519' || bytes.length !== ED25519_BYTES)
    throw new Error('not an Ed25519 key');
  return Buffer.concat([Buffer.of(type), bytes]);
}
