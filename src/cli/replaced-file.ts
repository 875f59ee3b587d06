import { rename, stat, unlink, writeFile } from 'node:fs/promises';

/**
 * Replaces a file atomically, so that a concurrent reader never sees half a file. It keeps the file's mode. Throws the system's errors.
 *
 * @param suffix of the file beside it that takes its place; a file of that name is an error
 */
export async function replaceFile(file: string, text: string, suffix: string): Promise<void> {
  const beside = `${file}${suffix}`;
  try {
    await writeFile(beside, text, { flag: 'wx', mode: (await stat(file)).mode });
    await rename(beside, file);
  } catch (error) {
    await unlink(beside).catch(() => undefined);
    throw error;
  }
}
