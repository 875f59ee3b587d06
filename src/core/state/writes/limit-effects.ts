/** Suspends the task or stops the agent, as a limit that refuses says, in the same transaction. */
import { createHash } from 'node:crypto';
import { isSpiffeIdPattern } from '../../identity/spiffe-id-pattern.ts';
import { encodedRecord } from '../../ledger/encoded-record.ts';
import { orderMade } from '../../ledger/order-record.ts';
import { isInForce } from '../../order/order.ts';
import type { StopOrder } from '../../order/order.ts';
import { isProblem } from '../../runtime/problem.ts';
import { causeOf } from '../../task/cause.ts';
import type { TaskKey } from '../store.ts';
import { changeTask } from './family-change.ts';
import type { LimitRefusal } from './limit-settlement.ts';
import { putOrder } from './order-writes.ts';
import type { StateRows } from './state-rows.ts';

/** What a limit refused. */
export interface RefusedByLimit {
  /** Idempotency key: the same decision stops once. */
  readonly decisionId: string;
  /** Its task; `null` if it has none. */
  readonly key: TaskKey | null;
  /** The SPIFFE ID of the caller. */
  readonly agent?: string | undefined;
}

/**
 * Suspends the task, or stops the agent until an operator lifts that; nothing if the limit only denies, or the task or agent is
 * already suspended or stopped. A stop that no authority wrote does not count: its writer can remove it at any time.
 */
export function carryOut(rows: StateRows, { over, effect }: LimitRefusal, refused: RefusedByLimit): void {
  const { limit } = over.over;
  if (effect === 'suspend') suspend(rows, limit, refused);
  if (effect === 'stop') stop(rows, limit, refused);
}

/** The id of the stop for a refused decision: the same decision stops once, also if the stop was lifted meanwhile. */
export const stopIdOf = (
  limit: string,
  { agent = '', decisionId }: Pick<RefusedByLimit, 'agent' | 'decisionId'>,
): string =>
  createHash('sha256')
    .update(JSON.stringify([limit, agent, decisionId]))
    .digest('hex')
    .slice(0, 16);

function suspend(rows: StateRows, limit: string, { key }: RefusedByLimit): void {
  const task = key === null ? undefined : rows.task(key);
  if (task === undefined || task.state !== 'active') return;
  changeTask(
    rows,
    task,
    { kind: 'suspend', cause: causeOf('limit.exceeded', `limit \`${limit}\` is used up`) },
    'remit',
  );
}

function stop(rows: StateRows, limit: string, { agent = '', decisionId }: RefusedByLimit): void {
  // A text from a sidecar that is a pattern would stop others.
  if (!isSpiffeIdPattern(agent) || agent.includes('*')) return;
  const [nowMs, floorMs] = [rows.nowMs(), rows.floorMs()];
  const isStopped = rows.orders().some(
    (order) =>
      order.of === 'stop' &&
      order.kind === 'agent' &&
      order.what === agent &&
      isInForce(order, { wallMs: nowMs, floorMs }) &&
      // Last, since it may cost the check of a seal.
      rows.isGivenOrder(order.id),
  );
  if (isStopped) return;
  const order: StopOrder = {
    of: 'stop',
    id: stopIdOf(limit, { agent, decisionId }),
    kind: 'agent',
    what: agent,
    madeAtMs: floorMs,
    untilMs: null,
    by: 'remit',
    because: `limit ${limit}`,
  };
  const record = encodedRecord({ ...orderMade(order), cause: 'limit.exceeded' });
  if (isProblem(record)) throw new Error(`a stop has no record: ${record.problem}`);
  // If as many stops are in force as there may be, the use is denied all the same.
  putOrder(rows, order, [record]);
}
