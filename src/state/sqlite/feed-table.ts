import type { StatementSync } from 'node:sqlite';
import type { FeedChanges } from '../feed.ts';

/** The part of a connection that this file uses. */
interface Statements {
  statement(sql: string): StatementSync;
}

/** Number of changes kept for readers that are behind. Reading all of them takes some milliseconds. */
const KEPT = 4_096;

/** Within a transaction: appends changed root tasks to the feed, and deletes the rows beyond the number kept. */
export function appendToFeed(connection: Statements, roots: Iterable<string>): void {
  const insert = connection.statement('INSERT INTO feed (root) VALUES (?)');
  let end = 0;
  for (const root of roots) end = Number(insert.run(root).lastInsertRowid);
  if (end > KEPT) connection.statement('DELETE FROM feed WHERE seq <= ?').run(end - KEPT);
}

/** The number of the last change. */
export function endOfFeed(connection: Statements): number {
  const row = connection.statement("SELECT seq FROM sqlite_sequence WHERE name = 'feed'").get();
  return Number(row?.['seq'] ?? 0);
}

/** The changes after a position; `null` where some of them are no longer kept. */
export function changesAfter(connection: Statements, position: number): FeedChanges | null {
  const rows = connection.statement('SELECT seq, root FROM feed WHERE seq > ? ORDER BY seq').all(position);
  const [first] = rows;
  if (first === undefined) return { roots: [], position };
  if (Number(first['seq']) !== position + 1) return null;
  return { roots: rows.map((row) => String(row['root'])), position: position + rows.length };
}
