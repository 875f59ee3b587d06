import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import { cosignedText } from '../../../../src/core/ledger/proof/cosignature.ts';
import { witnessKeyOf, type WitnessKey } from '../../../../src/core/ledger/proof/note-key.ts';
import { privateKeyOf } from '../keys.ts';

/** A witness with its private key. */
export interface SigningWitness {
  readonly key: WitnessKey;
  readonly privateKey: KeyObject;
}

/** Witness number `n`, whose key is made of its number. */
export const witnessNumber = (n: number, name = `witness.test/w${n}`): SigningWitness => {
  const privateKey = privateKeyOf(Buffer.alloc(32, 100 + n));
  return { key: witnessKeyOf(name, createPublicKey(privateKey)), privateKey };
};

/** The signature line of a cosignature, with its newline. */
export function cosignatureLine({ key, privateKey }: SigningWitness, text: string, atSeconds: number): string {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(atSeconds));
  const signature = sign(null, Buffer.from(cosignedText(text, atSeconds)), privateKey);
  const bytes = Buffer.concat([Buffer.from(key.id, 'hex'), time, signature]);
  return `— ${key.name} ${bytes.toString('base64')}\n`;
}

/** A note with a cosignature at an instant. */
export const cosignedNote = (note: string, witness: SigningWitness, atSeconds: number): string =>
  note + cosignatureLine(witness, note.slice(0, note.indexOf('\n\n') + 1), atSeconds);
