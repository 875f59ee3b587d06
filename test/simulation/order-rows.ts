import type { Order, StopOrder } from '../../src/core/order/order.ts';
import { ORDERS_ROOT } from '../../src/core/state/feed.ts';
import { stopOrder } from '../builders/order.ts';
import type { Rows } from './database-node.ts';
import type { Transaction } from './database.ts';

/** The orders in force, as a row. */
export const ordersIn = (rows: Rows): readonly Order[] => (rows.get('orders') as readonly Order[] | undefined) ?? [];

const CHANGES = [{ root: ORDERS_ROOT, part: 'orders' }] as const;

/** Puts an order in force. */
export const ordered = (order: Order): Transaction<null> => ({
  locks: ['orders'],
  run: (rows) => {
    const before = ordersIn(rows);
    if (before.some(({ id }) => id === order.id)) return { result: null, writes: [], changes: [] };
    return { result: null, writes: [['orders', [...before, order]]], changes: CHANGES };
  },
});

/** Lifts an order. */
export const orderLifted = (id: string): Transaction<null> => ({
  locks: ['orders'],
  run: (rows) => {
    const left = ordersIn(rows).filter((order) => order.id !== id);
    if (left.length === ordersIn(rows).length) return { result: null, writes: [], changes: [] };
    return { result: null, writes: [['orders', left]], changes: CHANGES };
  },
});

/** The server of the calls of a root task: some root tasks share one. */
export const serverOf = (root: string): string => (root === 'last' ? root : `s${Number(root.slice(1)) % SERVERS}`);

const SERVERS = 4;

/** A stop of a server. */
export const stopNumber = (n: number, server: number): StopOrder =>
  stopOrder({ id: n.toString(16).padStart(16, '0'), kind: 'server', what: `s${server % SERVERS}` });
