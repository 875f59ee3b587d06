import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { recordedTasks } from '../../../src/cli/policy/recorded-tasks.ts';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { LogReader } from '../../../src/core/ledger/log/log-reader.ts';
import { openStoreForReading } from '../../../src/authority/state/sqlite/open-store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { tokenNumber } from '../../builders/task.ts';
import { intentOf, storedTask, TASK_ID } from '../../tools/policy/cases/records.ts';
import { segmentsOf, tamper } from '../ledgers.ts';

const folder = testFolders();

const PART_ID = TASK_ID.replace(/1$/, '2');
const end = (task: string, note: string): LedgerRecord => ({
  kind: 'end',
  at: 1,
  task,
  state: 'completed',
  cause: 'operator.completed',
  note,
  by: 'operator',
});

/** A state file with the task and a record on its way to the ledger, and a ledger with the intents of task and part. */
function places() {
  const root = folder();
  const state = join(root, 'state.db');
  const store = mustOpen(state);
  const failure = store.insertTask(storedTask(), tokenNumber(1), [encoded(end(TASK_ID, 'waits'))]);
  if (failure !== null) throw new Error(JSON.stringify(failure));
  store.close();
  const settings = settingsIn(root);
  const log = mustOpenLog(settings);
  const { seq: _first, ...whole } = intentOf();
  const { seq: _second, ...part } = intentOf({ task: PART_ID, parent: TASK_ID });
  const records = [whole, part, end(TASK_ID, 'logged')].map((record) => ({
    bytes: encoded(record).bytes,
    outbox: null,
  }));
  log.append(records, 'f'.repeat(32));
  log.close();
  return { ledger: settings.folder, state };
}

function withOpened<T>(
  { ledger, state }: { readonly ledger: string; readonly state: string | null },
  use: (taskOf: ReturnType<typeof recordedTasks>) => T,
): T {
  const log = LogReader.open(ledger);
  const store = state === null ? null : openStoreForReading(state, systemPorts);
  if (!(log instanceof LogReader) || isStoreFailure(store)) throw new Error('it could not be opened');
  try {
    return use(recordedTasks({ log, store }));
  } finally {
    log.close();
    store?.close();
  }
}

describe('recordedTasks', () => {
  it('finds a task in the store, and its records in ledger and outbox', () => {
    withOpened(places(), (taskOf) => {
      const task = taskOf(TASK_ID);
      expect([task?.stored?.purpose, task?.isCut]).toEqual(['pay', false]);
      expect(task?.records.map(({ kind, seq }) => [kind, seq])).toEqual([
        ['intent', 1],
        ['end', 3],
        ['end', null],
      ]);
    });
  });

  it('works with the ledger alone', () => {
    withOpened({ ...places(), state: null }, (taskOf) => {
      const task = taskOf(TASK_ID);
      expect([task?.stored, task?.records.length, task?.isCut]).toEqual([undefined, 2, false]);
    });
  });

  it('reports which task has parts, and an unknown task', () => {
    withOpened(places(), (taskOf) => {
      expect([TASK_ID, PART_ID].map((id) => taskOf(id)?.hasParts())).toEqual([true, false]);
      expect(taskOf(null)).toBeNull();
    });
  });

  it('reports that there is more than it reads', () => {
    const { ledger } = places();
    tamper(segmentsOf(ledger)[0] ?? '', "UPDATE records SET bytes = CAST('x' AS BLOB) WHERE seq = 3");
    withOpened({ ledger, state: null }, (taskOf) => {
      const task = taskOf(TASK_ID);
      expect([task?.records.map(({ kind }) => kind), task?.isCut]).toEqual([['intent'], true]);
    });
  });
});
