import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { SigningKeyProblem } from './signing-key.ts';

const MAX_FILES = 32;

/** The key files of a folder of signing keys, by name; a problem if others can write to it. Throws the system's error. */
export function signingKeyFiles(folder: string): readonly string[] | SigningKeyProblem {
  const mode = lstatSync(folder).mode & 0o777;
  if ((mode & 0o022) !== 0) return { problem: `the folder of signing keys \`${folder}\` is writable by others` };
  const names = readdirSync(folder).filter((name) => name.endsWith('.pem') || name.endsWith('.jwk'));
  if (names.length > MAX_FILES) return { problem: `\`${folder}\` has more than ${MAX_FILES} signing keys` };
  return names.toSorted().map((name) => join(folder, name));
}
