import { rangeBytes, rangeFrom } from '../../../core/ledger/proof/compact-range.ts';
import { noteKeyFrom, noteKeyText } from '../../../core/ledger/proof/note-key.ts';
import { newEmitter } from '../../records/emitter.ts';
import type { EmitterName } from '../../records/emitter.ts';
import type { EmitterHead, EmitterHeads, EmitterState } from '../../records/record-store.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Database } from './database.ts';
import { changed, written } from './rows/written.ts';

type Row = Readonly<Record<string, unknown>>;

/** Number of looks, ten seconds apart, without a new beat of another authority before its logs are taken over: 30 s. */
const STILL = 3;
/** Most logs taken over, and most ended logs forgotten, by a look. */
const MAX_TAKEN = 1_000;
const MAX_FORGOTTEN = 500;
const DAY_MS = 86_400_000;
/** How long a log that ended without a record is remembered. */
const EMPTY_MS = 7 * DAY_MS;
/** Rows of the table, by the estimate of the database, from which logs that ended are forgotten after a week, although their records are kept. */
const CROWDED_ROWS = 2_000_000;

/** INVARIANT: a term is higher than every earlier term, even if the database was restored from a backup: so it is at least the time. */
const CLAIM = `INSERT INTO remit.emitters AS e VALUES ($1, $2, $3, $6, $4, 0, $5, '', 0, 'lost', $6)
  ON CONFLICT (origin) DO UPDATE SET term = greatest(e.term + 1, excluded.term), owner = excluded.owner
  WHERE e.id = excluded.id AND e.verifier_key = excluded.verifier_key RETURNING *`;

const FIND = 'SELECT * FROM remit.emitters WHERE origin = ANY($1::text[])';

/** Rows are locked in the order of their keys. */
const KEEP = `WITH moved AS (SELECT * FROM json_to_recordset($1::json)
    AS n (origin text, term bigint, size bigint, range text, head text, signed bigint, state text)),
  locked AS MATERIALIZED (SELECT e.origin FROM remit.emitters e JOIN moved n ON e.origin = n.origin AND e.term = n.term
    ORDER BY e.origin FOR UPDATE OF e)
  UPDATE remit.emitters e SET size = n.size, range = decode(n.range, 'base64'), head = decode(n.head, 'base64'),
    signed = n.signed, state = n.state, at_ms = $2
  FROM moved n JOIN locked l ON l.origin = n.origin WHERE e.origin = n.origin AND e.term = n.term RETURNING e.origin`;

const BEAT = `INSERT INTO remit.receivers AS r VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET beat = r.beat + 1`;

const ADOPT = `UPDATE remit.emitters SET term = greatest(term + 1, $2::bigint), owner = $1 WHERE origin IN (
    SELECT origin FROM remit.emitters e WHERE state = 'open' AND NOT EXISTS (SELECT 1 FROM remit.receivers r WHERE r.id = e.owner)
    ORDER BY origin LIMIT ${MAX_TAKEN} FOR UPDATE SKIP LOCKED)
  RETURNING *`;

/** @param $1 a week ago @param $2 when the oldest records were kept that are not deleted */
const FORGET = forgetting(
  `at_ms < CASE WHEN (SELECT reltuples FROM pg_class WHERE oid = 'remit.emitters'::regclass) > ${CROWDED_ROWS}
    THEN $1::bigint ELSE $2::bigint END`,
);

/** Only logs that ended between two instants, so that no look reads all that are remembered. */
const FORGET_EMPTY = forgetting('size = 0 AND at_ms BETWEEN $1 AND $2');

/**
 * How far each log is kept, for all authorities on one database. An authority takes a log over by raising its term, and moves its head only
 * while the term is its own. The logs of an authority whose beat stands still for 30 seconds are taken over by another authority. A log that
 * ended is forgotten once its records are too old to be kept, so that until then no other sidecar can continue it.
 *
 * @param self.id of this authority among its replicas
 */
export function emitterHeads(database: Database, self: OwnReceiver): EmitterHeads {
  const { id: owner, nowMs, recordsMs = 400 * DAY_MS } = self;
  const receivers = new ReceiverBeats(owner);
  return {
    claim: (name) => claimLog(database, name, self),
    keep: (heads) => keepHeads(database, heads, nowMs()),
    abandoned: async () => {
      const beaten = await written(database, [{ text: BEAT, values: [owner] }]);
      if (beaten !== null) return recordsProblem(beaten);
      const read = await database.read('SELECT id, beat FROM remit.receivers');
      if (isStoreFailure(read)) return recordsProblem(read);
      const adopted = await changed(database, [
        { text: 'DELETE FROM remit.receivers WHERE id = ANY($1::uuid[])', values: [receivers.silent(read.rows)] },
        { text: ADOPT, values: [owner, nowMs()] },
        { text: FORGET, values: [nowMs() - EMPTY_MS, nowMs() - Math.max(EMPTY_MS, recordsMs + DAY_MS)] },
        { text: FORGET_EMPTY, values: [nowMs() - EMPTY_MS - DAY_MS, nowMs() - EMPTY_MS] },
      ]);
      return isStoreFailure(adopted)
        ? recordsProblem(adopted)
        : (adopted[1] ?? []).flatMap((row) => headFrom(row) ?? []);
    },
    isFirst: () => receivers.isFirst(),
    close: async () => {
      await written(database, [{ text: 'DELETE FROM remit.receivers WHERE id = $1', values: [owner] }]);
    },
  };
}

/** Deletes some of the logs that ended, of those that a condition selects. */
function forgetting(condition: string): string {
  return `DELETE FROM remit.emitters WHERE origin IN (SELECT origin FROM remit.emitters
    WHERE state <> 'open' AND ${condition} ORDER BY at_ms LIMIT ${MAX_FORGOTTEN} FOR UPDATE SKIP LOCKED)`;
}

/** This authority, as a receiver of logs. */
interface OwnReceiver {
  readonly id: string;
  readonly nowMs: () => number;
  /** How long records are kept. Default 400 days. */
  readonly recordsMs?: number;
}

/** The beats of all authorities of the database, at the looks of this authority. */
class ReceiverBeats {
  readonly #owner: string;
  readonly #seen = new Map<string, { readonly beat: string; readonly still: number }>();

  constructor(owner: string) {
    this.#owner = owner;
  }

  /** Notes a look, and gives the other authorities whose beat stands still. */
  silent(rows: readonly Row[]): readonly string[] {
    const seen = this.#seen;
    const now = new Map(rows.map((row) => [String(row['id']), String(row['beat'])]));
    for (const id of seen.keys()) if (!now.has(id)) seen.delete(id);
    for (const [id, beat] of now) {
      const last = seen.get(id);
      seen.set(id, { beat, still: last?.beat === beat ? last.still + 1 : 0 });
    }
    return [...seen].flatMap(([id, { still }]) => (still >= STILL && id !== this.#owner ? [id] : []));
  }

  /** Whether this authority has the lowest id of all. */
  isFirst(): boolean {
    return [...this.#seen.keys()].toSorted()[0] === this.#owner;
  }
}

/** Takes a log over by a higher term, and gives its head. The head of a log with another key or sidecar stays as it is. */
async function claimLog(
  database: Database,
  name: EmitterName,
  { id: owner, nowMs }: OwnReceiver,
): Promise<EmitterHead | Problem> {
  const range = Buffer.from(rangeBytes(newEmitter(name).range));
  const values = [name.origin, noteKeyText(name.key), name.id, owner, range, nowMs()];
  const claimed = await changed(database, [{ text: CLAIM, values }]);
  if (isStoreFailure(claimed)) return recordsProblem(claimed);
  const [row] = claimed[0] ?? [];
  if (row !== undefined) return headFrom(row) ?? damaged(name);
  const found = await database.read(FIND, [[name.origin]]);
  if (isStoreFailure(found)) return recordsProblem(found);
  const [other] = found.rows;
  return other === undefined
    ? { problem: `the log \`${name.origin}\` was forgotten meanwhile` }
    : (headFrom(other) ?? damaged(name));
}

/** Moves heads whose term still holds, and gives the current heads of the other logs. */
async function keepHeads(
  database: Database,
  heads: readonly EmitterHead[],
  atMs: number,
): Promise<readonly EmitterHead[] | Problem> {
  const kept = await changed(database, [{ text: KEEP, values: [JSON.stringify(heads.map(movedRow)), atMs] }]);
  if (isStoreFailure(kept)) return recordsProblem(kept);
  const moved = new Set(kept[0]?.map((row) => row['origin']));
  const unmoved = heads.filter(({ emitter }) => !moved.has(emitter.origin));
  if (unmoved.length === 0) return [];
  const found = await database.read(FIND, [unmoved.map(({ emitter }) => emitter.origin)]);
  if (isStoreFailure(found)) return recordsProblem(found);
  const now = new Map(found.rows.map((row) => [String(row['origin']), row]));
  return unmoved.map(({ emitter }) => {
    const row = now.get(emitter.origin);
    return (row === undefined ? null : headFrom(row)) ?? forgotten(emitter);
  });
}

const recordsProblem = ({ detail }: StoreFailure): Problem => ({ problem: `the records of sidecars: ${detail}` });

const forgotten = (name: EmitterName): EmitterHead => ({ emitter: newEmitter(name), state: 'lost', term: 0 });

const movedRow = ({ emitter: { origin, range, prev, signed }, state, term }: EmitterHead) => ({
  origin,
  term,
  size: range.size,
  range: Buffer.from(rangeBytes(range)).toString('base64'),
  head: Buffer.from(prev ?? []).toString('base64'),
  signed,
  state,
});

const damaged = ({ origin }: EmitterName): Problem => ({
  problem: `the row of the log \`${origin}\` in \`emitters\` is damaged: the log cannot be continued`,
});

/** `null` if the row is damaged, so that it does not hold up other logs. */
function headFrom(row: Row): EmitterHead | null {
  const key = noteKeyFrom(String(row['verifier_key']));
  const range = row['range'] instanceof Uint8Array ? rangeFrom(row['range']) : null;
  const head = row['head'];
  if (isProblem(key) || range === null || !(head instanceof Uint8Array)) return null;
  const emitter = {
    origin: key.name,
    key,
    id: String(row['id']),
    range,
    prev: head.length === 0 ? null : head,
    signed: Number(row['signed']),
  };
  // Checked by the table.
  return { emitter, state: row['state'] as EmitterState, term: Number(row['term']) };
}
