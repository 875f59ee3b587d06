import { storedOrder } from '../../../../core/order/order.ts';
import type { Order } from '../../../../core/order/order.ts';
import { isProblem } from '../../../../core/runtime/problem.ts';
import type { Problem } from '../../../../core/runtime/problem.ts';
import type { TaskHistory } from '../../../../core/task/history.ts';
import type { IssuedTokenState } from '../../../../core/task/issued-token.ts';
import type { TokenOfTask } from '../../../../core/state/store-reader.ts';
import { storedHistory } from '../../../../core/state/writes/history-row.ts';
import { numberOrNull } from '../../../../core/state/writes/task-row.ts';

type Row = Readonly<Record<string, unknown>>;

/** The token in a row of `tokens`. */
export const tokenFrom = (row: Row): TokenOfTask => ({
  jtiDigest: String(row['jti_digest']),
  issuer: String(row['issuer']),
  taskId: String(row['task']),
  audience: String(row['audience']),
  issuedAtMs: Number(row['issued_ms']),
  expiresAtMs: Number(row['expires_ms']),
  generation: Number(row['generation']),
  revokedAtMs: numberOrNull(row['revoked_ms']),
  boundTo: String(row['bound_to']),
});

/** A row of orders that cannot be read: an operator gave an order, and it is not known which. */
export class UnreadableOrderRow extends Error {}

const unreadableOrder = (id: string, { problem }: Problem): string =>
  `the order \`${id.slice(0, MAX_ID)}\` in the database cannot be read, so nothing is allowed: it ${problem}`;

const MAX_ID = 64;

/** The order in a row of `orders`. Throws if it is not an order. */
export function orderFromRow(row: Row): Order {
  const order = storedOrder(String(row['body']));
  if (isProblem(order)) throw new UnreadableOrderRow(unreadableOrder(String(row['id']), order));
  return order;
}

/** The same; `null` if its id is not that of its row. No authority writes such a row, and lifting it would lift another order. */
export function ownOrderFrom(row: Row): Order | null {
  const order = orderFromRow(row);
  return order.id === row['id'] ? order : null;
}

/** The same without its task. */
export function issuedOf({ issuer: _issuer, taskId: _taskId, ...issued }: TokenOfTask): IssuedTokenState {
  return issued;
}

/** The history in a row of `histories`; `null` if it cannot be read. */
export const historyFromRow = (row: Row): TaskHistory | null =>
  storedHistory(row['version'], { actions: row['actions'], labels: row['labels'] });
