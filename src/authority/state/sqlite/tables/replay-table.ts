/** The table of one-time keys. */
import type { Connection } from '../connection.ts';
import { MAX_REPLAY_ROWS, replayRowsFull } from '../../../../core/state/replay-memory.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';

/** Expired keys deleted at each call, so that the memory shrinks faster than it grows. */
const SWEPT = 100;

/** Within a transaction: remembers a key until an instant of the floor, and deletes some expired keys. */
export function rememberKey(
  connection: Connection,
  kind: string,
  { key, untilMs }: { readonly key: string; readonly untilMs: number },
): 'new' | 'seen' | StoreFailure {
  const floorMs = connection.floorMs();
  connection
    .statement(
      `DELETE FROM remembered WHERE (kind, key) IN
       (SELECT kind, key FROM remembered WHERE until_ms <= ? ORDER BY until_ms LIMIT ${SWEPT})`,
    )
    .run(floorMs);
  const known = connection.statement('SELECT until_ms FROM remembered WHERE kind = ? AND key = ?').get(kind, key);
  if (known !== undefined && Number(known['until_ms']) > floorMs) return 'seen';
  const count = connection.statement('SELECT count(*) AS count FROM remembered WHERE kind = ?').get(kind);
  if (known === undefined && Number(count?.['count']) >= MAX_REPLAY_ROWS) {
    return replayRowsFull();
  }
  connection.statement('INSERT OR REPLACE INTO remembered VALUES (?,?,?)').run(kind, key, untilMs);
  return 'new';
}
