import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { allowedFrom } from '../../../../src/core/state/reported-uses.ts';
import { stateAt } from '../../../../src/core/task/task.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustOpen } from '../../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';

const folder = testFolders();

/** Two tasks with deadlines, of which the first has a damaged row. */
function staged(damage: string) {
  const file = join(folder(), 'state.db');
  const clock = { nowMs: 1_000 };
  const store = mustOpen(file, { nowMs: () => clock.nowMs });
  for (const n of [1, 2]) must(store.insertTask(taskNumber(n), tokenNumber(n), []));
  const entry = { version: 0, action: 'payments.create', labels: ['secret'] };
  must(store.spend(taskNumber(1), tokenNumber(1).jtiDigest, [], entry));
  const db = new DatabaseSync(file);
  db.exec(damage);
  db.close();
  store.turn();
  store.turnOver();
  return { store, clock };
}

const damaged: readonly (readonly [name: string, sql: string])[] = [
  ['claimed values that are no JSON', `UPDATE tasks SET claimed = '{"a":' WHERE id = '${taskNumber(1).id}'`],
  ['claimed values that are no texts', `UPDATE tasks SET claimed = '{"a":{}}' WHERE id = '${taskNumber(1).id}'`],
  ['attested values that are no list', `UPDATE tasks SET attested = '{}' WHERE id = '${taskNumber(1).id}'`],
  ['an attested value without its attester', `UPDATE tasks SET attested = '[{}]' WHERE id = '${taskNumber(1).id}'`],
];

describe('a damaged row of a task', () => {
  it.each(damaged)('permits nothing, and fails no list and no sweep: %s', (_, damage) => {
    const { store, clock } = staged(damage);
    const read = must(store.taskOf(issuer, taskNumber(1).id));
    expect(read && stateAt(read, clock.nowMs)).toBe('expired');
    expect(store.settle('d1', taskNumber(1), { jtiDigest: tokenNumber(1).jtiDigest, spends: [] })).toBe('ended');
    expect(must(store.tasks({})).map(({ id }) => id)).toHaveLength(2);
    expect(must(store.openTasks({}, 10))).toHaveLength(2);
    clock.nowMs = taskNumber(1).deadlineMs + 1;
    expect(store.endExpired()).toBe(2);
  });

  it('is ended like any other by an operator', () => {
    const { store } = staged(damaged[0]?.[1] ?? '');
    const revoke = { kind: 'revoke', cause: causeOf('operator.revoked', '') } as const;
    store.applyTaskEvent(taskNumber(1), revoke, 'operator');
    expect(must(store.openTasks({}, 10)).map(({ id }) => id)).toEqual([taskNumber(2).id]);
  });
});

describe('a damaged history', () => {
  it('denies the tasks that share it, since it is not known what they did', () => {
    const { store, clock } = staged(`UPDATE histories SET labels = '{"secret":1}'`);
    const state = must(store.useStateOf(issuer, taskNumber(1).id, tokenNumber(1).jtiDigest));
    expect(state && stateAt(state.task, clock.nowMs)).toBe('expired');
    expect(store.settle('d1', taskNumber(1), { jtiDigest: tokenNumber(1).jtiDigest, spends: [] })).toBe('ended');
    expect(store.settle('d2', taskNumber(2), { jtiDigest: tokenNumber(2).jtiDigest, spends: [] })).toBeNull();
  });
});

describe('allowedFrom', () => {
  it.each([
    '{',
    'null',
    '[]',
    '{"address":1}',
    '{"address":null,"certificate":null,"servers":[],"risks":[],"traces":["a"]}',
  ])('gives uses that no use resembles for %s', (text) => {
    expect(allowedFrom(text)?.places).toMatchObject({ address: '', servers: [] });
  });
});
