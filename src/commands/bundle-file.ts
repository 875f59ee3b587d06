import { readFile } from 'node:fs/promises';
import { bundleFrom } from '../policy/bundle/bundle.ts';
import type { Bundle } from '../policy/bundle/bundle.ts';
import { verificationKeysFrom } from '../token/jwks.ts';
import { isProblem } from '../runtime/problem.ts';
import { EXIT } from './command.ts';
import { isCommandRefusal, refusal } from './task-source.ts';
import type { CommandRefusal } from './task-source.ts';

const ALGORITHMS = new Set(['ES256', 'Ed25519', 'RS256'] as const);

/** The bundle in a file, verified with a JWK Set. The caller checks its expiry. */
export async function signedBundleAt(file: string, keysFile: string): Promise<Bundle | CommandRefusal> {
  const [content, keysText] = [await bundleFileText(file), await bundleFileText(keysFile)];
  if (isCommandRefusal(content)) return content;
  if (isCommandRefusal(keysText)) return keysText;
  const keys = verificationKeysFrom(jsonOf(keysText.text), ALGORITHMS);
  if (isProblem(keys)) return refusal(`the key set \`${keysFile}\` ${keys.problem}`);
  const found = bundleFrom(content.text, keys, file);
  return isProblem(found) ? refusal(`\`${file}\` ${found.problem}`, EXIT.no) : found;
}

/** The text of a file. */
export async function bundleFileText(file: string): Promise<{ readonly text: string } | CommandRefusal> {
  try {
    return { text: await readFile(file, 'utf8') };
  } catch (error) {
    return refusal(`\`${file}\` could not be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
