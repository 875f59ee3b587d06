import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Authority } from '../../../core/state/authority.ts';
import { signalLimits } from '../../../core/state/signal-queue.ts';
import type { SignalQueue } from '../../../core/state/signal-queue.ts';
import { isStorable, notStorable } from '../../../core/state/writes/stored-text.ts';
import type { Database } from './database.ts';
import type { PostgresBeats } from './postgres-beats.ts';
import type { RowReader } from './rows/row-seal.ts';
import { NEW_CLAIM } from './rows/signal-statements.ts';
import { changed, written } from './rows/written.ts';

const { heldMs, maxAgain, maxAgeMs, maxAtOnce, maxWaiting } = signalLimits;

const QUEUE = `SELECT r.owner = $2::uuid AS is_own,
    r.claimed_until > clock_timestamp() AND r.claimed_until <= ${NEW_CLAIM} AS is_claimed,
    r.claimed_until > clock_timestamp() + interval '${heldMs} milliseconds' AND r.claimed_until <= ${NEW_CLAIM} AS is_held,
    (SELECT count(*) FROM remit.signals s WHERE s.receiver = $1) AS waiting,
    (SELECT min(at_ms) FROM remit.signals s WHERE s.receiver = $1) AS oldest_ms
  FROM (SELECT 1) one LEFT JOIN remit.signal_receivers r ON r.name = $1`;

/** Records from before this instant are not sent any more. Milliseconds since the Unix epoch. */
const SINCE_MS = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint - ${maxAgeMs}`;

/** In the order in which they are sent. */
const FIRST = `SELECT s.seq, s.receiver, s.at_ms, s.bytes, s.seal FROM remit.signals s
  WHERE s.receiver = $1 AND s.at_ms >= ${SINCE_MS} AND NOT EXISTS (SELECT 1 FROM unnest($2::bigint[]) AS l (seq) WHERE l.seq = s.seq)
  ORDER BY s.rank, s.seq LIMIT ${maxAtOnce}`;
const AGAIN = `SELECT s.seq, s.receiver, s.at_ms, s.bytes, s.seal FROM unnest($2::bigint[]) WITH ORDINALITY AS l (seq, n)
  JOIN remit.signals s ON s.seq = l.seq WHERE s.receiver = $1 AND s.at_ms >= ${SINCE_MS} ORDER BY l.n`;

const CLAIM = `INSERT INTO remit.signal_receivers VALUES ($1, $2::uuid, ${NEW_CLAIM})
  ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, claimed_until = excluded.claimed_until, dropped = 0
  WHERE signal_receivers.owner = excluded.owner OR signal_receivers.claimed_until <= clock_timestamp()
    OR signal_receivers.claimed_until > ${NEW_CLAIM}
  RETURNING name`;

const DROPPED = 'SELECT dropped FROM remit.signal_receivers WHERE name = $1 FOR UPDATE';

const DROP_SURPLUS = `DELETE FROM remit.signals WHERE receiver = $1 AND (at_ms < ${SINCE_MS}
    OR seq IN (SELECT seq FROM remit.signals WHERE receiver = $1 ORDER BY rank, seq DESC OFFSET ${maxWaiting}))
  RETURNING seq`;

const DROP = 'DELETE FROM remit.signals WHERE receiver = $1 AND seq = ANY($2::bigint[])';

/** The queue of signals, as an authority has it. */
export type PostgresSignals = Pick<Authority, 'signalQueue' | 'claimSignals' | 'dropSignals'>;

/** What the queue of a database needs. */
interface SignalParts {
  readonly database: Database;
  readonly rows: Pick<RowReader, 'signalIn'>;
  /** The beats of this authority, by whose id it delivers. */
  readonly beats: Pick<PostgresBeats, 'beat' | 'id'>;
}

/** The signals in a PostgreSQL. A single authority delivers to each receiver; another takes over once its claim has expired. */
export const postgresSignals = ({ beats, database, rows }: SignalParts): PostgresSignals => ({
  signalQueue: async (receiver, later = []) => {
    if (!isStorable(receiver)) return notStorable();
    const queue = await queueOf(database, receiver, beats.id);
    if (isStoreFailure(queue) || queue.holder !== 'this' || queue.waiting === 0) return queue;
    const found = await queuedRows(database, receiver, later);
    if (isStoreFailure(found)) return found;
    // INVARIANT: no receiver is sent a change whose commit may be lost with this primary.
    const beat = await beats.beat();
    if (isStoreFailure(beat)) return beat;
    const read = found.map((row) => ({ seq: Number(row['seq']), record: rows.signalIn(row) }));
    const forged = read.filter(({ record }) => record === null).map(({ seq }) => seq);
    const failure = forged.length === 0 ? null : await dropSignals(database, receiver, forged);
    if (failure !== null) return failure;
    const signals = read.flatMap(({ seq, record }) => (record === null ? [] : [{ seq, record }]));
    return { ...queue, signals };
  },
  claimSignals: async (receiver) => {
    if (!isStorable(receiver)) return notStorable();
    const done = await changed(database, [
      { text: DROPPED, values: [receiver] },
      { text: CLAIM, values: [receiver, beats.id] },
      { text: DROP_SURPLUS, values: [receiver] },
    ]);
    if (isStoreFailure(done)) return done;
    const [before = [], claimed = [], now = []] = done;
    return { dropped: (claimed.length === 0 ? 0 : Number(before[0]?.['dropped'] ?? 0)) + now.length };
  },
  dropSignals: (receiver, seqs) => dropSignals(database, receiver, seqs),
});

async function queuedRows(
  database: Database,
  receiver: string,
  later: readonly number[],
): Promise<readonly Readonly<Record<string, unknown>>[] | StoreFailure> {
  const first = await database.read(FIRST, [receiver, later]);
  if (isStoreFailure(first)) return first;
  if (later.length === 0) return first.rows;
  const again = await database.read(AGAIN, [receiver, later.slice(0, maxAgain)]);
  return isStoreFailure(again) ? again : [...first.rows, ...again.rows];
}

async function queueOf(database: Database, receiver: string, id: string): Promise<SignalQueue | StoreFailure> {
  const found = await database.read(QUEUE, [receiver, id]);
  if (isStoreFailure(found)) return found;
  const { is_own: isOwn, is_claimed: isClaimed, is_held: isHeld, waiting, oldest_ms: oldestMs } = found.rows[0] ?? {};
  const holder = isOwn === true ? (isHeld === true ? 'this' : 'none') : isClaimed === true ? 'other' : 'none';
  return {
    holder,
    waiting: Number(waiting ?? 0),
    oldestMs: oldestMs === null || oldestMs === undefined ? null : Number(oldestMs),
    signals: [],
  };
}

const dropSignals = (database: Database, receiver: string, seqs: readonly number[]): Promise<null | StoreFailure> =>
  written(database, [{ text: DROP, values: [receiver, seqs] }]);
