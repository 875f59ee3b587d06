import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { errorCode } from '../runtime/system/error-code.ts';

/** Longest file read, in bytes: enough for a bundle with the most certificates. */
export const MAX_FILE_BYTES = 1024 * 1024;

/** A file's text and its permissions. */
export interface SmallFile {
  readonly text: string;
  /** Whether users other than owner and group may read or write it. */
  readonly isOpenToAll: boolean;
}

const OTHERS_READ_OR_WRITE = 0o006;

/** Reads a regular file of at most 1 MiB. The problem names the file and never quotes it. */
export async function smallFile(path: string): Promise<SmallFile | { readonly problem: string }> {
  try {
    // O_NONBLOCK: opening a pipe must not wait for its other end.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return await readSmall(handle, path);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = errorCode(error) ?? 'unknown error';
    return { problem: `cannot read \`${path}\`: ${code}` };
  }
}

async function readSmall(handle: FileHandle, path: string): Promise<SmallFile | { readonly problem: string }> {
  const status = await handle.stat();
  if (!status.isFile()) return { problem: `\`${path}\` is not a file` };
  if (status.size > MAX_FILE_BYTES) return { problem: `\`${path}\` is longer than ${MAX_FILE_BYTES} bytes` };
  const buffer = Buffer.alloc(status.size);
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
  return { text: buffer.toString('utf8', 0, bytesRead), isOpenToAll: (status.mode & OTHERS_READ_OR_WRITE) !== 0 };
}
