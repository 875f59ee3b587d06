import { mkdirSync, readdirSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ports } from '../../core/runtime/ports.ts';
import { PRIVATE_MODE } from '../../core/runtime/system/private-file.ts';
import { synced } from '../../core/runtime/system/synced.ts';
import { packedPieces } from './pack.ts';
import type { Section } from './pack.ts';
import type { RecordStore } from './record-store.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** Size and age at which a new file begins. */
const MAX_BYTES = 64 * 1024 ** 2;
const MAX_AGE_MS = 3_600_000;
/** What is written at a time. */
const ROOM_BYTES = 256 * 1024;

const NAME = /^records-\d{16}-[0-9a-f]{8,16}\.jsonl$/;

/** The name of a file of received records, by when it was begun, so that names sort by time. @param id 4 to 8 bytes */
export const recordFileName = (nowMs: number, id: Uint8Array): string =>
  `records-${String(nowMs).padStart(16, '0')}-${Buffer.from(id).toString('hex')}.jsonl`;

/** Whether a name is that of a file of received records. */
export const isRecordFileName = (name: string): boolean => NAME.test(name);

/** When a file was begun, by its name, in milliseconds since the Unix epoch. */
export const beginOf = (name: string): number => Number(name.slice('records-'.length, 'records-'.length + 16));

/** The files of received records in a folder, oldest first; others are ignored. Throws the system's error. */
export const recordFilesIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter(isRecordFileName)
    .toSorted()
    .map((name) => join(folder, name));

interface OpenFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly begunMs: number;
  bytes: number;
  /** Bytes of the calls of `keep` that succeeded. */
  keptBytes: number;
}

/**
 * Keeps received records in files of a folder, created if missing: a new file each hour, after 64 MiB, and after a failure, whose
 * incomplete end readers skip. Each call is synced before it resolves.
 *
 * Lifecycle: `keep` one after the other, `close` once.
 */
export class RecordFiles implements RecordStore {
  readonly #folder: string;
  readonly #ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  readonly #room = new Uint8Array(ROOM_BYTES);
  #file: OpenFile | null = null;

  /** Throws the system's error if the folder cannot be created. */
  constructor(folder: string, ports: Pick<Ports, 'nowMs' | 'randomBytes'>) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
    this.#ports = ports;
  }

  async keep(sections: readonly Section[]): Promise<string | null> {
    let file: OpenFile | null = null;
    try {
      file = await this.#current();
      // INVARIANT: a file whose write or sync failed is not written again: its end and what the disk has of it are unknown.
      this.#file = null;
      for (const piece of packedPieces(sections, this.#room)) {
        await file.handle.appendFile(piece);
        file.bytes += piece.length;
      }
      await file.handle.datasync();
      file.keptBytes = file.bytes;
      this.#file = file;
      return null;
    } catch (error) {
      if (file !== null) await abandon(file);
      return `records cannot be written to \`${this.#folder}\`: ${errorCode(error) ?? String(error)}`;
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.handle.close();
  }

  async #current(): Promise<OpenFile> {
    const nowMs = this.#ports.nowMs();
    if (this.#file !== null && this.#file.bytes < MAX_BYTES && nowMs - this.#file.begunMs < MAX_AGE_MS)
      return this.#file;
    await this.close();
    const path = join(this.#folder, recordFileName(nowMs, this.#ports.randomBytes(4)));
    const handle = await open(path, 'ax', PRIVATE_MODE);
    const file = { path, handle, begunMs: nowMs, bytes: 0, keptBytes: 0 };
    try {
      synced(this.#folder);
      return file;
    } catch (error) {
      await abandon(file);
      throw error;
    }
  }
}

/**
 * Closes a file that is not written again, ignoring failures: Node ends a process in which an open file is garbage-collected.
 * Deletes it if nothing in it was kept: otherwise a disk that stays full would collect empty files.
 */
async function abandon({ handle, keptBytes, path }: OpenFile): Promise<void> {
  await handle.close().catch(() => undefined);
  if (keptBytes === 0) await rm(path, { force: true }).catch(() => undefined);
}
