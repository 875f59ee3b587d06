import { describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import type { PoolClient } from 'pg';
import { lockedRows } from '../../../../../src/authority/state/postgres/rows/needed-rows.ts';
import type { NeededRows } from '../../../../../src/authority/state/postgres/rows/needed-rows.ts';
import { readerOf } from '../../../../../src/authority/state/postgres/rows/row-seal.ts';
import { SELECT_ORDERS } from '../../../../../src/authority/state/postgres/rows/order-statements.ts';
import { liftOrder } from '../../../../../src/core/state/writes/order-writes.ts';
import { stateAt } from '../../../../../src/core/task/task.ts';
import { taskColumns, taskValues } from '../../../../../src/core/state/writes/task-row.ts';
import { issuer, taskNumber } from '../../../../builders/task.ts';
import { stopOrder } from '../../../../builders/order.ts';

type Row = Readonly<Record<string, unknown>>;

/** A connection that finds these rows for statements with these texts, and no rows for any other. */
function finding(found: readonly (readonly [part: string, rows: readonly Row[]])[]): PoolClient {
  const query = async (asked: string | { readonly text: string }) => {
    const text = typeof asked === 'string' ? asked : asked.text;
    return { rows: found.find(([part]) => text.startsWith(part))?.[1] ?? [] };
  };
  // It is never connected.
  return Object.assign(new Client(), { query, release: () => undefined });
}

const rowsFor = async (needs: NeededRows, found: Parameters<typeof finding>[0]) => {
  const { rows } = await lockedRows(finding(found), [needs], { reader: readerOf(null), receivers: [] });
  return rows;
};

const clocks = { wallMs: 1, floorMs: 1, monotonicMs: 1 };

describe('lockedRows', () => {
  it('fails the writes that ask for orders if a row of orders cannot be read, and no other', async () => {
    const rows = await rowsFor({ orders: true }, [
      [SELECT_ORDERS.text, [{ id: stopOrder().id, body: '{"of":', seal: null, lifted: null }]],
    ]);
    expect(rows.attempt(clocks, () => 'other')).toBe('other');
    expect(rows.attempt(clocks, () => liftOrder(rows, stopOrder().id, []) ?? null)).toEqual({
      kind: 'store-failure',
      code: 'unusable',
      detail: `the order \`${stopOrder().id}\` in the database cannot be read, so nothing is allowed: it is no JSON`,
    });
  });

  it('reads a task as past its deadline if the history of its family cannot be read', async () => {
    const [task, other] = [1, 2].map((n) => {
      const values = taskValues(taskNumber(n));
      const columns = taskColumns.map((column, at) => [column, values[at]] as const);
      return Object.fromEntries([...columns, ['root', taskNumber(n).id]]);
    });
    const damaged = { issuer, task: taskNumber(1).id, version: 1, actions: '[]', labels: '[' };
    const rows = await rowsFor({ uses: [taskNumber(1), taskNumber(2)] }, [
      ['SELECT t.* FROM remit.tasks t WHERE (t.issuer, t.id)', [task ?? {}, other ?? {}]],
      ['SELECT h.*', [damaged]],
    ]);
    const states = [1, 2].map((n) => {
      const read = rows.task(taskNumber(n));
      return read && stateAt(read, taskNumber(n).createdAtMs);
    });
    expect(states).toEqual(['expired', 'active']);
  });
});
