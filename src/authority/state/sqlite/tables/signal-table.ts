/** The tables of what waits for receivers of signals. A state file has one process that delivers. */
import { encodedRecordFrom } from '../../../../core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../../../core/ledger/encoded-record.ts';
import { signalRanks } from '../../../../core/ledger/signalled.ts';
import { signalLimits } from '../../../../core/state/signal-queue.ts';
import type { SignalClaim, SignalQueue } from '../../../../core/state/signal-queue.ts';
import type { Connection } from '../connection.ts';

const { claimMs, forgottenMs, heldMs, maxAgain, maxAgeMs, maxAtOnce, maxWaiting } = signalLimits;

/** Signals between two looks for what is too much. A look counts all that wait, up to 10,000 for each receiver. */
const LOOK_EACH = 128;

/** Within a transaction: queues records for each known receiver, and with each 128th signal drops what is too much. */
export function queueSignals(connection: Connection, records: readonly EncodedRecord[]): void {
  let [added, last] = [0, 0];
  for (const { at, bytes, signalled } of records) {
    if (signalled === null) continue;
    const { changes, lastInsertRowid } = connection
      .statement('INSERT INTO signals (receiver, at_ms, rank, bytes) SELECT name, ?, ?, ? FROM signal_receivers')
      .run(at, signalRanks[signalled], bytes);
    added += Number(changes);
    last = Number(lastInsertRowid);
  }
  // The numbers of the added rows are consecutive: true if a multiple of 128 is among them.
  if (last % LOOK_EACH < added) dropSurplus(connection);
}

const WAITING =
  'SELECT r.name, (SELECT count(*) FROM signals s WHERE s.receiver = r.name) AS waiting FROM signal_receivers r';
/** By the index: the queue of a receiver that is away for a week is full. */
const DROP_OLDEST = `DELETE FROM signals WHERE seq IN (SELECT seq FROM signals
  WHERE receiver = ?1 AND rank = (SELECT max(rank) FROM signals WHERE receiver = ?1) ORDER BY seq LIMIT ?2)`;

/** Deletes the oldest of the last rank of each queue that is too long, and counts them for the next claim. */
function dropSurplus(connection: Connection): void {
  for (const { name, waiting } of connection.statement(WAITING).all()) {
    const surplus = Number(waiting) - maxWaiting;
    if (surplus <= 0) continue;
    for (let left = surplus; left > 0;)
      left -= Number(connection.statement(DROP_OLDEST).run(String(name), left).changes);
    connection.statement('UPDATE signal_receivers SET dropped = dropped + ? WHERE name = ?').run(surplus, String(name));
  }
}

/** In the order in which they are sent. */
const FIRST = `SELECT seq, bytes FROM signals WHERE receiver = ?1 AND seq NOT IN (SELECT value FROM json_each(?2))
  ORDER BY rank, seq LIMIT ${maxAtOnce}`;
const AGAIN = `SELECT s.seq, s.bytes FROM json_each(?2) AS l JOIN signals s ON s.seq = l.value WHERE s.receiver = ?1 ORDER BY l.key`;

/** `StoreReader.signalQueue`. */
export function signalQueueOf(connection: Connection, receiver: string, later: readonly number[]): SignalQueue {
  const seen = connection.statement('SELECT seen_ms FROM signal_receivers WHERE name = ?').get(receiver)?.['seen_ms'];
  const aheadMs = seen === undefined ? -Infinity : Number(seen) + claimMs - connection.floorMs();
  const [waiting] = connection
    .statement('SELECT count(*) AS waiting, min(at_ms) AS oldest_ms FROM signals WHERE receiver = ?')
    .all(receiver);
  const rows = [
    ...connection.statement(FIRST).all(receiver, JSON.stringify(later)),
    ...connection.statement(AGAIN).all(receiver, JSON.stringify(later.slice(0, maxAgain))),
  ];
  const oldestMs = waiting?.['oldest_ms'] ?? null;
  return {
    holder: aheadMs >= heldMs && aheadMs <= claimMs ? 'this' : 'none',
    waiting: Number(waiting?.['waiting']),
    oldestMs: oldestMs === null ? null : Number(oldestMs),
    // STRICT: `bytes` is a BLOB, and `encodedRecord` made it.
    signals: rows.map((row) => ({
      seq: Number(row['seq']),
      record: encodedRecordFrom(row['bytes'] as Uint8Array),
    })),
  };
}

const CLAIM = `INSERT INTO signal_receivers (name, seen_ms) VALUES (?, ?)
  ON CONFLICT (name) DO UPDATE SET seen_ms = excluded.seen_ms, dropped = 0`;

/** Within a transaction: `Store.claimSignals`. */
export function claimSignals(connection: Connection, receiver: string): SignalClaim {
  const before = connection.statement('SELECT dropped FROM signal_receivers WHERE name = ?').get(receiver)?.['dropped'];
  connection.statement(CLAIM).run(receiver, connection.floorMs());
  const tooOld = connection
    .statement('DELETE FROM signals WHERE receiver = ? AND at_ms < ?')
    .run(receiver, connection.floorMs() - maxAgeMs).changes;
  return { dropped: Number(before ?? 0) + Number(tooOld) };
}

/** Within a transaction: `Store.dropSignals`. */
export function dropSignals(connection: Connection, receiver: string, seqs: readonly number[]): null {
  const drop = connection.statement('DELETE FROM signals WHERE receiver = ? AND seq = ?');
  for (const seq of seqs) drop.run(receiver, seq);
  return null;
}

const OLD = 'SELECT name FROM signal_receivers WHERE seen_ms <= ?';

/** Whether there are receivers that no process delivers to. @param nowMs the earlier of both clocks */
export const hasOldReceivers = (connection: Connection, nowMs: number): boolean =>
  connection.statement(`${OLD} LIMIT 1`).get(nowMs - forgottenMs) !== undefined;

/** Within a transaction: deletes such receivers, and before them at most `limit` signals that wait for them. Gives how many signals it deleted. */
export function forgetReceivers(connection: Connection, nowMs: number, limit: number): number {
  const deleted = connection
    .statement(`DELETE FROM signals WHERE seq IN (SELECT seq FROM signals WHERE receiver IN (${OLD}) LIMIT ?)`)
    .run(nowMs - forgottenMs, limit).changes;
  if (Number(deleted) < limit)
    connection.statement('DELETE FROM signal_receivers WHERE seen_ms <= ?').run(nowMs - forgottenMs);
  return Number(deleted);
}
