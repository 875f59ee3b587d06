import { rename, stat, unlink, writeFile } from 'node:fs/promises';

/**
 * Replaces a file atomically, so that a concurrent reader never sees half a file. The new file has the mode of the old one, less
 * the umask; a symbolic link is replaced by a file. Throws the system's errors.
 *
 * @param suffix of the temporary file beside it; if that exists already, it is deleted and the call fails
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
