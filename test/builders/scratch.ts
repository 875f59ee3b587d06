import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of its own for each test, removed after all. */
export const scratch = (): { readonly folder: () => string; readonly remove: () => void } => {
  const root = mkdtempSync(join(tmpdir(), 'remit-test-'));
  chmodSync(root, 0o700);
  return {
    folder: () => mkdtempSync(join(root, 'case-')),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
};
