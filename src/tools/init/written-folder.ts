import { link, lstat, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const PRIVATE_FOLDER_MODE = 0o700;
/** Remit refuses configuration and policies that others may write. */
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

/** What stopped the writing: files that are there, or a failed operation. */
export type WriteProblem = { readonly existing: readonly string[] } | { readonly failed: string };

/**
 * Writes the files into `folder`, which is made if it is missing. Writes nothing if any of them exists, unless `replace` is
 * set; then each is replaced by rename, so that a link is not followed. All are written under temporary names first: a full
 * disk changes no file.
 *
 * @param suffix of temporary files; must be unique
 * @param privateFolders further folders, created with mode 0700 if they are missing
 */
export async function writeFolder(
  folder: string,
  files: ReadonlyMap<string, string>,
  {
    replace,
    suffix,
    privateFolders,
  }: { readonly replace: boolean; readonly suffix: string; readonly privateFolders: readonly string[] },
): Promise<WriteProblem | null> {
  const temporary: string[] = [];
  try {
    const existing = replace ? [] : await existingOf(folder, [...files.keys()]);
    if (existing.length > 0) return { existing };
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    for (const name of privateFolders) await mkdir(join(folder, name), { recursive: true, mode: PRIVATE_FOLDER_MODE });
    for (const [name, text] of files) {
      const path = join(folder, `${name}.${suffix}`);
      await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
      temporary.push(path);
      await writeFile(path, text, { flag: 'wx', mode: FILE_MODE });
    }
    // Unlike a rename, a link refuses a file that came meanwhile.
    for (const name of files.keys())
      await (replace ? rename : link)(join(folder, `${name}.${suffix}`), join(folder, name));
    return null;
  } catch (error) {
    // By shape: under a test runner the error is of another realm.
    const { message } = error as { readonly message?: unknown };
    return { failed: String(message) };
  } finally {
    for (const path of temporary) await rm(path, { force: true });
  }
}

async function existingOf(folder: string, names: readonly string[]): Promise<readonly string[]> {
  const isThere = await Promise.all(
    names.map((name) =>
      lstat(join(folder, name)).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return false;
          throw error;
        },
      ),
    ),
  );
  return names.filter((_name, index) => isThere[index]);
}
