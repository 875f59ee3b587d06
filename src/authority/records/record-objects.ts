import { hash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Problem } from '../../core/runtime/problem.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { packText } from './pack.ts';
import type { Section } from './pack.ts';
import { recordFileName } from './record-files.ts';
import type { RecordStore } from './record-store.ts';

const compressed = promisify(gzip);

/** Suffix of the name of an object; without it, the name is that of the file that `fetchRecords` writes. */
export const OBJECT_SUFFIX = '.gz';

/** An object of a bucket, or a file. */
export interface StoredObject {
  readonly name: string;
  readonly bytes: number;
}

/** A page of objects, and the cursor of the next page; `null` after the last. */
export interface ObjectPage {
  readonly objects: readonly StoredObject[];
  readonly next: string | null;
}

/** A place for objects, each written once and never changed. Every failure is a problem in words, without an address or a credential. */
export interface Bucket {
  /** Writes a new object. An existing object of the same size counts as written: its name identifies its content. Returns a problem. */
  readonly put: (name: string, body: Uint8Array) => Promise<string | null>;
  /** The bytes of an object; `null` if it is gone. */
  readonly get: (name: string) => Promise<Uint8Array | null | Problem>;
  /** A page of the objects in the order of their names, after that of `next`; its own `next` is `null` for the last. */
  readonly list: (next: string | null) => Promise<ObjectPage | Problem>;
  /** Deletes objects, at most 1,000. Those that are gone count as deleted. Returns a problem. */
  readonly remove: (names: readonly string[]) => Promise<string | null>;
}

/** Options of `RecordObjects`. */
export interface ObjectOptions {
  /** Names the store in problems. */
  readonly what: string;
  readonly nowMs: Ports['nowMs'];
  /** Largest object before compression. Default 8 MiB. */
  readonly maxBytes?: number;
}

/** Largest object before compression: what a store must take within its time limit. */
const MAX_BYTES = 8 * 1024 ** 2;

/**
 * Keeps received records in a bucket: a compressed object, or a few, per batch, named by time and content.
 *
 * Lifecycle: `keep` one after the other. The opener closes the bucket.
 */
export class RecordObjects implements RecordStore {
  readonly #bucket: Pick<Bucket, 'put'>;
  readonly #options: ObjectOptions;

  constructor(bucket: Pick<Bucket, 'put'>, options: ObjectOptions) {
    this.#bucket = bucket;
    this.#options = options;
  }

  async keep(sections: readonly Section[]): Promise<string | null> {
    const { what, nowMs, maxBytes = MAX_BYTES } = this.#options;
    for (const text of packedWithin(sections, maxBytes)) {
      const name = recordFileName(nowMs(), hash('sha256', text, 'buffer').subarray(0, 8));
      const problem = await this.#bucket.put(`${name}${OBJECT_SUFFIX}`, await compressed(text));
      if (problem !== null) return `records cannot be written to ${what}: ${problem}`;
    }
    return null;
  }
}

/** Packs sections into texts of at most `maxBytes`, unless a single section is larger. */
function* packedWithin(sections: readonly Section[], maxBytes: number): Generator<Buffer> {
  let texts: Buffer[] = [];
  let bytes = 0;
  for (const text of sections.map((section) => packText([section]))) {
    if (bytes > 0 && bytes + text.length > maxBytes) {
      yield Buffer.concat(texts);
      [texts, bytes] = [[], 0];
    }
    texts.push(text);
    bytes += text.length;
  }
  if (bytes > 0) yield Buffer.concat(texts);
}
