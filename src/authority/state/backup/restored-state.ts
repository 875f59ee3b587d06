import { encodedRecord } from '../../../core/ledger/encoded-record.ts';
import { recordText } from '../../../core/ledger/record.ts';
import type { EventRecord } from '../../../core/ledger/record.ts';
import { causeOf } from '../../../core/task/cause.ts';
import { endRestored } from '../../../core/state/end-restored.ts';
import { sqliteRows } from '../sqlite/sqlite-rows.ts';
import type { ClockSources } from '../../../core/state/clock-floor.ts';
import { Connection } from '../sqlite/connection.ts';
import { tableProblem } from '../../../core/sqlite/file-format.ts';
import { migrateFile } from '../sqlite/migration.ts';
import { keepStops } from '../sqlite/tables/order-table.ts';
import { fileIdOf, insertRecords } from '../sqlite/tables/outbox-table.ts';
import { markRestored } from '../sqlite/tables/restored-mark.ts';
import { createState, stateFormat } from '../sqlite/schema.ts';
import { openSqlite } from '../../../core/sqlite/sqlite-file.ts';
import type { RestoredOrders } from '../../../core/state/restored-orders.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { MAX_ROWS } from '../sqlite/tables/task-table.ts';

/** What `restoreState` needs to know. */
export interface RestoreFacts {
  readonly clocks: ClockSources;
  readonly randomBytes: (length: number) => Uint8Array;
  /** The operator who restores, as named in records. */
  readonly by: string;
  /** How far any existing ledger has taken the outbox of the file with this id. Those records are not sent to the ledger again. */
  readonly takenOf: (fileId: string) => number | StoreFailure;
  /** Details of the backup, for the record of the restore. */
  readonly details: EventRecord['details'];
}

/** What happened to the tasks and orders of a copy. */
export interface RestoredState extends RestoredOrders {
  /** Number of open tasks that were ended, including parts. */
  readonly ended: number;
}

const MAX_BYTES = 64 * 1024 ** 3;

/**
 * Turns a copy of a state file into a file that a process can serve with, in a single transaction. Nothing that ended or was spent after the
 * copy comes back:
 *
 * - The file is migrated, checked for damage, and its schema is compared with ours.
 * - It gets a new id, so that a ledger does not mistake its records for those it has.
 * - Each open task ends with a record (`operator.restored`, or as expired), so every earlier token is refused.
 * - Its stops stay in force, and its orders to observe are deleted.
 * - The instant of the restore is stored: security events from before it no longer have an effect, unless they take something away.
 * - Records that a ledger has are dropped from the outbox, and a record of the restore is added.
 *
 * @param path a copy that no other process has open. After a failure it is unfit for use and must be deleted
 */
export function restoreState(path: string, facts: RestoreFacts): RestoredState | StoreFailure {
  const migrated = migrateFile(path, stateFormat, { keepsCopy: false });
  if (isStoreFailure(migrated)) return migrated;
  const { randomBytes } = facts;
  const db = openSqlite(path, {
    format: stateFormat,
    access: 'write',
    maxBytes: MAX_BYTES,
    create: (own) => createState(own, randomBytes),
  });
  if (isStoreFailure(db)) return db;
  const connection = new Connection(db, facts.clocks);
  try {
    const foreign = tableProblem(db, stateFormat, (own) => createState(own, (length) => new Uint8Array(length)));
    if (foreign !== null) return storeFailure('unusable', `\`${path}\`: ${foreign}`);
    const taken = facts.takenOf(fileIdOf(connection));
    return isStoreFailure(taken) ? taken : connection.write([facts.by], () => made(connection, facts, taken));
  } finally {
    connection.close();
  }
}

/** Within a transaction. */
function made(connection: Connection, { by, details }: RestoreFacts, taken: number): RestoredState {
  const of = fileIdOf(connection);
  connection.statement('DELETE FROM serving').run();
  connection.statement('DELETE FROM outbox WHERE seq <= ?').run(taken);
  connection.statement('UPDATE file SET file_id = lower(hex(randomblob(16)))').run();
  markRestored(connection);
  const before = openCount(connection);
  const orders = { stops: keepStops(connection), stopsUntilMs: knownUntil(connection) };
  endOpenTasks(connection, by);
  const cause = causeOf('operator.restored', '');
  const record = encodedRecord({
    kind: 'event',
    at: connection.nowMs(),
    task: null,
    event: 'restored',
    cause: cause.code,
    note: `${before} open tasks were ended`,
    by: recordText(by),
    details: { ...details, fileId: of, endedTasks: before, ...orders },
  });
  if ('problem' in record) throw new Error(`the record of a restore cannot be encoded: ${record.problem}`);
  insertRecords(connection, [record]);
  return { ended: before, ...orders };
}

/** The clock mark of the last commit before the restore. Within a transaction, which writes its own only at its end. */
const knownUntil = (connection: Connection): number =>
  Number(connection.statement('SELECT floor_ms FROM clock').get()?.['floor_ms']);

/** Ends root tasks first, each with its parts. */
function endOpenTasks(connection: Connection, by: string): void {
  const stateRows = sqliteRows(connection);
  for (const parts of ['AND parent IS NULL', '']) {
    const open = connection.statement(`SELECT issuer, id FROM tasks WHERE ended_ms IS NULL ${parts} LIMIT ${MAX_ROWS}`);
    for (let rows = open.all(); rows.length > 0; rows = open.all()) {
      for (const row of rows) endRestored(stateRows, { issuer: String(row['issuer']), id: String(row['id']) }, by);
    }
  }
}

const openCount = (connection: Connection): number =>
  Number(connection.statement('SELECT count(*) AS count FROM tasks WHERE ended_ms IS NULL').get()?.['count']);
