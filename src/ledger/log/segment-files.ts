import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** A segment file by the number of records before it. */
export interface SegmentFile {
  readonly path: string;
  readonly carriedSize: number;
}

const NAME = /^segment-(\d{16})\.db$/;

/** The name of a segment: how many records came before it, in 16 digits, so that names sort as the log runs. */
export const segmentPath = (folder: string, carriedSize: number): string =>
  join(folder, `segment-${String(carriedSize).padStart(16, '0')}.db`);

/** The segments of a folder, the oldest first; other files are left alone. Throws the system's error. */
export const segmentsIn = (folder: string): readonly SegmentFile[] =>
  readdirSync(folder)
    .toSorted()
    .flatMap((name) => {
      const digits = NAME.exec(name)?.[1];
      return digits === undefined ? [] : [{ path: join(folder, name), carriedSize: Number(digits) }];
    });

/** The files that SQLite keeps for one database. */
export const filesOf = (path: string): readonly string[] => [path, `${path}-wal`, `${path}-shm`];

/** Removes a segment whose making was interrupted: it holds nothing. Throws the system's error. */
export function discardSegment(path: string): void {
  for (const file of filesOf(path)) rmSync(file, { force: true });
}
