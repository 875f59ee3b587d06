/** Queues signals for their receivers, and bounds the queues of receivers that take none. */
import type { EncodedRecord } from '../../../../core/ledger/encoded-record.ts';
import { signalRanks } from '../../../../core/ledger/signalled.ts';
import { signalLimits } from '../../../../core/state/signal-queue.ts';
import type { Statement } from '../flight.ts';
import type { RowSeal } from './row-seal.ts';

const { claimMs, maxReceivers, maxWaiting } = signalLimits;

/**
 * When a claim ends, by the clock of the database: those of the authorities may differ. A claim that ends later than any claim made now is not of
 * an authority, or from before the clock was set back: it does not count.
 */
export const NEW_CLAIM = `clock_timestamp() + interval '${claimMs} milliseconds'`;

/**
 * The receivers for which a transaction queues its signals. `$1` has the names in the configuration of this process, and the
 * table those of authorities with another configuration. INVARIANT: rows that the login adds to the table cost little, and leave
 * no configured receiver out.
 */
export const RECEIVERS = `SELECT name FROM remit.signal_receivers WHERE name = ANY($1::text[])
  UNION (SELECT name FROM remit.signal_receivers ORDER BY name LIMIT ${maxReceivers})`;

const QUEUE = `INSERT INTO remit.signals (receiver, at_ms, rank, bytes, seal)
  SELECT v.name, (u.r->>'at')::bigint, (u.r->>'rank')::smallint, decode(u.r->>'bytes', 'base64'), s.seal
  FROM json_array_elements($1::json) WITH ORDINALITY u (r, n) CROSS JOIN LATERAL json_each_text(u.r->'seals') s (receiver, seal)
    JOIN remit.signal_receivers v ON v.name = s.receiver ORDER BY u.n`;

/** The statement that queues records for each receiver of signals, each with a seal of its own; none if no record is a signal. */
export function queueingSignals(
  records: readonly EncodedRecord[],
  { receivers, seal }: { readonly receivers: readonly string[]; readonly seal: RowSeal | null },
): readonly Statement[] {
  if (receivers.length === 0) return [];
  const rows = records.flatMap(({ at, bytes, signalled }) => {
    if (signalled === null) return [];
    const seals = Object.fromEntries(receivers.map((name) => [name, seal?.ofSignal(name, bytes) ?? null]));
    return [{ at, rank: signalRanks[signalled], bytes: Buffer.from(bytes).toString('base64'), seals }];
  });
  return rows.length === 0 ? [] : [{ text: QUEUE, values: [JSON.stringify(rows)] }];
}

/** Most rows that a step of pruning deletes from a table, and most signals of a receiver. */
const MAX_DELETED = 500;
const MAX_SURPLUS = 10 * MAX_DELETED;

/**
 * Deletes what is too much for a receiver, counted for the next claim. The receivers are locked first, as by a claim, so that neither waits for the
 * other.
 */
export const DROP_SURPLUS = `WITH due AS (
    SELECT r.name FROM remit.signal_receivers r
    WHERE EXISTS (SELECT 1 FROM remit.signals s WHERE s.receiver = r.name OFFSET ${maxWaiting})
    FOR UPDATE OF r SKIP LOCKED
  ), gone AS (
    DELETE FROM remit.signals WHERE seq IN (SELECT d.seq FROM due CROSS JOIN LATERAL (
      SELECT s.seq FROM remit.signals s WHERE s.receiver = due.name ORDER BY s.rank, s.seq DESC
      OFFSET ${maxWaiting} LIMIT ${MAX_SURPLUS}) d)
    RETURNING receiver
  )
  UPDATE remit.signal_receivers r SET dropped = least(r.dropped + g.n, 1000000000)
  FROM (SELECT receiver, count(*) AS n FROM gone GROUP BY receiver) g WHERE r.name = g.receiver`;

/** Shortens claims that are not of an authority, so that their receivers are forgotten like others. */
export const SHORTEN_CLAIMS = `UPDATE remit.signal_receivers SET claimed_until = ${NEW_CLAIM} WHERE name IN (
  SELECT name FROM remit.signal_receivers WHERE claimed_until > ${NEW_CLAIM} LIMIT ${MAX_DELETED} FOR UPDATE SKIP LOCKED)`;

/** Receivers of signals that no authority has delivered to for a day, and what waits for them. */
const IS_FORGOTTEN = `claimed_until <= clock_timestamp() - interval '${signalLimits.forgottenMs} milliseconds'`;
const FORGOTTEN = `SELECT name FROM remit.signal_receivers WHERE ${IS_FORGOTTEN}`;
export const FORGET_SIGNALS: readonly string[] = [
  `DELETE FROM remit.signals WHERE seq IN (SELECT seq FROM remit.signals WHERE receiver IN (${FORGOTTEN}) LIMIT ${MAX_DELETED})`,
  `DELETE FROM remit.signal_receivers WHERE name IN (SELECT r.name FROM remit.signal_receivers r
    WHERE ${IS_FORGOTTEN} AND NOT EXISTS (SELECT 1 FROM remit.signals s WHERE s.receiver = r.name) LIMIT ${MAX_DELETED})`,
];
