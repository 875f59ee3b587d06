import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';

/** The Ed25519 key of a seed of 32 bytes: the head of its PKCS #8 form is always the same. */
export const privateKeyOf = (seed: Uint8Array): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
    format: 'der',
    type: 'pkcs8',
  });

export const publicKeyOf = (privateKey: KeyObject): KeyObject => createPublicKey(privateKey);
