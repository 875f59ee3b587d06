import { hash } from 'node:crypto';

/** A verifier key as text has it: `name+id+base64` of a signature type and an Ed25519 key. */
export interface VerifierKeyText {
  readonly name: string;
  /** 4 bytes in hex, as the text says. */
  readonly id: string;
  /** The id that belongs to name, type and key. */
  readonly ownId: string;
  /** The signature type: 1 for Ed25519, 4 for its cosignatures. */
  readonly type: number;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

const MAX_NAME = 512;

/** Whether a text is a valid key name: 1 to 512 characters without plus, white space and control characters. */
export const isKeyName = (name: string): boolean =>
  name.length <= MAX_NAME && name.isWellFormed() && /^[^+\p{White_Space}\p{Cc}]+$/u.test(name);

/** The id of a key: distinguishes keys, proves nothing. @param typed the signature type and the key */
export const keyIdOf = (name: string, typed: Uint8Array): string =>
  hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typed])).slice(0, 8);

/**
 * Splits a verifier key; `null` if the text is not a verifier key. Its id is not compared.
 *
 * @see C2SP signed-note, "Verifier keys"
 */
export function verifierKeyText(text: string): VerifierKeyText | null {
  const [, name, id, base64] = /^([^+]{1,512})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/.exec(text) ?? [];
  if (name === undefined || id === undefined || base64 === undefined || !isKeyName(name)) return null;
  // 44 characters are 33 bytes without padding, so each text has one spelling.
  const typed = Buffer.from(base64, 'base64');
  return { name, id, ownId: keyIdOf(name, typed), type: typed[0] ?? 0, key: typed.subarray(1) };
}

/** The signature type of cosignatures by Ed25519. */
export const COSIGNATURE_TYPE = 0x04;
