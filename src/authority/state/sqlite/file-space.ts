/** The size of a state file, and how much of it is free. */
import type { Connection } from './connection.ts';
import type { StateSize } from '../../../core/state/store-reader.ts';

/** Returned to the disk in a step: 1 MiB with pages of 4 KiB. */
const MAX_PAGES = 256;
/** Kept for later writes, so that a file in steady use neither shrinks nor grows: 4 MiB. */
const RESERVED_PAGES = 1_024;

const pragma = (connection: Connection, name: string): number =>
  Number(Object.values(connection.statement(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);

/** Size of the file on disk, without SQLite's log. Within `read`. */
export function sizeOfFile(connection: Connection): StateSize {
  const pageBytes = pragma(connection, 'page_size');
  return {
    bytes: pragma(connection, 'page_count') * pageBytes,
    freeBytes: pragma(connection, 'freelist_count') * pageBytes,
  };
}

/** Number of free pages beyond the reserve. Within `read`. */
export const sparePages = (connection: Connection): number =>
  Math.max(0, pragma(connection, 'freelist_count') - RESERVED_PAGES);

/** Returns at most 256 spare pages to the disk. Gives whether there are more. Within a transaction. */
export function giveBack(connection: Connection): boolean {
  const before = sparePages(connection);
  // Each row of the result moves a page, so all rows must be read.
  connection.statement(`PRAGMA incremental_vacuum(${MAX_PAGES})`).all();
  const left = sparePages(connection);
  return left > 0 && left < before;
}
