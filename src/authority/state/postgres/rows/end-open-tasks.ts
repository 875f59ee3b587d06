/** Ends the open tasks of a database that is restored. */
import { isStoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';
import { endRestored } from '../../../../core/state/end-restored.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import { causeOf } from '../../../../core/task/cause.ts';
import type { Database } from '../database.ts';
import { BEGIN, commit, flight } from '../flight.ts';
import type { Statement } from '../flight.ts';
import type { WriteLane } from '../write-lane.ts';
import type { RowReader } from './row-seal.ts';

/** Where the tasks are, and who ends them. */
export interface EndingTasks {
  readonly database: Database;
  /** Writes to the database although it is known to lack commits, and seals as the authorities do. */
  readonly lane: WriteLane;
  /** Tells the rows that an authority wrote. */
  readonly rows: Pick<RowReader, 'taskIn'>;
  readonly floorMs: () => number;
  /** The operator who restores, as named in records. */
  readonly by: string;
}

/** How many tasks were open. */
export interface EndedTasks {
  /** Number of tasks that were ended, each with a record, including parts. */
  readonly ended: number;
  /** Number of rows of open tasks that no authority wrote: ended as well, without a record. 0 without a key. */
  readonly unsealed: number;
}

/** Root tasks first, which end with their parts. */
const OPEN = 'SELECT * FROM remit.tasks WHERE ended_ms IS NULL ORDER BY parent IS NOT NULL LIMIT 1000';
const COUNT = 'SELECT count(*) AS count FROM remit.tasks WHERE ended_ms IS NULL';

/**
 * A row that no authority wrote stays without a seal and gets no record: both would vouch for what somebody else wrote. INVARIANT: its
 * revision rises, as the database requires of a row with a seal.
 */
const END_UNSEALED = `UPDATE remit.tasks t SET state = 'revoked', cause = $3, cause_note = '', ended_ms = $4, seal = NULL,
    revision = coalesce(t.revision, 0) + 1
  FROM unnest($1::text[], $2::text[]) AS k (issuer, id) WHERE t.issuer = k.issuer AND t.id = k.id AND t.ended_ms IS NULL`;

/** Ends all open tasks. Gives how many there were. */
export async function endOpenTasks(ending: EndingTasks): Promise<EndedTasks | StoreFailure> {
  const count = await ending.database.read(COUNT);
  if (isStoreFailure(count)) return count;
  for (let unsealed = 0; ;) {
    const open = await ending.database.read(OPEN);
    if (isStoreFailure(open)) return open;
    if (open.rows.length === 0) return { ended: Math.max(0, Number(count.rows[0]?.['count']) - unsealed), unsealed };
    const [written, others]: [TaskKey[], TaskKey[]] = [[], []];
    for (const row of open.rows) {
      const isWritten = ending.rows.taskIn(row) !== null;
      (isWritten ? written : others).push({ issuer: String(row['issuer']), id: String(row['id']) });
    }
    const failure = (await endUnsealed(others, ending)) ?? (await endWritten(written, ending));
    if (failure !== null) return failure;
    unsealed += others.length;
  }
}

async function endWritten(keys: readonly TaskKey[], { lane, by }: EndingTasks): Promise<StoreFailure | null> {
  const ends = keys.map((key) =>
    lane.run({
      needs: { tasks: [key], families: [key] },
      write: (rows) => {
        endRestored(rows, key, by);
        return null;
      },
    }),
  );
  return (await Promise.all(ends)).find(isStoreFailure) ?? null;
}

async function endUnsealed(keys: readonly TaskKey[], { database, floorMs }: EndingTasks): Promise<StoreFailure | null> {
  if (keys.length === 0) return null;
  const ends: Statement = {
    text: END_UNSEALED,
    values: [keys.map(({ issuer }) => issuer), keys.map(({ id }) => id), causeOf('operator.restored').code, floorMs()],
  };
  const done = await database.transaction(async (client) => {
    await flight(client, [BEGIN, ends]);
    return { outcome: await commit(client, [], database) };
  });
  if (isStoreFailure(done)) return done;
  return done.outcome.kind === 'committed' ? null : done.outcome.failure;
}
