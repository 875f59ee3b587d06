import type { PostgresTarget } from '../../../core/config/postgres-url.ts';
import { encodedRecord } from '../../../core/ledger/encoded-record.ts';
import { recordText } from '../../../core/ledger/record.ts';
import type { Clocks, Ports } from '../../../core/runtime/ports.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { causeOf } from '../../../core/task/cause.ts';
import { ClockFloor, MAX_FLOOR_MS } from '../../../core/state/clock-floor.ts';
import type { ClockSources } from '../../../core/state/clock-floor.ts';
import type { RestoredOrders } from '../../../core/state/restored-orders.ts';
import { Database } from './database.ts';
import { BEGIN, commit, flight, ROLLBACK } from './flight.ts';
import type { Statement } from './flight.ts';
import { databaseFacts } from './postgres-state.ts';
import { LOCK_ORDERS, MAY_HOLD } from './rows/order-statements.ts';
import { endOpenTasks } from './rows/end-open-tasks.ts';
import type { EndedTasks, EndingTasks } from './rows/end-open-tasks.ts';
import { readerOf, RowSeal } from './rows/row-seal.ts';
import { uuidFrom } from './rows/uuid.ts';
import { WriteLane } from './write-lane.ts';

/** Options of a restore. */
export interface RestoreDatabaseOptions {
  readonly clocks: ClockSources;
  readonly randomBytes: Ports['randomBytes'];
  /** The operator who restores, as named in records. */
  readonly by: string;
  /** The key of `RowSeal`, by which authorities know what this writes; `null` if rows have no seal. A database with seals is refused then. */
  readonly stateKey: Uint8Array | null;
  /** Names of the receivers of signals in the configuration, who learn of each end. Those that the database names learn of it anyway. */
  readonly receivers: readonly string[];
  readonly askMs?: number;
}

/** What was done. */
export interface RestoredDatabase extends RestoredOrders, EndedTasks {
  /** The life of the database that has begun. */
  readonly epoch: string;
}

/** The orders of a database as it was restored, and its floor. Only the last step moves the floor: a restore that is run again reads the same. */
const ORDERS = `SELECT floor_ms, (SELECT count(*) FROM remit.orders WHERE of = 'stop' AND ${MAY_HOLD} AND (until_ms IS NULL OR until_ms > $1::bigint)) AS stops
  FROM remit.feed_head WHERE part = 0`;
/** After `LOCK_ORDERS`, whose higher version makes each authority read the orders again. */
const DROP_OBSERVING: Statement = { text: "DELETE FROM remit.orders WHERE of = 'observe'" };

const UNFINISHED =
  'the database is being restored, or a restore was not finished: run `remit restore --config FILE` to its end';
const STOP: Statement = { text: 'UPDATE remit.feed_head SET lost = $1 WHERE part = 0', values: [UNFINISHED] };
/**
 * Waits for transactions that write orders or tasks, and lets none begin. INVARIANT: after the row that a writer of orders locks first, so that
 * it and this never wait for each other.
 */
const LOCK: Statement = { text: 'LOCK TABLE remit.orders, remit.tasks IN SHARE ROW EXCLUSIVE MODE' };
/**
 * The new life begins after the instant of the restore: what was made up to it is never added again (`rights-schema.ts`). That instant rises with
 * each restore, and is at most a day ahead of the clock of the database.
 */
const BEGIN_LIFE = `UPDATE remit.feed_head SET epoch = gen_random_uuid(), floor_ms = $1::bigint + 1, lost = NULL,
    restored_ms = greatest(least($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + ${MAX_FLOOR_MS}), restored_ms + 1)
  WHERE part = 0 RETURNING epoch::text AS epoch`;
const STILL_OPEN: Statement = { text: 'SELECT 1 FROM remit.tasks WHERE ended_ms IS NULL LIMIT 1' };
const HAS_SEALS = `SELECT EXISTS (SELECT FROM remit.tasks WHERE seal IS NOT NULL)
  OR EXISTS (SELECT FROM remit.orders WHERE seal IS NOT NULL) AS sealed`;

/**
 * Begins another life of a database that was restored from a backup, or whose primary lacked commits when it was promoted. Tasks that ended
 * since are open in it, and what was spent is not spent in it. So each open task ends with a record (`operator.restored`), and every earlier
 * token is refused. Rows of tasks that no authority wrote end without a record.
 *
 * Authorities that run write nothing and renew no lease from the first step on, and end at the last step, so that they start again in the new
 * life. A restore that is killed in between leaves a database that no authority serves from; run it again.
 */
export async function restoreDatabase(
  target: PostgresTarget,
  { askMs, by, clocks, randomBytes, receivers, stateKey }: RestoreDatabaseOptions,
): Promise<RestoredDatabase | StoreFailure> {
  const database = new Database({ target, hasQuorum: false, ...(askMs !== undefined && { askMs }) });
  const found = await databaseFacts(database);
  const facts = isStoreFailure(found) || stateKey !== null ? found : ((await sealedProblem(database)) ?? found);
  if (isStoreFailure(facts)) {
    await database.close();
    return facts;
  }
  const floor = new ClockFloor(clocks, { floorMs: facts.floorMs, boot: null }, facts);
  const read = (): Clocks => floor.read();
  const newId = (): string => uuidFrom(randomBytes(16));
  const seal = stateKey === null ? null : new RowSeal(stateKey, () => undefined);
  const lane = new WriteLane(database, { clocks: read, newId, receivers, seal, writesLost: true });
  const floorMs = (): number => read().floorMs;
  try {
    return await restored({ database, lane, by, rows: readerOf(seal), floorMs });
  } finally {
    await lane.close();
    await database.close();
  }
}

/** Why a database cannot be restored without a key: what that wrote would not count for its authorities. `null` if it can. */
async function sealedProblem(database: Database): Promise<StoreFailure | null> {
  const found = await database.read(HAS_SEALS);
  if (isStoreFailure(found)) return found;
  return found.rows[0]?.['sealed'] === true
    ? storeFailure(
        'refused',
        'the rows of the database are sealed with `authority.stateKey`, and authorities would take nothing that is written without it: ' +
          'run `remit restore --config FILE` with the configuration of an authority, which names that key',
      )
    : null;
}

async function restored(ending: EndingTasks): Promise<RestoredDatabase | StoreFailure> {
  const { database, by, lane, floorMs } = ending;
  const before = await database.read('SELECT epoch::text AS epoch FROM remit.feed_head WHERE part = 0');
  if (isStoreFailure(before)) return before;
  const found = await database.read(ORDERS, [floorMs()]);
  if (isStoreFailure(found)) return found;
  const { stops, floor_ms: stopsUntilMs } = found.rows[0] ?? {};
  const orders = { stops: Number(stops), stopsUntilMs: Number(stopsUntilMs) };
  const stopped = await committed(database, [LOCK_ORDERS, DROP_OBSERVING, STOP]);
  if (stopped !== null) return stopped;
  for (let [ended, unsealed] = [0, 0]; ;) {
    const more = await endOpenTasks(ending);
    if (isStoreFailure(more)) return more;
    [ended, unsealed] = [ended + more.ended, unsealed + more.unsealed];
    const was = String(before.rows[0]?.['epoch']);
    const noted = await note(lane, { by, ended, unsealed, epoch: was, atMs: floorMs(), orders });
    if (noted !== null) return noted;
    const epoch = await begun(database, floorMs());
    // An authority that had not noticed yet has declared a task meanwhile.
    if (epoch !== null) return isStoreFailure(epoch) ? epoch : { ended, unsealed, epoch, ...orders };
  }
}

async function note(
  lane: WriteLane,
  {
    by,
    ended,
    unsealed,
    epoch,
    atMs,
    orders,
  }: EndedTasks & {
    readonly by: string;
    readonly epoch: string;
    readonly atMs: number;
    readonly orders: RestoredOrders;
  },
): Promise<StoreFailure | null> {
  const record = encodedRecord({
    kind: 'event',
    at: atMs,
    task: null,
    event: 'restored',
    cause: causeOf('operator.restored').code,
    note: `${ended} open tasks were ended`,
    by: recordText(by),
    details: { fileId: epoch, endedTasks: ended, unsealedTasks: unsealed, ...orders },
  });
  if ('problem' in record) throw new Error(`the record of a restore cannot be encoded: ${record.problem}`);
  return lane.run({
    needs: {},
    write: (rows) => {
      rows.addRecords([record]);
      return null;
    },
  });
}

/**
 * Begins the new life and gives its epoch; `null` if a task is open. INVARIANT: no task and no order is written between the look and the commit:
 * a login that is not an authority's can write both at any time.
 */
async function begun(database: Database, floorMs: number): Promise<string | null | StoreFailure> {
  const done = await database.transaction(async (client) => {
    const looked = await flight(client, [BEGIN, LOCK_ORDERS, LOCK, DROP_OBSERVING, STILL_OPEN]);
    if (looked.at(-1)?.rowCount !== 0) {
      await flight(client, [ROLLBACK]);
      return { outcome: { kind: 'failed', failure: storeFailure('changed', 'a task is open') } as const, epoch: null };
    }
    const [life] = await flight(client, [{ text: BEGIN_LIFE, values: [floorMs] }]);
    return { outcome: await commit(client, [], database), epoch: String(life?.rows[0]?.['epoch']) };
  });
  if (isStoreFailure(done)) return done;
  if (done.epoch === null) return null;
  return done.outcome.kind === 'committed' ? done.epoch : done.outcome.failure;
}

async function committed(database: Database, statements: readonly Statement[]): Promise<StoreFailure | null> {
  const done = await database.transaction(async (client) => {
    await flight(client, [BEGIN, ...statements]);
    return { outcome: await commit(client, [], database) };
  });
  if (isStoreFailure(done)) return done;
  return done.outcome.kind === 'committed' ? null : done.outcome.failure;
}
