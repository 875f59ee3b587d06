import { createPublicKey } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { folderVerdict } from '../../../core/ledger/log/folder-verdict.ts';
import { noteKeyOf } from '../../../core/ledger/proof/note-key.ts';
import type { LedgerFolder } from '../remit/remit-facts.ts';

/** Largest ledger that is verified, which takes some seconds. */
const MAX_BYTES = 268_435_456;

/**
 * Verifies a ledger that is not too large, by the public part of the key that signs it. That finds damage, not a forgery by somebody who has
 * the key: `remit ledger verify` takes a key that was kept elsewhere.
 */
export function ledgerVerdict(folder: string, keyFile: string): Pick<LedgerFolder, 'broken' | 'isVerified'> {
  try {
    if (sizeOf(folder) > MAX_BYTES) return { broken: null, isVerified: false };
    const publicKey = createPublicKey(readFileSync(keyFile));
    const keyOf = (origin: string) => ({ key: noteKeyOf(origin, publicKey), anchors: [] });
    const found = folderVerdict(folder, keyOf, () => undefined);
    if (found === null) return { broken: 'it has no ledger', isVerified: true };
    if ('problem' in found) return { broken: null, isVerified: false };
    const { verdict } = found;
    return { broken: verdict.kind === 'broken' ? verdict.problem : null, isVerified: true };
  } catch {
    return { broken: null, isVerified: false };
  }
}

const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce(
    (total, name) => total + statSync(join(folder, name)).size,
    0,
  );
