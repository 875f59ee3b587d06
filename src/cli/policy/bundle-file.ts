/** Reads the files of a signed bundle and of its keys. */
import { readFile } from 'node:fs/promises';
import { bundleFrom } from '../../core/policy/bundle/bundle.ts';
import type { Bundle, BundleTrust } from '../../core/policy/bundle/bundle.ts';
import { signingKeysFrom } from '../../core/policy/bundle/bundle-keys.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT } from '../command.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/**
 * The bundle in a file, verified with a JWK Set. By default it may have any name, and one signature is enough. The caller checks its
 * expiry.
 */
export async function signedBundleAt(
  file: string,
  keysFile: string,
  trust: Partial<Pick<BundleTrust, 'name' | 'signatures'>> = {},
): Promise<Bundle | CommandRefusal> {
  const content = await bundleFileText(file);
  return isCommandRefusal(content) ? content : signedBundleFrom(content.text, { file, keysFile, ...trust });
}

/** As `signedBundleAt`, for a text that was already read, so that the caller goes on with exactly what was verified. */
export async function signedBundleFrom(
  text: string,
  {
    file,
    keysFile,
    name = null,
    signatures = 1,
  }: Partial<Pick<BundleTrust, 'name' | 'signatures'>> & { readonly file: string; readonly keysFile: string },
): Promise<Bundle | CommandRefusal> {
  const keysText = await bundleFileText(keysFile);
  if (isCommandRefusal(keysText)) return keysText;
  const keys = signingKeysFrom(jsonOf(keysText.text));
  if (isProblem(keys)) return taskRefusal(`the key set \`${keysFile}\` ${keys.problem}`);
  const found = bundleFrom(text, { keys, name, signatures }, file);
  return isProblem(found) ? taskRefusal(`\`${file}\` ${found.problem}`, EXIT.no) : found;
}

/** The text of a file, or a refusal with the code of the error. */
export async function bundleFileText(file: string): Promise<{ readonly text: string } | CommandRefusal> {
  try {
    return { text: await readFile(file, 'utf8') };
  } catch (error) {
    return taskRefusal(`\`${file}\` could not be read: ${errorCode(error) ?? 'unknown error'}`);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
