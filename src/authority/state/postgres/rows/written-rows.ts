import type { EncodedRecord } from '../../../../core/ledger/encoded-record.ts';
import { MAX_FLOOR_MS } from '../../../../core/state/clock-floor.ts';
import type { TokenOfTask } from '../../../../core/state/store-reader.ts';
import { taskColumns, taskValues } from '../../../../core/state/writes/task-row.ts';
import type { Statement } from '../flight.ts';
import type { Remembered, RootedTask, RowSet, SpentRow } from './row-set.ts';
import type { RowSeal } from './row-seal.ts';
import type { SettledPlace } from './settled-parts.ts';
import { limitStatements } from './limit-statements.ts';
import { orderStatements } from './order-statements.ts';
import { queueingSignals } from './signal-statements.ts';
import { stopStatements } from './stop-statements.ts';

const SET_TASKS = `UPDATE remit.tasks t SET state = r.state, ended_ms = r.ended_ms, cause = r.cause, cause_note = r.cause_note,
    last_used_ms = r.last_used_ms, generation = r.generation, claimed = r.claimed, attested = r.attested, risk = r.risk,
    revision = r.revision, seal = r.seal
  FROM json_populate_recordset(NULL::remit.tasks, $1::json) r WHERE t.issuer = r.issuer AND t.id = r.id`;

const SET_REVOKED = `UPDATE remit.tokens t SET revoked_ms = r.revoked_ms
  FROM json_populate_recordset(NULL::remit.tokens, $1::json) r WHERE t.jti_digest = r.jti_digest`;

const SET_SPENT = `INSERT INTO remit.budgets SELECT * FROM json_populate_recordset(NULL::remit.budgets, $1::json)
  ON CONFLICT (issuer, task, name) DO UPDATE SET spent = excluded.spent, given = excluded.given, given_seal = excluded.given_seal`;

const SET_HISTORIES = `INSERT INTO remit.histories SELECT * FROM json_populate_recordset(NULL::remit.histories, $1::json)
  ON CONFLICT (issuer, task) DO UPDATE SET version = excluded.version, actions = excluded.actions, labels = excluded.labels`;

const ADD_RECORDS = `WITH h AS (UPDATE remit.outbox_head SET seq = seq + $2::int WHERE part = 0 RETURNING seq)
  INSERT INTO remit.outbox SELECT h.seq - $2::int + u.n, u.r->>'task', (u.r->>'at')::bigint, u.r->>'kind', decode(u.r->>'bytes', 'base64')
  FROM h, json_array_elements($1::json) WITH ORDINALITY u (r, n)`;

/** The numbers of the feed. The row of its head stays locked until the commit, so they are in commit order and without a gap. */
const ADD_CHANGES = `WITH h AS (UPDATE remit.feed_head SET seq = seq + $3::int,
      floor_ms = CASE WHEN floor_ms <= $4::bigint OR floor_ms - $4::bigint > ${MAX_FLOOR_MS} THEN $4::bigint ELSE floor_ms END
    WHERE part = 0 RETURNING seq)
  INSERT INTO remit.feed (part, seq, root, is_history)
  SELECT 0, h.seq - $3::int + u.n, u.root, u.is_history FROM h, unnest($1::text[], $2::boolean[]) WITH ORDINALITY u (root, is_history, n)`;

/** Adds records to the outbox. It locks the head of the outbox: only a change of the feed may follow it in a transaction. */
export function addingRecords(records: readonly EncodedRecord[]): Statement {
  const rows = records.map(({ task, at, kind, bytes }) => ({
    task,
    at,
    kind,
    bytes: Buffer.from(bytes).toString('base64'),
  }));
  return { text: ADD_RECORDS, values: [JSON.stringify(rows), rows.length] };
}

/** What is written with the rows. */
interface Writing {
  readonly place: SettledPlace;
  /** `null`: the floor of the database stays as it is. */
  readonly floorMs: number | null;
  /** The receivers of signals. */
  readonly receivers: readonly string[];
  readonly seal: RowSeal | null;
}

/**
 * The statements that write what a transaction has changed, in an order in which each finds what it refers to. The heads of outbox and feed
 * come last, always in this order.
 */
export function statementsOf(rows: RowSet, { place, floorMs, receivers, seal }: Writing): readonly Statement[] {
  const {
    newTasks,
    tasks,
    newTokens,
    revoked,
    spent,
    histories,
    remembered,
    settled,
    stops,
    orders,
    limits,
    feed,
    records,
  } = rows.changed();
  const taskRow = (rooted: RootedTask): object => taskRowOf({ ...rooted, revision: rooted.revision + 1 }, seal);
  const tokens = newTokens.map((token) => tokenRow(token, seal));
  const batches: readonly (readonly [text: string, rows: readonly object[]])[] = [
    [insertInto('tasks'), newTasks.map(taskRow)],
    [SET_TASKS, tasks.map(taskRow)],
    [insertInto('tokens'), tokens],
    [SET_REVOKED, revoked.map((token) => tokenRow(token, seal))],
    [SET_SPENT, spent.map((row) => spentRow(row, seal))],
    [
      SET_HISTORIES,
      histories.map(({ key, history: { version, actions, labels } }) => ({
        issuer: key.issuer,
        task: key.id,
        version,
        actions: JSON.stringify(actions),
        labels: JSON.stringify(labels),
      })),
    ],
    [insertInto('remembered'), remembered.filter(({ isNew }) => isNew).map(rememberedRow)],
    [SET_REMEMBERED, remembered.filter(({ isNew }) => !isNew).map(rememberedRow)],
    [insertInto('settled'), settled.map((id) => ({ part: place.part, slot: place.slot, id, is_void: false }))],
  ];
  const statements: Statement[] = batches
    .filter(([, batch]) => batch.length > 0)
    .map(([text, batch]) => ({ text, values: [JSON.stringify(batch)] }));
  statements.push(...stopStatements(stops), ...orderStatements(orders, seal), ...limitStatements(limits, seal));
  if (records.length > 0) statements.push(...queueingSignals(records, { receivers, seal }), addingRecords(records));
  if (feed.length > 0) {
    const values = [feed.map(([root]) => root), feed.map(([, part]) => part === 'history'), feed.length, floorMs];
    statements.push({ text: ADD_CHANGES, values });
  }
  return statements;
}

const SET_REMEMBERED = `UPDATE remit.remembered m SET until_ms = r.until_ms
  FROM json_populate_recordset(NULL::remit.remembered, $1::json) r WHERE m.kind = r.kind AND m.key = r.key`;

const rememberedRow = ({ kind, key, untilMs }: Remembered): object => ({ kind, key, until_ms: untilMs });

const insertInto = (table: string): string =>
  `INSERT INTO remit.${table} SELECT * FROM json_populate_recordset(NULL::remit.${table}, $1::json)`;

const taskRowOf = (rooted: RootedTask, seal: RowSeal | null): object => {
  const { task, root, revision } = rooted;
  const values = taskValues(task);
  const columns = Object.fromEntries(taskColumns.map((column, at) => [column, values[at]]));
  return { ...columns, root, revision, seal: seal?.ofTask(rooted) ?? null };
};

const spentRow = (row: SpentRow, seal: RowSeal | null): object => ({
  issuer: row.key.issuer,
  task: row.key.id,
  name: row.name,
  spent: row.taken,
  given: row.given,
  given_seal: row.given === 0 ? null : (seal?.ofGiven(row) ?? null),
});

const tokenRow = (token: TokenOfTask, seal: RowSeal | null): object => ({
  seal: seal?.ofToken(token) ?? null,
  jti_digest: token.jtiDigest,
  issuer: token.issuer,
  task: token.taskId,
  audience: token.audience,
  issued_ms: token.issuedAtMs,
  expires_ms: token.expiresAtMs,
  generation: token.generation,
  revoked_ms: token.revokedAtMs,
  bound_to: token.boundTo,
});
