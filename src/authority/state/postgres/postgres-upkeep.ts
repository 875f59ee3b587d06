import { STOP_MEMORY_MS } from '../../../core/task/stop.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Clocks } from '../../../core/runtime/ports.ts';
import { forgetsReceivers, prunedAt } from '../../../core/state/signal-queue.ts';
import type { PrunedSince } from '../../../core/state/signal-queue.ts';
import { LIMITS_KEPT_MS } from '../../../core/state/limit-use.ts';
import type { Upkeep } from '../../../core/state/authority.ts';
import type { Pruned, TaskKey } from '../../../core/state/store.ts';
import type { DueSecret } from '../../../core/state/secret-sighting.ts';
import { isStorable, notStorable } from '../../../core/state/writes/stored-text.ts';
import { textsOfUses } from '../../../core/state/reported-uses.ts';
import { expire } from '../../../core/state/writes/writes.ts';
import type { Database } from './database.ts';
import { BEGIN, commit, flight } from './flight.ts';
import type { Statement } from './flight.ts';
import { oldSlot, PARTS_OF_SETTLED } from './rows/settled-parts.ts';
import { DROP_SURPLUS, FORGET_SIGNALS, SHORTEN_CLAIMS } from './rows/signal-statements.ts';
import { usesStatements } from './rows/token-uses.ts';
import type { WriteLane } from './write-lane.ts';
import { written } from './rows/written.ts';

/** Most tasks that a call ends, most secrets, and most rows that a step of pruning deletes from a table. */
const MAX_DUE = 1_000;
const MAX_SECRETS = 10_000;
const MAX_DELETED = 500;
/** Most root tasks that a step of pruning deletes, and the clock skew of verifiers of tokens. */
const MAX_ROOTS = 32;
const PRUNE_SKEW_MS = 60_000;
/** Changes of the feed that are kept for readers that are behind. */
const KEPT_CHANGES = 65_536;

const WRITE_SECRETS = `INSERT INTO remit.static_secrets
  SELECT r->>'digest', r->>'agent', r->>'action', r->>'kind', r->>'place', $2::bigint, $2::bigint, (r->>'times')::bigint
  FROM json_array_elements($1::json) r ORDER BY 1, 2, 3
  ON CONFLICT (digest, agent, action) DO UPDATE SET place = excluded.place, last_seen_ms = excluded.last_seen_ms,
    count = static_secrets.count + excluded.count`;

const DROP_SECRETS = `DELETE FROM remit.static_secrets WHERE (digest, agent, action) IN (
  SELECT digest, agent, action FROM remit.static_secrets ORDER BY last_seen_ms
  LIMIT greatest(0, (SELECT count(*) FROM remit.static_secrets) - ${MAX_SECRETS}))`;

/** By the earlier of an authority's clock and the database's, so that a clock that is ahead ends nothing for good. */
const DATABASE_MS = '(extract(epoch FROM now()) * 1000)::bigint';
const DUE_BY = `least($1::bigint, ${DATABASE_MS})`;
const DUE = `SELECT issuer, id FROM remit.tasks WHERE ended_ms IS NULL AND deadline_ms <= ${DUE_BY}
  UNION SELECT issuer, id FROM remit.tasks
    WHERE ended_ms IS NULL AND idle_ms IS NOT NULL AND state = 'active' AND last_used_ms + idle_ms <= ${DUE_BY}
  LIMIT ${MAX_DUE}`;

/**
 * Ended root tasks none of whose family has a deadline that is still to come, a token that may be valid, or a record that the ledger lacks. The
 * database refuses to delete others (`rights-schema.ts`).
 */
const PRUNABLE = `SELECT r.issuer, r.id FROM remit.tasks r
  WHERE r.ended_ms IS NOT NULL AND r.parent IS NULL AND r.ended_ms <= $1::bigint
    AND NOT EXISTS (SELECT 1 FROM remit.tasks f JOIN remit.tokens o ON o.issuer = f.issuer AND o.task = f.id
      WHERE f.issuer = r.issuer AND (f.id = r.id OR (f.root = r.id AND f.parent IS NOT NULL)) AND o.expires_ms > least($2::bigint, ${DATABASE_MS}))
    AND NOT EXISTS (SELECT 1 FROM remit.tasks f
      WHERE f.issuer = r.issuer AND (f.id = r.id OR (f.root = r.id AND f.parent IS NOT NULL)) AND f.deadline_ms > ${DATABASE_MS})
    AND NOT EXISTS (SELECT 1 FROM remit.tasks f JOIN remit.outbox b ON b.task = f.id
      WHERE f.issuer = r.issuer AND (f.id = r.id OR (f.root = r.id AND f.parent IS NOT NULL)))
  ORDER BY r.ended_ms, r.issuer, r.id LIMIT ${MAX_ROOTS} FOR UPDATE SKIP LOCKED`;

const FAMILY = `SELECT f.issuer, f.id FROM remit.tasks f JOIN unnest($1::text[], $2::text[]) AS k (issuer, root)
  ON f.issuer = k.issuer AND (f.id = k.root OR (f.root = k.root AND f.parent IS NOT NULL))`;

/** Tasks without parts and tokens are deleted; those of a large family over several steps. */
const DELETE_FAMILIES: readonly string[] = [
  `DELETE FROM remit.tokens WHERE jti_digest IN (
     SELECT o.jti_digest FROM remit.tokens o WHERE (o.issuer, o.task) IN (${FAMILY}) LIMIT ${MAX_DELETED})`,
  `WITH leaf AS (SELECT f.issuer, f.id FROM (${FAMILY}) f
     WHERE NOT EXISTS (SELECT 1 FROM remit.tokens o WHERE o.issuer = f.issuer AND o.task = f.id)
       AND NOT EXISTS (SELECT 1 FROM remit.tasks p WHERE p.issuer = f.issuer AND p.parent = f.id) LIMIT ${MAX_DELETED}),
   budget AS (DELETE FROM remit.budgets b USING leaf WHERE b.issuer = leaf.issuer AND b.task = leaf.id),
   history AS (DELETE FROM remit.histories h USING leaf WHERE h.issuer = leaf.issuer AND h.task = leaf.id)
   DELETE FROM remit.tasks t USING leaf WHERE t.issuer = leaf.issuer AND t.id = leaf.id`,
];

const FORGET_KEYS = `DELETE FROM remit.remembered WHERE (kind, key) IN (
  SELECT kind, key FROM remit.remembered WHERE until_ms <= ${DUE_BY} ORDER BY until_ms LIMIT ${MAX_DELETED})`;

const FORGET_STOPS = `DELETE FROM remit.stops WHERE (issuer, agent, subject, action, task) IN (
  SELECT issuer, agent, subject, action, task FROM remit.stops
  WHERE ended_ms IS NOT NULL AND ended_ms <= $1::bigint ORDER BY ended_ms LIMIT ${MAX_DELETED})`;

/** Orders that have been over for ten minutes: an authority removes them before, with a record of their end. */
const FORGET_ORDERS = `DELETE FROM remit.orders WHERE id IN (SELECT id FROM remit.orders WHERE until_ms <= ${DUE_BY} - 600000 LIMIT ${MAX_DELETED})`;

const FORGET_LIMITS: readonly string[] = [
  `DELETE FROM remit.limit_counts WHERE counter IN (
    SELECT counter FROM remit.limit_counts WHERE ends_ms <= ${DUE_BY} - ${LIMITS_KEPT_MS} LIMIT ${MAX_DELETED})`,
  `DELETE FROM remit.limit_values WHERE (counter, digest) IN (
    SELECT counter, digest FROM remit.limit_values WHERE ends_ms <= ${DUE_BY} - ${LIMITS_KEPT_MS} LIMIT ${MAX_DELETED})`,
];

const FORGET_CHANGES = `DELETE FROM remit.feed WHERE part = 0 AND seq IN (
  SELECT seq FROM remit.feed WHERE part = 0 AND seq <= (SELECT seq FROM remit.feed_head WHERE part = 0) - ${KEPT_CHANGES}
  ORDER BY seq LIMIT ${MAX_DELETED})`;

const FORGET_RECEIPTS = `DELETE FROM remit.receipts WHERE (seq, replica) IN (
  SELECT seq, replica FROM remit.receipts
  WHERE seq <= (SELECT seq FROM remit.feed_head WHERE part = 0) - ${KEPT_CHANGES} LIMIT ${MAX_DELETED})`;

/**
 * Records how far a ledger has taken the outbox. Deletes records that enough ledgers have (the highest `copies` asked for) and that every
 * ledger seen in the last ten minutes has. So with two copies or more no record is lost with a single disk, however long an
 * authority is away, and an authority that is back within ten minutes gets every record.
 */
const FORGET = `WITH mine AS (
    INSERT INTO remit.relays (ledger, seq, seen, copies) VALUES ($2, $1, clock_timestamp(), $3)
    ON CONFLICT (ledger) DO UPDATE SET seq = excluded.seq, seen = excluded.seen, copies = excluded.copies
  ), gone AS (
    DELETE FROM remit.relays WHERE ledger <> $2 AND seen < clock_timestamp() - interval '1 day'
  ), all_of AS (
    SELECT $1::bigint AS seq, clock_timestamp() AS seen, $3::smallint AS copies
    UNION ALL SELECT seq, seen, copies FROM remit.relays WHERE ledger <> $2
  )
  DELETE FROM remit.outbox
  WHERE seq <= (SELECT min(seq) FROM all_of WHERE seen > clock_timestamp() - interval '10 minutes')
    AND seq <= (SELECT seq FROM all_of ORDER BY seq DESC LIMIT 1 OFFSET (SELECT max(copies) - 1 FROM all_of))`;

/** A ledger without details. */
const ALONE = { name: '', copies: 1 };

/** The background writes of an authority. Several replicas may do them at once. */
export function postgresUpkeep({
  clocks,
  database,
  lane,
  nowMs,
}: {
  readonly clocks: () => Clocks;
  readonly database: Database;
  readonly lane: WriteLane;
  readonly nowMs: () => number;
}): Upkeep {
  const write = (...statements: readonly Statement[]): Promise<null | StoreFailure> => written(database, statements);
  let since: PrunedSince | null = null;
  return {
    writeSecrets: async (due) => {
      if (!due.flatMap(textsIn).every(isStorable)) return notStorable();
      const rows = due.map(({ secret, times }) => ({ ...secret, times }));
      return write({ text: WRITE_SECRETS, values: [JSON.stringify(merged(rows)), nowMs()] }, { text: DROP_SECRETS });
    },
    touchTasks: async (used) => {
      const ids = [...used.keys()];
      if (!ids.every(isStorable)) return notStorable();
      const call = {
        needs: { used: ids },
        write: (rows: { touch(id: string, atMs: number): void }) => {
          for (const [id, atMs] of used) rows.touch(id, atMs);
          return null;
        },
      };
      return lane.run(call);
    },
    writeUses: async (uses, reporter) =>
      [reporter.name, ...uses.flatMap(textsOfUses)].every(isStorable)
        ? write(...usesStatements(uses, reporter, nowMs()))
        : notStorable(),
    endExpired: async () => {
      const due = await database.read(DUE, [clocks().floorMs]);
      if (isStoreFailure(due)) return due;
      const keys = due.rows.map((row): TaskKey => ({ issuer: String(row['issuer']), id: String(row['id']) }));
      const ended = await Promise.all(
        keys.map((key) =>
          lane.run({ needs: { tasks: [key], families: [key], stopping: [key] }, write: (rows) => expire(rows, key) }),
        ),
      );
      return ended.find(isStoreFailure) ?? ended.filter((isEnded) => isEnded === true).length;
    },
    prune: async (keepMs) => {
      const now = clocks();
      const next = prunedAt(since, now.wallMs);
      const pruned = await prune(database, now, { keepMs, signals: forgetsReceivers(next) ? FORGET_SIGNALS : [] });
      if (!isStoreFailure(pruned)) since = next;
      return pruned;
    },
    shrink: async () => false,
    markServing: async () => null,
    forget: (upTo, { name, copies } = ALONE) => write({ text: FORGET, values: [upTo, name, copies] }),
  };
}

/**
 * A step of pruning. INVARIANT: by the earlier of both clocks, so that a clock that is ahead deletes nothing. One-time keys go by
 * the floor, as their use does.
 */
async function prune(
  database: Database,
  { floorMs, wallMs }: Clocks,
  { keepMs, signals }: { readonly keepMs: number; readonly signals: readonly string[] },
): Promise<Pruned | StoreFailure> {
  const nowMs = Math.min(wallMs, floorMs);
  const done = await database.transaction(async (client) => {
    const [, found] = await flight(client, [
      BEGIN,
      { text: PRUNABLE, values: [nowMs - keepMs, nowMs - PRUNE_SKEW_MS] },
    ]);
    const roots = found?.rows ?? [];
    const keys = [roots.map((row) => String(row['issuer'])), roots.map((row) => String(row['id']))];
    const deletes = roots.length === 0 ? [] : DELETE_FAMILIES.map((text) => ({ text, values: keys }));
    const results = await flight(client, [
      ...deletes,
      { text: FORGET_KEYS, values: [floorMs] },
      { text: FORGET_STOPS, values: [nowMs - STOP_MEMORY_MS] },
      { text: FORGET_ORDERS, values: [nowMs] },
      ...FORGET_LIMITS.map((text) => ({ text, values: [nowMs] })),
      { text: DROP_SURPLUS },
      { text: SHORTEN_CLAIMS },
      ...signals.map((text) => ({ text })),
      { text: FORGET_CHANGES },
      { text: FORGET_RECEIPTS },
    ]);
    const outcome = await commit(client, [], database);
    const counts = results.map(({ rowCount }) => rowCount ?? 0);
    return {
      outcome,
      tasks: roots.length === 0 ? 0 : (counts[1] ?? 0),
      isMore: Math.max(...counts) >= MAX_DELETED || roots.length === MAX_ROOTS,
    };
  });
  if (isStoreFailure(done)) return done;
  if (done.outcome.kind !== 'committed') return done.outcome.failure;
  const emptied = await emptySettled(database);
  return emptied ?? { tasks: done.tasks, isMore: done.isMore };
}

/** Slots that a step examines. Together with the kept slots they are fewer than the partitions. */
const LOOKED_AT = 3;

/** Empties the partitions of `settled` whose slots are old. Those of the current slots are not locked. */
async function emptySettled(database: Database): Promise<StoreFailure | null> {
  const clock = await database.read(`SELECT ${DATABASE_MS} AS now_ms`);
  if (isStoreFailure(clock)) return clock;
  const old = oldSlot(Number(clock.rows[0]?.['now_ms']));
  for (let slot = Math.max(0, old - LOOKED_AT + 1); slot <= old; slot += 1) {
    const table = `remit.settled_${slot % PARTS_OF_SETTLED}`;
    const isOld = `SELECT 1 FROM ${table} WHERE slot <= $1 AND NOT EXISTS (SELECT 1 FROM ${table} WHERE slot > $1) LIMIT 1`;
    const found = await database.read(isOld, [slot]);
    if (isStoreFailure(found)) return found;
    if (found.rows.length === 0) continue;
    const emptied = await written(database, [{ text: `TRUNCATE ${table}` }]);
    // A copy of the database that is being made, as by `pg_dump`, holds the lock: the next step tries again.
    if (emptied !== null) return emptied.code === 'busy' ? null : emptied;
  }
  return null;
}

const textsIn = ({ secret: { digest, kind, place, agent, action } }: DueSecret): readonly string[] => [
  digest,
  kind,
  place,
  agent,
  action,
];

/** A row per key: a statement cannot change a row twice. */
function merged<
  T extends { readonly digest: string; readonly agent: string; readonly action: string; readonly times: number },
>(rows: readonly T[]): readonly T[] {
  const byKey = new Map<string, T>();
  for (const row of rows) {
    const key = `${row.digest}\0${row.agent}\0${row.action}`;
    byKey.set(key, { ...row, times: row.times + (byKey.get(key)?.times ?? 0) });
  }
  return [...byKey.values()];
}
