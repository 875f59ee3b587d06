import { longestOf } from '../../../../core/task/stop.ts';
import type { Stop, StopQuery } from '../../../../core/task/stop.ts';
import { selectStops, stopFrom } from './stop-statements.ts';
import { encodedRecordFrom } from '../../../../core/ledger/encoded-record.ts';
import { isStoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { Task } from '../../../../core/task/task.ts';
import { isStorable, notStorable } from '../../../../core/state/writes/stored-text.ts';
import type {
  OpenTaskFilter,
  OutboxRecord,
  TaskCounts,
  TaskFilter,
  TokenOfTask,
  UseState,
  WaitingRecord,
} from '../../../../core/state/store-reader.ts';
import { sightingFrom, type SecretSighting } from '../../../../core/state/secret-sighting.ts';
import type { SpiffeId } from '../../../../core/identity/spiffe-id.ts';
import type { OpenTaskCount } from '../../../../core/limit/open-task-uses.ts';
import type { LimitCount } from '../../../../core/limit/limit-spend.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import { loanIn, LOANS, MAX_LOANS } from '../../../../core/state/task-loan.ts';
import type { TaskLoan } from '../../../../core/state/task-loan.ts';
import { MAX_LIMIT_USES } from '../../../../core/state/limit-use.ts';
import type { LimitPeak, LimitUse, LimitUseFilter } from '../../../../core/state/limit-use.ts';
import type { Database } from '../database.ts';
import { cardsOf } from './cards.ts';
import { limitUseOf } from './limit-rows.ts';
import type { RowReader } from './row-seal.ts';

/** Most rows of a listing. */
const MAX_ROWS = 1_000;
const MAX_SECRETS = 10_000;

type Row = Readonly<Record<string, unknown>>;

/** Reads of the primary, each a single statement. */
export class PostgresReads {
  readonly #database: Database;
  readonly #nowMs: () => number;
  readonly #reader: RowReader;

  /** @param options.nowMs `Store.nowMs` */
  constructor(database: Database, { nowMs, rows }: { readonly nowMs: () => number; readonly rows: RowReader }) {
    this.#database = database;
    this.#nowMs = nowMs;
    this.#reader = rows;
  }

  async taskOf(issuer: string, id: string): Promise<Task | undefined | StoreFailure> {
    const rows = await this.#rows('SELECT * FROM remit.tasks WHERE issuer = $1 AND id = $2', [issuer, id]);
    return isStoreFailure(rows) ? rows : this.#tasksIn(rows)[0];
  }

  async useStateOf(issuer: string, id: string, jtiDigest: string): Promise<UseState | undefined | StoreFailure> {
    if (![issuer, id, jtiDigest].every(isStorable)) return notStorable();
    const found = await cardsOf({ database: this.#database, rows: this.#reader }, [
      { key: { issuer, id }, jtiDigests: [jtiDigest] },
    ]);
    if (isStoreFailure(found)) return found;
    const [card] = found.cards;
    return card ? { task: card.task, issued: card.tokens[0], history: card.history } : undefined;
  }

  async tokenOf(jtiDigest: string): Promise<TokenOfTask | undefined | StoreFailure> {
    const rows = await this.#rows('SELECT * FROM remit.tokens WHERE jti_digest = $1', [jtiDigest]);
    return isStoreFailure(rows) ? rows : (rows.map((row) => this.#reader.tokenIn(row))[0] ?? undefined);
  }

  /** `Store.openTasks`. */
  openTasks(filter: OpenTaskFilter, limit: number): Promise<readonly Task[] | StoreFailure> {
    const { agent, subject, id, jtiDigest, olderThan } = filter;
    return this.#tasks(
      `t.ended_ms IS NULL AND ($2::text IS NULL OR t.agent = $2) AND ($3::text IS NULL OR t.subject = $3)
       AND ($4::text IS NULL OR t.id = $4)
       AND ($5::text IS NULL OR (t.issuer, t.id) IN (SELECT issuer, task FROM remit.tokens WHERE jti_digest = $5))
       AND ($6::bigint IS NULL OR (t.created_ms, t.id) < ($6::bigint, $7::text))`,
      [agent, subject, id, jtiDigest, olderThan?.createdAtMs, olderThan?.id],
      limit,
    );
  }

  /** `StoreReader.tasks`. */
  tasks({ id, agent, state, parent, limit = MAX_ROWS }: TaskFilter): Promise<readonly Task[] | StoreFailure> {
    return this.#tasks(
      `($2::text IS NULL OR t.id = $2) AND ($3::text IS NULL OR t.agent = $3)
       AND ($4::text IS NULL OR CASE WHEN ${IS_DUE} THEN 'expired' ELSE t.state END = $4)
       AND ($5::text IS NULL OR (t.issuer = $5 AND t.parent = $6::text))`,
      [id, agent, state, parent?.issuer, parent?.id],
      limit,
    );
  }

  /** `StoreReader.taskCounts`. It counts the rows of open tasks, and takes the number of ended tasks from the statistics of the server. */
  async taskCounts(): Promise<TaskCounts | StoreFailure> {
    const rows = await this.#rows(
      `SELECT count(*) FILTER (WHERE state = 'active') AS active, count(*) FILTER (WHERE state = 'suspended') AS suspended,
         (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'remit.tasks'::regclass) AS all_tasks
       FROM remit.tasks WHERE ended_ms IS NULL`,
      [],
    );
    if (isStoreFailure(rows)) return rows;
    const [active, suspended, all] = ['active', 'suspended', 'all_tasks'].map((name) => Number(rows[0]?.[name] ?? 0));
    const open = (active ?? 0) + (suspended ?? 0);
    return { active: active ?? 0, suspended: suspended ?? 0, ended: Math.max(0, (all ?? 0) - open) };
  }

  /** `StoreReader.staticSecrets`. */
  async staticSecrets(limit: number): Promise<readonly SecretSighting[] | StoreFailure> {
    const sql = 'SELECT * FROM remit.static_secrets ORDER BY last_seen_ms DESC, digest, agent, action LIMIT $1';
    const rows = await this.#rows(sql, [Math.max(0, Math.min(MAX_SECRETS, Math.trunc(limit)))]);
    if (isStoreFailure(rows)) return rows;
    return rows.map(sightingFrom);
  }

  /** `StoreReader.restoredAtMs`. */
  async restoredAtMs(): Promise<number | null | StoreFailure> {
    const rows = await this.#rows('SELECT restored_ms FROM remit.feed_head WHERE part = 0', []);
    if (isStoreFailure(rows)) return rows;
    const atMs = rows[0]?.['restored_ms'] ?? null;
    return atMs === null ? null : Number(atMs);
  }

  /** `StoreReader.limitUses`. */
  async limitUses({ limit, who }: LimitUseFilter): Promise<readonly LimitUse[] | StoreFailure> {
    const sql = `SELECT * FROM remit.limit_counts WHERE ends_ms > $1 AND starts_ms <= $1
      AND ($2::text IS NULL OR limit_id = $2) AND ($3::text IS NULL OR who = $3) ORDER BY used - given DESC LIMIT ${MAX_LIMIT_USES}`;
    const rows = await this.#rows(sql, [this.#nowMs(), limit ?? null, who ?? null]);
    if (isStoreFailure(rows)) return rows;
    return rows.map((row) => limitUseOf(this.#reader.limitIn(row)));
  }

  /** `StoreReader.openTaskCounts`. */
  async openTaskCounts(): Promise<readonly OpenTaskCount[] | StoreFailure> {
    const sql = `SELECT agent, subject, count(*) AS count FROM remit.tasks WHERE ended_ms IS NULL
      GROUP BY agent, subject ORDER BY 3 DESC, 1, 2 LIMIT ${MAX_LIMIT_USES}`;
    const rows = await this.#rows(sql, []);
    if (isStoreFailure(rows)) return rows;
    // Tasks have SPIFFE IDs.
    return rows.map(({ agent, subject, count }) => ({
      agent: String(agent) as SpiffeId,
      subject: String(subject),
      count: Number(count),
    }));
  }

  /** `StoreReader.loansOf`. */
  async loansOf({ issuer, id }: TaskKey): Promise<readonly TaskLoan[] | StoreFailure> {
    const sql = `SELECT * FROM remit.budgets WHERE issuer = $1 AND task = $2 AND left(name, ${LOANS.length}) = $3
      ORDER BY spent - given DESC, name LIMIT ${MAX_LOANS}`;
    const rows = await this.#rows(sql, [issuer, id, LOANS]);
    if (isStoreFailure(rows)) return rows;
    return rows.flatMap((row) => {
      const { name, taken, given } = this.#reader.spentIn(row);
      return loanIn(name, taken - given) ?? [];
    });
  }

  /** `StoreReader.limitPeaks`. */
  async limitPeaks(): Promise<readonly LimitPeak[] | StoreFailure> {
    const sql = `SELECT limit_id, measure, max(CASE WHEN max = 0 THEN 1 ELSE (used - given)::float8 / max END) AS ratio
      FROM remit.limit_counts WHERE ends_ms > $1 AND starts_ms <= $1 GROUP BY limit_id, measure`;
    const rows = await this.#rows(sql, [this.#nowMs()]);
    if (isStoreFailure(rows)) return rows;
    return rows.map((row) => ({
      limit: String(row['limit_id']),
      // `limitStatements` wrote it.
      measure: String(row['measure']) as LimitCount,
      ratio: Number(row['ratio']),
    }));
  }

  /** `StoreReader.stopOf`. */
  async stopOf(query: StopQuery): Promise<Stop | null | StoreFailure> {
    const { text, values = [] } = selectStops([query]);
    const rows = await this.#rows(text, values);
    return isStoreFailure(rows) ? rows : longestOf(rows.map(stopFrom));
  }

  /** `StoreReader.outboxEnd`. */
  async outboxEnd(): Promise<number | StoreFailure> {
    const rows = await this.#rows('SELECT seq FROM remit.outbox_head WHERE part = 0', []);
    return isStoreFailure(rows) ? rows : Number(rows[0]?.['seq'] ?? 0);
  }

  /** `StoreReader.outbox`. */
  async outbox(after: number, limit: number): Promise<readonly OutboxRecord[] | StoreFailure> {
    const rows = await this.#rows('SELECT seq, bytes FROM remit.outbox WHERE seq > $1 ORDER BY seq LIMIT $2', [
      after,
      bounded(limit),
    ]);
    if (isStoreFailure(rows)) return rows;
    return rows.map((row) => Object.assign(encodedRecordFrom(bytesIn(row)), { outbox: Number(row['seq']) }));
  }

  /** `StoreReader.recordsOf`. */
  async recordsOf(taskId: string, limit: number): Promise<readonly WaitingRecord[] | StoreFailure> {
    const rows = await this.#rows('SELECT seq, bytes FROM remit.outbox WHERE task = $1 ORDER BY seq LIMIT $2', [
      taskId,
      bounded(limit),
    ]);
    if (isStoreFailure(rows)) return rows;
    return rows.map((row) => ({ seq: null, outbox: Number(row['seq']), bytes: bytesIn(row) }));
  }

  #tasks(where: string, values: readonly unknown[], limit: number): Promise<readonly Task[] | StoreFailure> {
    const given = values.map((value) => value ?? null);
    const sql = `SELECT t.* FROM remit.tasks t WHERE $1::bigint IS NOT NULL AND ${where}
      ORDER BY t.created_ms DESC, t.id DESC LIMIT $${given.length + 2}`;
    return this.#rows(sql, [this.#nowMs(), ...given, bounded(limit)]).then((rows) =>
      isStoreFailure(rows) ? rows : this.#tasksIn(rows),
    );
  }

  #tasksIn(rows: readonly Row[]): readonly Task[] {
    return rows.flatMap((row) => this.#reader.taskIn(row)?.task ?? []);
  }

  async #rows(sql: string, values: readonly unknown[]): Promise<readonly Row[] | StoreFailure> {
    if (!values.every((value) => typeof value !== 'string' || isStorable(value))) return notStorable();
    const result = await this.#database.read(sql, values);
    return isStoreFailure(result) ? result : result.rows;
  }
}

/** Whether the open task of a row is past its deadline or idle limit at `$1`; the same rule as `expiryOf`. */
const IS_DUE = `t.ended_ms IS NULL AND (t.deadline_ms <= $1::bigint
  OR (t.state = 'active' AND t.idle_ms IS NOT NULL AND t.last_used_ms + t.idle_ms <= $1::bigint))`;

const bounded = (limit: number): number => Math.max(0, Math.min(MAX_ROWS, Math.trunc(limit)));

/** The column is `bytea`. */
const bytesIn = (row: Row): Uint8Array => row['bytes'] as Uint8Array;
