import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { Store } from '../../../src/core/state/store.ts';
import { historyWith, MAX_HISTORY_ACTIONS, noHistory } from '../../../src/core/task/history.ts';
import type { TaskHistory } from '../../../src/core/task/history.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../../builders/task.ts';
import { mustFind } from '../../builders/must.ts';

const folder = testFolders();

const task = taskNumber(1);
const withTask = (file = join(folder(), 'state.db')): Store => {
  const store = mustOpen(file);
  store.insertTask(task, tokenNumber(1), []);
  return store;
};
const historyOf = (store: Store, n = 1): TaskHistory => {
  const state = mustFind(store.useStateOf(issuer, taskNumber(n).id, `digest-${n}`));
  return state.history;
};
const read = { action: 'files.read', labels: ['customer-data'] };
const share = { action: 'files.share', labels: ['external'] };

describe('Store.spend with an entry', () => {
  it('keeps the allowed actions of the task, even after the file is opened again', () => {
    const file = join(folder(), 'state.db');
    const store = withTask(file);
    expect(historyOf(store)).toEqual(noHistory);
    expect(store.spend(task, 'digest-1', [], { version: 0, ...read })).toBeNull();
    expect(store.spend(task, 'digest-1', [], { version: 1, ...share })).toBeNull();
    store.close();
    const again = mustOpen(file);
    expect(historyOf(again)).toEqual({
      version: 2,
      actions: ['files.read', 'files.share'],
      labels: ['customer-data', 'external'],
    });
    again.close();
  });

  it('does nothing if the history has changed since the decision', () => {
    const store = withTask();
    store.spend(task, 'digest-1', [], { version: 0, ...read });
    expect(store.spend(task, 'digest-1', [{ kind: 'calls', limit: 1 }], { version: 0, ...share })).toBe(
      'history-changed',
    );
    expect(historyOf(store).labels).toEqual(['customer-data']);
    expect(store.spend(task, 'digest-1', [{ kind: 'calls', limit: 1 }])).toBeNull();
    store.close();
  });

  it('adds nothing if a limit does not hold, or the task has ended', () => {
    const store = withTask();
    expect(store.spend(task, 'digest-1', [{ kind: 'calls', limit: 0 }], { version: 0, ...read })).toBe('exhausted');
    store.applyTaskEvent(task, { kind: 'revoke', cause: causeOf('operator.revoked', '') }, 'operator');
    expect(store.spend(task, 'digest-1', [], { version: 0, ...read })).toBe('ended');
    expect(historyOf(store)).toEqual(noHistory);
    store.close();
  });

  it('is full at 256 actions, and drops none of them', () => {
    const store = withTask();
    for (let n = 0; n < MAX_HISTORY_ACTIONS; n++) {
      expect(store.spend(task, 'digest-1', [], { version: n, action: `a.${n}`, labels: [] })).toBeNull();
    }
    expect(store.spend(task, 'digest-1', [], { version: 256, action: 'b', labels: [] })).toBe('history-full');
    expect(historyOf(store)).toMatchObject({ version: 256, actions: expect.arrayContaining(['a.0', 'a.255']) });
    store.close();
  });

  it('is shared by a task and all of its parts', () => {
    const store = withTask();
    store.insertTask(taskNumber(2, { parentId: task.id }), tokenNumber(2), []);
    store.insertTask(taskNumber(3, { parentId: taskNumber(2).id }), tokenNumber(3), []);
    expect(store.spend(taskNumber(3), 'digest-3', [], { version: 0, ...read })).toBeNull();
    expect([1, 2, 3].map((n) => historyOf(store, n).labels)).toEqual(
      Array.from({ length: 3 }, () => ['customer-data']),
    );
    expect(store.spend(task, 'digest-1', [], { version: 0, ...share })).toBe('history-changed');
    store.close();
  });
});

describe('historyWith', () => {
  it('answers `same` if nothing is new', () => {
    const first = historyWith(noHistory, read);
    if (typeof first === 'string') throw new Error(first);
    expect(historyWith(first, read)).toBe('same');
  });

  it('is full beyond 64 labels', () => {
    const labels = Array.from({ length: 65 }, (_, n) => `l-${n}`);
    expect(historyWith(noHistory, { action: 'a', labels })).toBe('full');
  });
});

describe('two processes on one state file', () => {
  it('never both allow uses that forbid each other', async () => {
    for (let round = 0; round < 3; round++) {
      const file = join(folder(), 'state.db');
      withTask(file).close();
      const said = await Promise.all([
        writer(file, 'customer-data', 'external'),
        writer(file, 'external', 'customer-data'),
      ]);
      expect(said.toSorted()).toEqual(['allowed', 'forbidden']);
    }
  });
});

async function writer(file: string, mine: string, other: string): Promise<string> {
  const words = ['--no-warnings', join(import.meta.dirname, 'killed-historian.ts'), file, mine, other];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (data) => (said += String(data)));
  await once(child, 'close');
  return said.trim().split('\n').at(-1) ?? '';
}
