import { lstat, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isCatalogFile } from '../../core/policy/loading/source-names.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import type { Problem } from '../../core/runtime/problem.ts';

/** A name of a file in a learnt folder: at most one folder deep, no name that is hidden or leads out. */
const NAME = /^(?:[a-z]+\/)?[a-z0-9][A-Za-z0-9_-]*(?:\.[a-z]+){1,2}$/;

/** A name of a file of a policy folder, of any depth, without empty, `.` or `..` segments. */
const COPIED = /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[^\0\\]+$/;

/** The files of a learnt folder by name. */
export type LearntFiles = ReadonlyMap<string, string | Uint8Array>;

/**
 * All files of a learnt folder, or a problem if one has a name that would lead out of it.
 *
 * @param copied unchanged files of the existing policy folder
 */
export function filesToWrite(learnt: LearntFiles, copied: LearntFiles = new Map()): LearntFiles | Problem {
  const wrong =
    [...learnt.keys()].find((name) => !NAME.test(name) && !(isCatalogFile(name) && COPIED.test(name))) ??
    [...copied.keys()].find((name) => !COPIED.test(name));
  return wrong === undefined
    ? new Map([...copied, ...learnt])
    : { problem: `\`${wrong}\` is no name of a learnt file` };
}

/**
 * Writes files into a folder, which is made if it is missing. It overwrites nothing: if one of the files exists, nothing is written, and the
 * problem names it. A subfolder that is a link is refused, so that nothing is written outside.
 */
export async function writeLearntFolder(folder: string, files: LearntFiles): Promise<Problem | null> {
  const folders = new Set([...files.keys()].map((name) => join(folder, dirname(name))));
  try {
    for (const within of [folder, ...folders]) {
      const about = await existing(within);
      if (about !== null && !about.isDirectory()) return { problem: `\`${within}\` exists, and is not a folder` };
    }
    for (const name of files.keys()) {
      const path = join(folder, name);
      if ((await existing(path)) !== null)
        return { problem: `\`${path}\` exists: nothing is overwritten, name another folder` };
    }
    for (const within of [folder, ...folders]) await mkdir(within, { recursive: true });
    for (const [name, text] of files) await writeFile(join(folder, name), text, { flag: 'wx' });
    return null;
  } catch (error) {
    return { problem: `\`${folder}\` cannot be written: ${errorCode(error) ?? String(error)}` };
  }
}

async function existing(path: string): Promise<{ readonly isDirectory: () => boolean } | null> {
  return lstat(path).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  });
}
