/** The table of settled uses, by decision id. */
import type { Connection } from '../connection.ts';

/** How long a settled decision is remembered: longer than any retry after an unknown result. 10 minutes. */
const KEPT_MS = 600_000;
/**
 * One new decision in `SWEEP_EACH` also deletes old decisions, more than were added since, so that the table shrinks faster than it grows.
 */
const SWEEP_EACH = 64;
const SWEPT = 4 * SWEEP_EACH;

const FORGET = `DELETE FROM settled WHERE decision IN
  (SELECT decision FROM settled WHERE at_ms <= ? ORDER BY at_ms LIMIT ?)`;

/** Whether the use of that decision is already settled. */
export const isSettled = (connection: Connection, decisionId: string): boolean =>
  connection.statement('SELECT 1 FROM settled WHERE decision = ?').get(decisionId) !== undefined;

/** Within a transaction: remembers that the use of the decision is settled. */
export function noteSettled(connection: Connection, decisionId: string): void {
  const floorMs = connection.floorMs();
  connection.statement('INSERT INTO settled VALUES (?, ?)').run(decisionId, floorMs);
  if (isSweeper(decisionId)) connection.statement(FORGET).run(floorMs - KEPT_MS, SWEPT);
}

/** Selects one id in `SWEEP_EACH`, by its last digits, which are random. */
const isSweeper = (decisionId: string): boolean => Number.parseInt(decisionId.slice(-2), 16) % SWEEP_EACH === 0;

/** Whether there are decisions to delete. */
export const hasOldSettled = (connection: Connection): boolean =>
  connection.statement('SELECT 1 FROM settled WHERE at_ms <= ? LIMIT 1').get(connection.floorMs() - KEPT_MS) !==
  undefined;

/** Within a transaction: deletes at most `limit` old decisions. Gives how many it deleted. */
export const forgetSettled = (connection: Connection, limit: number): number =>
  Number(connection.statement(FORGET).run(connection.floorMs() - KEPT_MS, limit).changes);
