import type { Connection } from './connection.ts';
import type { StateSize } from '../store.ts';

/** Given back at once: 1 MiB with pages of 4 KiB. */
const MAX_PAGES = 256;
/** Kept for what is written next, so that a file in steady use neither shrinks nor grows: 4 MiB. */
const RESERVED_PAGES = 1_024;

const pragma = (connection: Connection, name: string): number =>
  Number(Object.values(connection.statement(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);

/** What the file takes of the disk, without its log. Within `read`. */
export function sizeOfFile(connection: Connection): StateSize {
  const pageBytes = pragma(connection, 'page_size');
  return {
    bytes: pragma(connection, 'page_count') * pageBytes,
    freeBytes: pragma(connection, 'freelist_count') * pageBytes,
  };
}

/** How many pages are free beyond the reserve. Within `read`. */
export const sparePages = (connection: Connection): number =>
  Math.max(0, pragma(connection, 'freelist_count') - RESERVED_PAGES);

/** Gives spare pages back to the disk, 256 at most; whether there are more. Within a transaction. */
export function giveBack(connection: Connection): boolean {
  const before = sparePages(connection);
  // A row of the answer is a page that was moved: all of them must be read.
  connection.statement(`PRAGMA incremental_vacuum(${MAX_PAGES})`).all();
  const left = sparePages(connection);
  return left > 0 && left < before;
}
