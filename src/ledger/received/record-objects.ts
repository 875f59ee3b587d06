import { hash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Ports } from '../../runtime/ports.ts';
import { packText } from './pack.ts';
import type { Section } from './pack.ts';
import { recordFileName } from './record-files.ts';
import type { RecordStore } from './record-store.ts';
import type { S3Bucket } from './s3-bucket.ts';

const compressed = promisify(gzip);

/** What the names of objects have after those of the files they become. */
export const OBJECT_SUFFIX = '.gz';

/**
 * Keeps received records in an object store: one compressed object for what is kept at once, named by time and content.
 *
 * Lifecycle: `keep` one after the other, `close` once.
 */
export class RecordObjects implements RecordStore {
  readonly #bucket: Pick<S3Bucket, 'put' | 'close'>;
  readonly #ports: Pick<Ports, 'nowMs'>;

  constructor(bucket: Pick<S3Bucket, 'put' | 'close'>, ports: Pick<Ports, 'nowMs'>) {
    this.#bucket = bucket;
    this.#ports = ports;
  }

  async keep(sections: readonly Section[]): Promise<string | null> {
    const text = packText(sections);
    const name = recordFileName(this.#ports.nowMs(), hash('sha256', text, 'buffer').subarray(0, 8));
    const problem = await this.#bucket.put(`${name}${OBJECT_SUFFIX}`, await compressed(text));
    return problem === null ? null : `records cannot be written to the object store: ${problem}`;
  }

  async close(): Promise<void> {
    this.#bucket.close();
  }
}
