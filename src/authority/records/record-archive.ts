import { readFileSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { isRecordFileName, recordFilesIn } from './record-files.ts';
import { OBJECT_SUFFIX } from './record-objects.ts';
import type { Bucket, ObjectPage } from './record-objects.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

const expanded = promisify(gunzip);

/** Largest object when expanded: twice what a receiver keeps at once. */
const MAX_BYTES = 64 * 1024 ** 2;

/** An object that is not what its writer wrote. */
export interface DamagedObject extends Problem {
  readonly isDamaged: true;
}

/** What is kept of received records: objects of a bucket or files of a folder, whose names sort by time. */
export interface RecordArchive {
  readonly list: (next: string | null) => Promise<ObjectPage | Problem>;
  /** The sections in it; `null` if it is gone. */
  readonly text: (name: string) => Promise<Buffer | null | Problem | DamagedObject>;
  /** Deletes at most 1,000. Those that are gone count as deleted. Returns a problem. */
  readonly remove: (names: readonly string[]) => Promise<string | null>;
}

/** The name of the file for an object; the name of a file stays as it is. */
export const fileNameOf = (name: string): string =>
  name.endsWith(OBJECT_SUFFIX) ? name.slice(0, -OBJECT_SUFFIX.length) : name;

/** The objects of a bucket. */
export function bucketArchive(bucket: Pick<Bucket, 'list' | 'get' | 'remove'>): RecordArchive {
  return {
    list: (next) => bucket.list(next),
    text: async (name) => {
      const body = await bucket.get(name);
      if (body === null || isProblem(body)) return body;
      try {
        return await expanded(body, { maxOutputLength: MAX_BYTES });
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        return { problem: `\`${name}\` cannot be expanded: ${why}`, isDamaged: true };
      }
    },
    remove: (names) => bucket.remove(names),
  };
}

/** The files of a folder. */
export function folderArchive(folder: string): RecordArchive {
  const guarded = async <T>(work: () => T): Promise<T | Problem> => {
    try {
      return work();
    } catch (error) {
      return { problem: `\`${folder}\`: ${errorCode(error) ?? String(error)}` };
    }
  };
  return {
    list: () => guarded(() => ({ objects: recordFilesIn(folder).map(fileIn), next: null })),
    text: (name) => guarded(() => (isRecordFileName(name) ? readFileSync(join(folder, name)) : null)),
    remove: async (names) => {
      const done = await guarded(() => {
        for (const name of names.filter(isRecordFileName)) rmSync(join(folder, name), { force: true });
        return null;
      });
      return done === null ? null : done.problem;
    },
  };
}

/** A hole in a file takes no space: else a sparse file would get all others deleted. */
function fileIn(path: string): { readonly name: string; readonly bytes: number } {
  const { size, blocks } = statSync(path);
  return { name: basename(path), bytes: Math.min(size, blocks * BLOCK_BYTES) };
}

/** The unit of `st_blocks` on every file system. */
const BLOCK_BYTES = 512;

/** The bytes of all objects of an archive: a page after the other. */
export async function bytesOf(archive: Pick<RecordArchive, 'list'>): Promise<number | Problem> {
  let bytes = 0;
  let next: string | null = null;
  do {
    const page = await archive.list(next);
    if (isProblem(page)) return page;
    bytes += page.objects.reduce((sum, object) => sum + object.bytes, 0);
    next = page.next;
  } while (next !== null);
  return bytes;
}
