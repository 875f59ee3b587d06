import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import { folderVerdict } from '../../../core/ledger/log/folder-verdict.ts';
import { noteKeyOf } from '../../../core/ledger/proof/note-key.ts';
import type { LedgerFolder } from '../remit/remit-facts.ts';
import { pathsBelow } from './paths-below.ts';

/** Largest ledger that is verified by default, which takes some seconds. */
const MAX_BYTES = 268_435_456;

type LedgerVerdict = Pick<LedgerFolder, 'broken' | 'isVerified' | 'unsignedSinceMs'>;

const UNVERIFIED: LedgerVerdict = { broken: null, isVerified: false };

/**
 * Verifies a ledger that is not too large, by the public part of the key that signs it. That finds damage, not a forgery by somebody who has
 * the key: `remit ledger verify` takes a key that was kept elsewhere.
 */
export function ledgerVerdict(folder: string, keyFile: string, maxBytes = MAX_BYTES): LedgerVerdict {
  try {
    if (sizeOf(folder) > maxBytes) return UNVERIFIED;
    const publicKey = publicKeyIn(readFileSync(keyFile));
    if (publicKey === null)
      return { broken: `\`${keyFile}\` has no Ed25519 key that could have signed them`, isVerified: true };
    const keyOf = (origin: string) => ({ key: noteKeyOf(origin, publicKey), anchors: [] });
    /** The instants of the records, the first remaining first. */
    const instants: JsonValue[] = [];
    const found = folderVerdict(folder, keyOf, ({ record }) => void instants.push(record['at'] ?? null));
    if (found === null) return { broken: 'it has no ledger', isVerified: true };
    if ('problem' in found) return UNVERIFIED;
    const { verdict } = found;
    if (verdict.kind === 'broken') return { broken: verdict.problem, isVerified: true };
    if (verdict.bare === null) return { broken: null, isVerified: true };
    // A forged record may have no instant.
    const unsigned = instants[verdict.bare.from - verdict.pruned - 1];
    return { broken: null, isVerified: true, unsignedSinceMs: typeof unsigned === 'number' ? unsigned : Number.NaN };
  } catch {
    return UNVERIFIED;
  }
}

/** `null` if there is no key, or a key of another kind, with which no ledger is signed. */
function publicKeyIn(pem: Buffer): KeyObject | null {
  try {
    const key = createPublicKey(pem);
    return key.asymmetricKeyType === 'ed25519' ? key : null;
  } catch {
    return null;
  }
}

/** Most files that are looked at: a ledger of this size has some thousands. */
const MAX_FILES = 100_000;

/** The bytes of all files. */
const sizeOf = (folder: string): number =>
  pathsBelow(folder, MAX_FILES).reduce((total, path) => total + bytesOf(path), 0);

const BLOCK_BYTES = 512;

/** The bytes that a file takes on the disk, since its length can be forged: a sparse file has any length. 0 for anything but a file. */
function bytesOf(path: string): number {
  try {
    const found = statSync(path);
    return found.isFile() ? Math.min(found.size, found.blocks * BLOCK_BYTES) : 0;
  } catch {
    return 0;
  }
}
