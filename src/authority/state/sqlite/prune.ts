/** Deletes ended tasks once no token of theirs can be used and the ledger has their records. */
import type { Connection } from './connection.ts';
import type { Pruned, TaskKey } from '../../../core/state/store.ts';
import { forgetLimits, hasOldLimits } from './tables/limit-table.ts';
import { forgetsReceivers, prunedAt } from '../../../core/state/signal-queue.ts';
import type { PrunedSince } from '../../../core/state/signal-queue.ts';
import { LIMITS_KEPT_MS } from '../../../core/state/limit-use.ts';
import { forgetOrders, hasOldOrders } from './tables/order-table.ts';
import { forgetReceivers, hasOldReceivers } from './tables/signal-table.ts';
import { forgetSettled, hasOldSettled } from './tables/settled-table.ts';
import { forgetStops, hasOldStops } from './tables/stop-table.ts';

/** How long an order that is over is kept: the authority removes it before, with a record of its end. */
const ENDED_ORDERS_MS = 600_000;
/** The largest configurable clock skew between this machine and a verifier: 60 s. */
export const PRUNE_SKEW_MS = 60_000;
/** Most rows that a step reads to delete. A step blocks its thread and all other writers. */
const MAX_ROWS = 128;
/** Most root tasks that a step looks at. */
const MAX_ROOTS = 32;
/** Most replay keys, most settled decisions, most stops, most orders, most windows of limits and most signals that a step deletes. */
const MAX_KEYS = 128;

const ROOTS = `SELECT issuer, id, ended_ms FROM tasks INDEXED BY tasks_ended
  WHERE ended_ms IS NOT NULL AND parent IS NULL AND ended_ms <= ?1 AND (ended_ms, issuer, id) > (?2, ?3, ?4)
  ORDER BY ended_ms, issuer, id LIMIT ${MAX_ROOTS}`;

const IS_NEEDED = `SELECT 1 FROM tokens WHERE issuer = ?1 AND task = ?2 AND expires_ms > ?3
  UNION ALL SELECT 1 FROM outbox INDEXED BY outbox_task WHERE task = ?2 LIMIT 1`;

const PARTS = `SELECT id FROM tasks INDEXED BY tasks_part WHERE issuer = ? AND parent = ? LIMIT ?`;

const HAS_KEYS = 'SELECT 1 FROM remembered WHERE until_ms <= ? LIMIT 1';

const FORGET_KEYS = `DELETE FROM remembered WHERE (kind, key) IN
  (SELECT kind, key FROM remembered WHERE until_ms <= ? ORDER BY until_ms LIMIT ${MAX_KEYS})`;

const DELETE_TOKENS = `DELETE FROM tokens WHERE jti_digest IN
  (SELECT jti_digest FROM tokens WHERE issuer = ? AND task = ? LIMIT ?)`;

const DELETE_REST = [
  'DELETE FROM budgets WHERE issuer = ? AND task = ?',
  'DELETE FROM histories WHERE issuer = ? AND task = ?',
  'DELETE FROM tasks WHERE issuer = ? AND id = ?',
];

interface Root extends TaskKey {
  readonly endedAtMs: number;
}

const START: Root = { endedAtMs: Number.MIN_SAFE_INTEGER, issuer: '', id: '' };

/** The work of the next step. */
interface Due {
  /** Root tasks that are no longer needed. */
  readonly roots: readonly Root[];
  /** The start of the next look. */
  readonly next: Root;
  /** Whether replay keys, settled decisions, stops or orders are due for deletion. */
  readonly hasKeys: boolean;
  readonly hasSettled: boolean;
  readonly hasStops: boolean;
  readonly hasOrders: boolean;
  /** Whether windows of limits are due for deletion. */
  readonly hasLimits: boolean;
  /** Whether receivers of signals that no process delivers to are due for deletion. */
  readonly hasReceivers: boolean;
}

/**
 * Deletes ended tasks in small steps, the oldest end first. It skips tasks that must be kept, and starts over once it has seen all. A task
 * is deleted after its parts, and parts only once their root task can be deleted too, since they share a history. So a crash between two
 * steps leaves an ended task with fewer ended parts.
 */
export class Pruning {
  readonly #connection: Connection;
  #seen = START;
  #since: PrunedSince | null = null;
  /** Rows that the step may still read. */
  #left = 0;
  #deleted = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** The work of the next step; `null` if there is none. Within `read`. */
  due(keepMs: number): Due | null {
    const { endedAtMs, issuer, id } = this.#seen;
    this.#since = prunedAt(this.#since, this.#nowMs());
    const rows = this.#connection.statement(ROOTS).all(this.#nowMs() - keepMs, endedAtMs, issuer, id);
    const seen = rows.map((row) => ({
      issuer: String(row['issuer']),
      id: String(row['id']),
      endedAtMs: Number(row['ended_ms']),
    }));
    const next = (seen.length === MAX_ROOTS ? seen.at(-1) : undefined) ?? START;
    const roots = seen.filter((root) => !this.#isNeeded(root));
    const hasKeys = this.#connection.statement(HAS_KEYS).get(this.#connection.floorMs()) !== undefined;
    const hasSettled = hasOldSettled(this.#connection);
    const hasStops = hasOldStops(this.#connection, this.#nowMs());
    const hasOrders = hasOldOrders(this.#connection, this.#nowMs() - ENDED_ORDERS_MS);
    const hasLimits = hasOldLimits(this.#connection, this.#nowMs() - LIMITS_KEPT_MS);
    const hasReceivers = forgetsReceivers(this.#since) && hasOldReceivers(this.#connection, this.#nowMs());
    if (roots.length > 0 || hasKeys || hasSettled || hasStops || hasOrders || hasLimits || hasReceivers)
      return { roots, next, hasKeys, hasSettled, hasStops, hasOrders, hasLimits, hasReceivers };
    this.#seen = next;
    return null;
  }

  /** Deletes what `due` returned, as far as a step goes. Within a transaction. */
  step({ roots, next, hasKeys, hasSettled, hasStops, hasOrders, hasLimits, hasReceivers }: Due): Pruned {
    this.#left = MAX_ROWS;
    this.#deleted = 0;
    const keys = hasKeys ? this.#connection.statement(FORGET_KEYS).run(this.#connection.floorMs()).changes : 0;
    const settled = hasSettled ? forgetSettled(this.#connection, MAX_KEYS) : 0;
    const stops = hasStops ? forgetStops(this.#connection, this.#nowMs(), MAX_KEYS) : 0;
    const orders = hasOrders ? forgetOrders(this.#connection, this.#nowMs() - ENDED_ORDERS_MS, MAX_KEYS) : 0;
    const limits = hasLimits ? forgetLimits(this.#connection, this.#nowMs() - LIMITS_KEPT_MS, MAX_KEYS) : 0;
    const signals = hasReceivers ? forgetReceivers(this.#connection, this.#nowMs(), MAX_KEYS) : 0;
    let last = this.#seen;
    for (const root of roots) {
      if (this.#left <= 0) break;
      last = root;
      this.#delete(root, root.id);
    }
    const isDone = this.#left > 0;
    // A task that cannot be deleted now must not delay those after it.
    if (isDone) this.#seen = next;
    else if (this.#deleted === 0) this.#seen = last;
    const isMore = isDone ? next !== START : this.#deleted > 0;
    return {
      tasks: this.#deleted,
      isMore: isMore || Math.max(Number(keys), settled, stops, orders, limits, signals) === MAX_KEYS,
    };
  }

  /** INVARIANT: uses the earlier of both clocks, so that a clock that is ahead deletes nothing. */
  #nowMs(): number {
    const { wallMs, floorMs } = this.#connection.clocks();
    return Math.min(wallMs, floorMs);
  }

  /** Whether a token of the task is still valid, or the ledger lacks a record of it. */
  #isNeeded({ issuer, id }: TaskKey): boolean {
    return this.#connection.statement(IS_NEEDED).get(issuer, id, this.#nowMs() - PRUNE_SKEW_MS) !== undefined;
  }

  /** Deletes a task after its parts, as far as the step goes. Gives whether the task is gone. */
  #delete(key: TaskKey, root: string): boolean {
    this.#left -= 1;
    // Read again within the transaction: another process may have written since `due`.
    if (this.#isNeeded(key)) return false;
    const parts = this.#connection.statement(PARTS).all(key.issuer, key.id, Math.max(1, this.#left + 1));
    for (const { id } of parts) {
      if (this.#left <= 0) return false;
      this.#delete({ issuer: key.issuer, id: String(id) }, root);
    }
    if (this.#left <= 0 || this.#hasParts(key)) return false;
    return this.#deleteRows(key, root);
  }

  #hasParts({ issuer, id }: TaskKey): boolean {
    return this.#connection.statement(PARTS).get(issuer, id, 1) !== undefined;
  }

  #deleteRows({ issuer, id }: TaskKey, root: string): boolean {
    const limit = this.#left;
    const tokens = Number(this.#connection.statement(DELETE_TOKENS).run(issuer, id, limit).changes);
    this.#left -= tokens;
    this.#connection.changed(root, 'task');
    if (tokens === limit) return false;
    for (const sql of DELETE_REST) this.#connection.statement(sql).run(issuer, id);
    this.#deleted += 1;
    return true;
  }
}
