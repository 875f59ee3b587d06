import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { privateFileProblem } from '../../runtime/system/private-file.ts';
import { writePrivateFile } from '../../runtime/system/private-write.ts';
import { storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/** Longest key file read, in bytes. */
const MAX_BYTES = 16_384;

/** The Ed25519 key that signs checkpoints: PKCS#8 PEM, created if missing. Refuses a file that others may read. */
export function logKeyAt(path: string): KeyObject | StoreFailure {
  try {
    if (!existsSync(path)) {
      writePrivateFile(path, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
    }
    const stats = lstatSync(path);
    const problem = privateFileProblem(path, stats);
    if (problem !== null) return storeFailure('unusable', `ledger key ${problem}`);
    if (stats.size > MAX_BYTES)
      return storeFailure('unusable', `ledger key \`${path}\` is larger than ${MAX_BYTES} bytes`);
    const key = privateKeyFrom(readFileSync(path, 'utf8'));
    return key ?? storeFailure('unusable', `ledger key \`${path}\` is not an Ed25519 key in PKCS#8 PEM`);
  } catch (error) {
    // The code alone: the message of a parser could quote the key.
    return storeFailure('unusable', `ledger key \`${path}\` cannot be used: ${errorCode(error) ?? 'unknown error'}`);
  }
}

function privateKeyFrom(pem: string): KeyObject | null {
  try {
    const key = createPrivateKey({ key: pem, format: 'pem' });
    return key.asymmetricKeyType === 'ed25519' ? key : null;
  } catch {
    return null;
  }
}
