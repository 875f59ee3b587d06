import type { StateRows } from '../../../core/state/writes/state-rows.ts';
import type { TaskKey } from '../../../core/state/store.ts';
import type { UseState } from '../../../core/state/store-reader.ts';
import { setSpent, spentOf } from './tables/budget-table.ts';
import type { Connection } from './connection.ts';
import { writeHistory } from './tables/history-table.ts';
import { addLimitValue, hasLimitValue, limitUsed, openTasksByAgent, setLimitUsed } from './tables/limit-table.ts';
import { insertRecords } from './tables/outbox-table.ts';
import { restoredAt } from './tables/restored-mark.ts';
import { isSettled, noteSettled } from './tables/settled-table.ts';
import { deleteOrder, insertOrder, ordersIn } from './tables/order-table.ts';
import { addStops, endStops, deleteStops, removeStops, stopAt } from './tables/stop-table.ts';
import { countOpenParts, insertTaskRow, openPartsOf, taskAt, updateTaskRow } from './tables/task-table.ts';
import { insertTokenRow, setRevoked, tokenAt, useStateAt } from './tables/token-table.ts';

/**
 * The rows of a state file, within a transaction of the connection.
 * @param useState reads the state of a use; default: from the file
 */
export const sqliteRows = (
  connection: Connection,
  useState: (key: TaskKey, jtiDigest: string) => UseState | undefined = (key, jtiDigest) =>
    useStateAt(connection, key, jtiDigest)?.state,
): StateRows => ({
  nowMs: () => connection.nowMs(),
  floorMs: () => connection.floorMs(),
  task: (key) => taskAt(connection, key),
  openParts: (key) => openPartsOf(connection, key),
  countOpenParts: (key) => countOpenParts(connection, key),
  token: (jtiDigest) => tokenAt(connection, jtiDigest),
  useState,
  spent: (key, counter) => spentOf(connection, key, counter),
  addTask: (task) => insertTaskRow(connection, task),
  setTask: (task) => updateTaskRow(connection, task),
  addToken: (key, token) => insertTokenRow(connection, key, token),
  setRevoked: (token, atMs) => setRevoked(connection, token, atMs),
  setSpent: (key, counter, spent) => setSpent(connection, key, { name: counter, spent }),
  limitUsed: (counter) => limitUsed(connection, counter),
  setLimitUsed: (counter, used, max) => setLimitUsed(connection, counter, { used, max }),
  hasLimitValue: (counter, digest) => hasLimitValue(connection, counter, digest),
  addLimitValue: (counter, digest) => addLimitValue(connection, counter, digest),
  openTasks: (of) => openTasksByAgent(connection, of),
  restoredAtMs: () => restoredAt(connection),
  isSettled: (decisionId) => isSettled(connection, decisionId),
  setSettled: (decisionId) => noteSettled(connection, decisionId),
  setHistory: (key, history) => writeHistory(connection, key, history),
  stop: (query) => stopAt(connection, query),
  addStops: (stops) => addStops(connection, stops),
  endStops: (key, endedAtMs) => endStops(connection, key, endedAtMs),
  liftStops: (query) => deleteStops(connection, query),
  removeStops: (key) => removeStops(connection, key),
  orders: () => ordersIn(connection),
  isGivenOrder: () => true,
  addOrder: (order) => insertOrder(connection, order),
  removeOrder: (id) => deleteOrder(connection, id),
  addRecords: (records) => insertRecords(connection, records),
});
