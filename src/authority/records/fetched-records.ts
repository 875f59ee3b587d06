import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { replacePrivateFile } from '../../core/runtime/system/private-write.ts';
import { bucketArchive, fileNameOf } from './record-archive.ts';
import { isRecordFileName } from './record-files.ts';
import type { Bucket } from './record-objects.ts';

/** What a fetch did. */
export interface FetchedRecords {
  /** Objects of records in the store. */
  readonly all: number;
  /** Those that were not in the folder before. */
  readonly copied: number;
}

/**
 * Copies the received records of a bucket into files of a folder, those that are not there yet; the folder is created if missing. A damaged
 * object is skipped, and reported once all others are copied. Throws the system's error.
 */
export async function fetchRecords(
  bucket: Pick<Bucket, 'list' | 'get' | 'remove'>,
  folder: string,
  ports: Pick<Ports, 'randomBytes'>,
): Promise<FetchedRecords | Problem> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const archive = bucketArchive(bucket);
  let [all, copied] = [0, 0];
  let damaged: Problem | null = null;
  let next: string | null = null;
  do {
    const page = await archive.list(next);
    if (isProblem(page)) return page;
    for (const { name } of page.objects) {
      const file = fileNameOf(name);
      if (!isRecordFileName(file)) continue;
      all += 1;
      if (existsSync(join(folder, file))) continue;
      const text = await archive.text(name);
      // The retention deleted it after it was listed.
      if (text === null) continue;
      if (isProblem(text)) {
        if (!('isDamaged' in text)) return text;
        damaged ??= text;
        continue;
      }
      replacePrivateFile(join(folder, file), text.toString('utf8'), Buffer.from(ports.randomBytes(4)).toString('hex'));
      copied += 1;
    }
    next = page.next;
  } while (next !== null);
  return damaged ?? { all, copied };
}
