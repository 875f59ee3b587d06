/** The table of changes that sidecars follow. */
import type { StatementSync } from 'node:sqlite';
import { changedPartOf } from '../../../../core/state/feed.ts';
import type { ChangedPart, FeedChange, FeedChanges } from '../../../../core/state/feed.ts';

/** The part of a connection that this file uses. */
interface Statements {
  statement(sql: string): StatementSync;
}

/** Number of changes kept for readers that are behind, and up to `SWEPT` more. Reading all of them takes some milliseconds. */
const KEPT = 4_096;
/** Old rows are deleted together, once there are so many. */
const SWEPT = 256;

/** Within a transaction: appends changes of root tasks to the feed, and deletes the rows beyond the number kept. */
export function appendToFeed(
  connection: Statements,
  changes: Iterable<readonly [root: string, part: ChangedPart]>,
): void {
  const insert = connection.statement('INSERT INTO feed (root, is_history) VALUES (?, ?)');
  let isSwept = false;
  let end = 0;
  for (const [root, part] of changes) {
    end = Number(insert.run(root, part === 'history' ? 1 : 0).lastInsertRowid);
    isSwept ||= end % SWEPT === 0;
  }
  if (isSwept && end > KEPT) connection.statement('DELETE FROM feed WHERE seq <= ?').run(end - KEPT);
}

/** The number of the last change. */
export function endOfFeed(connection: Statements): number {
  const row = connection.statement("SELECT seq FROM sqlite_sequence WHERE name = 'feed'").get();
  return Number(row?.['seq'] ?? 0);
}

/** The changes after a position; `null` if some of them are no longer kept. */
export function changesAfter(connection: Statements, position: number): FeedChanges | null {
  const rows = connection.statement('SELECT seq, root, is_history FROM feed WHERE seq > ? ORDER BY seq').all(position);
  const [first] = rows;
  if (first === undefined) return { changes: [], position };
  if (Number(first['seq']) !== position + 1) return null;
  const changes = rows.map((row): FeedChange => {
    const root = String(row['root']);
    return { root, part: changedPartOf(root, row['is_history'] === 1) };
  });
  return { changes, position: position + rows.length };
}
