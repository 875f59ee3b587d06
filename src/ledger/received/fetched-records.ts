import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import type { Ports } from '../../runtime/ports.ts';
import { replacePrivateFile } from '../../runtime/private-write.ts';
import { isRecordFileName } from './record-files.ts';
import { OBJECT_SUFFIX } from './record-objects.ts';
import type { Bucket } from './record-objects.ts';

const expanded = promisify(gunzip);

/** Largest object when expanded: twice what a receiver keeps at once. */
const MAX_BYTES = 64 * 1024 ** 2;

/** What a fetch did. */
export interface FetchedRecords {
  /** Objects of records in the store. */
  readonly all: number;
  /** Those that were not in the folder before. */
  readonly copied: number;
}

/**
 * Copies the received records of an object store into files of a folder, those that are not there yet; the folder is created where missing.
 * Throws the system's error.
 */
export async function fetchRecords(
  bucket: Pick<Bucket, 'names' | 'get'>,
  folder: string,
  ports: Pick<Ports, 'randomBytes'>,
): Promise<FetchedRecords | Problem> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let [all, copied] = [0, 0];
  let next: string | null = null;
  do {
    const page = await bucket.names(next);
    if (isProblem(page)) return page;
    for (const file of page.names.map(fileOf).filter(isRecordFileName)) {
      all += 1;
      if (existsSync(join(folder, file))) continue;
      const body = await bucket.get(`${file}${OBJECT_SUFFIX}`);
      if (isProblem(body)) return body;
      const text = await textOf(body);
      if (isProblem(text)) return { problem: `\`${file}${OBJECT_SUFFIX}\` ${text.problem}` };
      replacePrivateFile(join(folder, file), text, Buffer.from(ports.randomBytes(4)).toString('hex'));
      copied += 1;
    }
    next = page.next;
  } while (next !== null);
  return { all, copied };
}

/** Empty for an object of another kind. */
const fileOf = (name: string): string => (name.endsWith(OBJECT_SUFFIX) ? name.slice(0, -OBJECT_SUFFIX.length) : '');

async function textOf(body: Uint8Array): Promise<string | Problem> {
  try {
    return (await expanded(body, { maxOutputLength: MAX_BYTES })).toString('utf8');
  } catch (error) {
    return { problem: `cannot be expanded: ${error instanceof Error ? error.message : String(error)}` };
  }
}
