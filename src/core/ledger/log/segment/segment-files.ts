/** The files of segments in a folder. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** A segment file, with the number of records before it. */
export interface SegmentFile {
  readonly path: string;
  readonly carriedSize: number;
}

const NAME = /^segment-(\d{16})\.db$/;

/** The name of a segment: the number of records before it in 16 digits, so that names sort in log order. */
export const segmentPath = (folder: string, carriedSize: number): string =>
  join(folder, `segment-${String(carriedSize).padStart(16, '0')}.db`);

/** The segments of a folder, oldest first; other files are ignored. Throws the system's error. */
export const segmentsIn = (folder: string): readonly SegmentFile[] =>
  readdirSync(folder)
    .toSorted()
    .flatMap((name) => {
      const digits = NAME.exec(name)?.[1];
      return digits === undefined ? [] : [{ path: join(folder, name), carriedSize: Number(digits) }];
    });

/** The files of one SQLite database. */
export const filesOf = (path: string): readonly string[] => [path, `${path}-wal`, `${path}-shm`];

/** Deletes the files of a segment that was pruned, or whose creation was interrupted. Throws the system's error. */
export function discardSegment(path: string): void {
  for (const file of filesOf(path)) rmSync(file, { force: true });
}
