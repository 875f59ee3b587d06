import type { Connection } from './connection.ts';

/** How long a decision that was settled is known: longer than anything asks again about an unknown outcome. 10 minutes. */
const KEPT_MS = 600_000;
/** Forgotten with each that is noted, so that the table shrinks faster than it grows. */
const SWEPT = 4;

const FORGET = `DELETE FROM settled WHERE decision IN
  (SELECT decision FROM settled WHERE at_ms <= ? ORDER BY at_ms LIMIT ?)`;

/** Whether a use counts already by that decision. */
export const isSettled = (connection: Connection, decisionId: string): boolean =>
  connection.statement('SELECT 1 FROM settled WHERE decision = ?').get(decisionId) !== undefined;

/** Within a transaction: the use counts by that decision. */
export function noteSettled(connection: Connection, decisionId: string): void {
  const floorMs = connection.floorMs();
  connection.statement('INSERT INTO settled VALUES (?, ?)').run(decisionId, floorMs);
  connection.statement(FORGET).run(floorMs - KEPT_MS, SWEPT);
}

/** Whether there are decisions to forget. */
export const hasOldSettled = (connection: Connection): boolean =>
  connection.statement('SELECT 1 FROM settled WHERE at_ms <= ? LIMIT 1').get(connection.floorMs() - KEPT_MS) !==
  undefined;

/** Within a transaction: forgets so many decisions at most; how many it did. */
export const forgetSettled = (connection: Connection, limit: number): number =>
  Number(connection.statement(FORGET).run(connection.floorMs() - KEPT_MS, limit).changes);
