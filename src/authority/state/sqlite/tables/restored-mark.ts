/** The mark of a state file that was restored. */
import type { Connection } from '../connection.ts';

/** When the file was restored from a backup, in milliseconds since the Unix epoch by its own clock; `null` if it never was. */
export function restoredAt(connection: Connection): number | null {
  const row = connection.statement('SELECT at_ms FROM restored').get();
  return row === undefined ? null : Number(row['at_ms']);
}

/** Within a transaction: marks the file as restored now. */
export function markRestored(connection: Connection): void {
  connection.statement('INSERT OR REPLACE INTO restored VALUES (1, ?)').run(connection.floorMs());
}
