import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { openStore, openStoreForReading } from '../../../../src/authority/state/sqlite/open-store.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import { encoded, endRecord, useRecord } from '../../../builders/ledger-record.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing, mustOpen } from '../../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { must } from '../../../builders/must.ts';

const folder = testFolders();
const newFile = (): string => join(folder(), 'state.db');
const options = { ...agreeing(), randomBytes };

const failureOf = (value: unknown): StoreFailure => {
  if (!isStoreFailure(value)) throw new Error('it did not fail');
  return value;
};

describe('openStore', () => {
  it('creates the file, its log and its index with mode 0600', () => {
    const file = newFile();
    const store = mustOpen(file);
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    const modes = ['', '-wal', '-shm'].map((suffix) => statSync(file + suffix).mode & 0o777);
    expect(modes).toEqual([0o600, 0o600, 0o600]);
    store.close();
  });

  it('uses a synced write-ahead log and strict tables', () => {
    const file = newFile();
    mustOpen(file).close();
    const db = new DatabaseSync(file, { readOnly: true });
    expect(Object.values(db.prepare('PRAGMA journal_mode').get() ?? {})).toEqual(['wal']);
    const tables = db.prepare("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").all();
    expect(tables.filter((t) => !String(t['name']).startsWith('sqlite_')).every((t) => t['strict'] === 1)).toBe(true);
    db.close();
  });

  it.each<[string, (file: string) => void, StoreFailure['code'], RegExp]>([
    [
      'a file that others may read',
      (file) => (mustOpen(file).close(), chmodSync(file, 0o640)),
      'unusable',
      /has mode 0640, open to others: 0600 is required$/,
    ],
    [
      'a text file',
      (file) => writeFileSync(file, 'not a database, whatever it is', { mode: 0o600 }),
      'unusable',
      /cannot be opened: SQLite failed with code 26/,
    ],
    ['a symbolic link', (file) => symlinkSync('/etc/hostname', file), 'unusable', /is not a regular file$/],
    ["another program's database", (file) => foreignDatabase(file), 'unusable', /is not a state file of Remit$/],
    [
      'a later schema',
      (file) => (mustOpen(file).close(), setVersion(file, 99)),
      'later',
      /was written by a later build of Remit: it has schema version 99, this build has version 15: run that build or a later build$/,
    ],
    [
      'an earlier schema',
      (file) => (mustOpen(file).close(), setVersion(file, 7)),
      'unusable',
      /was written by an earlier build of Remit: it has schema version 7, this build has version 15: this build migrates from version 8 or later: let the tasks/,
    ],
    [
      'a file damaged in the middle, after an unclean end',
      (file) => damagedDatabase(file),
      'unusable',
      /is damaged|SQLite failed with code 11/,
    ],
    [
      'a file cut short, after an unclean end',
      (file) => cutDatabase(file),
      'unusable',
      /is damaged|SQLite failed with code 11/,
    ],
  ])('refuses %s', (_name, prepare, code, detail) => {
    const file = newFile();
    prepare(file);
    const failure = failureOf(openStore(file, options));
    expect(failure.code).toBe(code);
    expect(failure.detail).toMatch(detail);
  });

  it.each<[string, string, RegExp]>([
    [
      'a folder that does not exist',
      '/nonexistent/state.db',
      /^state file `\/nonexistent\/state.db` cannot be opened: ENOENT$/,
    ],
    ['a path with U+0000', 'a\0b', /^invalid path of the state file: it is empty or contains U\+0000$/],
  ])('refuses %s', (_name, path, detail) => {
    expect(failureOf(openStore(path, options)).detail).toMatch(detail);
  });

  it('does not create the file with access `write`', () => {
    expect(failureOf(openStore(newFile(), { ...options, access: 'write' })).detail).toMatch(
      /cannot be opened: ENOENT$/,
    );
  });
});

describe('Store.insertTask', () => {
  it('keeps task, token and records after a restart', () => {
    const file = newFile();
    const store = mustOpen(file);
    const task = taskNumber(1, { purpose: 'zahle die Rechnungen im Mai 💶' });
    expect(store.insertTask(task, tokenNumber(1), [endRecord(1, 'first'), endRecord(1, 'second')])).toBeNull();
    store.close();
    const again = mustOpen(file);
    expect(again.taskOf(issuer, task.id)).toEqual(task);
    const records = again.recordsOf(task.id, 10);
    expect(
      isStoreFailure(records) || records.map(({ outbox, bytes }) => [outbox, Buffer.from(bytes).toString()]),
    ).toEqual([
      [1, expect.stringContaining('"first"')],
      [2, expect.stringContaining('"second"')],
    ]);
    again.close();
  });

  it('identifies a task by issuer and id together', () => {
    const store = mustOpen(newFile());
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    expect(store.taskOf('https://other.test', taskNumber(1).id)).toBeUndefined();
    expect(store.taskOf(issuer, taskNumber(2).id)).toBeUndefined();
    store.close();
  });

  it('keeps nothing of a failed transaction, and stays usable', () => {
    const store = mustOpen(newFile());
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    expect(store.insertTask(taskNumber(2), tokenNumber(1), [endRecord(2)])).toMatchObject({ code: 'conflict' });
    expect(store.insertTask(taskNumber(1), tokenNumber(3), [endRecord(1)])).toMatchObject({
      code: 'conflict',
      detail: 'a row with that key exists',
    });
    expect(store.taskOf(issuer, taskNumber(2).id)).toBeUndefined();
    expect(store.recordsOf(taskNumber(1).id, 10)).toEqual([]);
    expect(store.insertTask(taskNumber(2), tokenNumber(2), [])).toBeNull();
    store.close();
  });

  it.each([
    ['U+0000', 'a\0b'],
    ['a lone surrogate', 'a\ud800'],
  ])('refuses text with %s at every boundary', (_name, text) => {
    const store = mustOpen(newFile());
    const detail = 'text with U+0000 or a lone surrogate is not stored';
    const refused = { kind: 'store-failure', code: 'refused', detail };
    expect(store.insertTask(taskNumber(1, { purpose: text }), tokenNumber(1), [])).toEqual(refused);
    expect(store.taskOf(issuer, text)).toEqual(refused);
    expect(store.tasks({ agent: text })).toEqual(refused);
    expect(store.recordsOf(text, 1)).toEqual(refused);
    expect(
      store.applyTaskEvent(
        { issuer, id: 'x' },
        { kind: 'revoke', cause: causeOf('operator.revoked', text) },
        'operator',
      ),
    ).toEqual(refused);
    store.close();
  });
});

describe('Store.applyTaskEvent', () => {
  it('ends the task with its record, is idempotent for the same end, and refuses another end', () => {
    const store = mustOpen(newFile());
    const key = taskNumber(1);
    store.insertTask(key, tokenNumber(1), []);
    expect(
      store.applyTaskEvent(key, { kind: 'complete', cause: causeOf('agent.completed', 'done') }, key.agent),
    ).toMatchObject({
      changed: true,
      task: { state: 'completed', endedAtMs: 1_000, cause: { code: 'agent.completed', note: 'done' } },
    });
    expect(
      store.applyTaskEvent(key, { kind: 'complete', cause: causeOf('agent.completed', 'again') }, key.agent),
    ).toMatchObject({
      changed: false,
      task: { cause: { note: 'done' } },
    });
    expect(
      store.applyTaskEvent(key, { kind: 'revoke', cause: causeOf('operator.revoked', 'late') }, 'operator'),
    ).toEqual({
      problem: 'ended',
      state: 'completed',
    });
    expect(
      store.applyTaskEvent(taskNumber(9), { kind: 'revoke', cause: causeOf('operator.revoked', '') }, 'operator'),
    ).toBeUndefined();
    const records = store.recordsOf(key.id, 10);
    expect(isStoreFailure(records) || records.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()))).toEqual([
      {
        kind: 'end',
        at: 1_000,
        task: key.id,
        state: 'completed',
        cause: 'agent.completed',
        note: 'done',
        by: key.agent,
      },
    ]);
    store.close();
  });

  it('is seen at once by another connection, and by the first when the other ends it', () => {
    const file = newFile();
    const serving = mustOpen(file);
    serving.insertTask(taskNumber(1), tokenNumber(1), []);
    serving.insertTask(taskNumber(2), tokenNumber(2), []);
    const other = mustOpen(file, { access: 'write' });
    other.applyTaskEvent(taskNumber(1), { kind: 'revoke', cause: causeOf('operator.revoked', 'by hand') }, 'operator');
    expect(serving.taskOf(issuer, taskNumber(1).id)).toMatchObject({ state: 'revoked', cause: { note: 'by hand' } });
    serving.applyTaskEvent(taskNumber(2), { kind: 'cancel', cause: causeOf('operator.cancelled', 'x') }, 'operator');
    expect(other.taskOf(issuer, taskNumber(2).id)).toMatchObject({ state: 'cancelled' });
    other.close();
    expect(
      serving.applyTaskEvent(taskNumber(1), { kind: 'revoke', cause: causeOf('operator.revoked', '') }, 'operator'),
    ).toMatchObject({
      changed: false,
    });
    serving.close();
  });

  it('answers busy while another process holds the write lock, and works afterwards', () => {
    const file = newFile();
    const store = mustOpen(file);
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    const end = () =>
      store.applyTaskEvent(taskNumber(1), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');
    expect(end()).toMatchObject({ code: 'busy', detail: 'the state file is locked by another process' });
    expect(store.taskOf(issuer, taskNumber(1).id)).toMatchObject({ state: 'active' });
    other.exec('ROLLBACK');
    other.close();
    expect(end()).toMatchObject({ changed: true });
    store.close();
  });
});

describe('Store.tasks', () => {
  it('lists newest first, filtered by id, agent and current state', () => {
    const store = mustOpen(newFile(), { nowMs: () => 50_000 });
    for (let n = 1; n <= 4; n++) {
      store.insertTask(taskNumber(n, n === 2 ? { deadlineMs: 50_000 } : {}), tokenNumber(n), []);
    }
    store.applyTaskEvent(taskNumber(3), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');
    const numbers = (filter: Parameters<typeof store.tasks>[0]) => {
      const tasks = store.tasks(filter);
      return isStoreFailure(tasks) ? tasks : tasks.map((task) => task.createdAtMs);
    };
    expect(numbers({})).toEqual([4, 3, 2, 1]);
    expect(numbers({ limit: 2 })).toEqual([4, 3]);
    expect(numbers({ state: 'active' })).toEqual([4, 1]);
    expect(numbers({ state: 'expired' })).toEqual([2]);
    expect(numbers({ state: 'completed' })).toEqual([3]);
    expect(numbers({ id: taskNumber(1).id })).toEqual([1]);
    expect(numbers({ agent: 'spiffe://acme.test/other' })).toEqual([]);
    store.close();
  });
});

describe('the clock of a store', () => {
  it('never revives an expired task: neither by a step back of the clock, nor by a restart after it', () => {
    const file = newFile();
    const clock = { nowMs: 90_000 };
    const store = mustOpen(file, { nowMs: () => clock.nowMs });
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    clock.nowMs = 100_001;
    expect(store.nowMs()).toBe(100_001);
    store.appendRecords([endRecord(1)]);
    clock.nowMs = 40_000;
    expect(store.nowMs()).toBe(100_001);
    store.close();
    const again = mustOpen(file, { nowMs: () => clock.nowMs });
    expect(again.nowMs()).toBe(100_001);
    expect(again.tasks({ state: 'active' })).toEqual([]);
    again.close();
  });

  it('ends due tasks in a sweep, with a record, so that no clock revives them', () => {
    const clock = { nowMs: 99_999 };
    const store = mustOpen(newFile(), { nowMs: () => clock.nowMs });
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    store.insertTask(taskNumber(2, { deadlineMs: 200_000 }), tokenNumber(2), []);
    expect(store.endExpired()).toBe(0);
    clock.nowMs = 100_500;
    expect(store.endExpired()).toBe(1);
    expect(store.endExpired()).toBe(0);
    clock.nowMs = -10 * 24 * 60 * 60 * 1_000;
    expect(store.taskOf(issuer, taskNumber(1).id)).toMatchObject({
      state: 'expired',
      endedAtMs: 100_000,
      cause: { code: 'deadline' },
    });
    const records = store.recordsOf(taskNumber(1).id, 10);
    expect(isStoreFailure(records) || records.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()))).toEqual([
      {
        kind: 'end',
        at: 100_500,
        task: taskNumber(1).id,
        state: 'expired',
        cause: 'deadline',
        note: 'deadline reached',
        by: 'remit',
      },
    ]);
    store.close();
  });

  it('is written to the file by an idle sweep within 10 s', () => {
    const file = newFile();
    const clock = { nowMs: 500_000 };
    const store = mustOpen(file, { nowMs: () => clock.nowMs });
    store.endExpired();
    store.close();
    clock.nowMs = 1_000;
    const again = mustOpen(file, { nowMs: () => clock.nowMs });
    expect(again.nowMs()).toBe(500_000);
    again.close();
  });
});

describe('a full disk', () => {
  it('fails as full, keeps what was acknowledged, and recovers when there is space again', () => {
    const file = newFile();
    const store = mustOpen(file, { maxBytes: 256 * 1024 });
    const acknowledged: number[] = [];
    let failure: ReturnType<typeof store.insertTask> = null;
    for (let n = 1; failure === null; n++) {
      failure = store.insertTask(taskNumber(n), tokenNumber(n), [endRecord(n, 'x'.repeat(4_000))]);
      if (failure === null) acknowledged.push(n);
    }
    expect(failure).toEqual({ kind: 'store-failure', code: 'full', detail: 'the disk under the state file is full' });
    expect(store.tasks({})).toHaveLength(acknowledged.length);
    store.close();
    const larger = mustOpen(file);
    expect(larger.tasks({})).toHaveLength(acknowledged.length);
    expect(larger.insertTask(taskNumber(0), tokenNumber(0), [])).toBeNull();
    larger.close();
  });
});

describe('a broken store', () => {
  it('fails every later call, and reports that once', () => {
    const file = newFile();
    const fatal: StoreFailure[] = [];
    const store = mustOpen(file, { onFatal: (failure) => fatal.push(failure) });
    for (let n = 1; n <= 100; n++) store.insertTask(taskNumber(n), tokenNumber(n), [endRecord(n, 'x'.repeat(60_000))]);
    store.close();
    const reopened = mustOpen(file, { onFatal: (failure) => fatal.push(failure) });
    // Damages the file below the open connection, as a disk may.
    const bytes = readFileSync(file);
    for (let page = 1; page < bytes.length / 4_096; page++) bytes.fill(0xa5, page * 4_096, (page + 1) * 4_096);
    writeFileSync(file, bytes);
    for (let n = 1; n <= 100 && fatal.length === 0; n++) reopened.recordsOf(taskNumber(n).id, 1);
    const failures = [
      reopened.taskOf(issuer, taskNumber(7).id),
      reopened.taskOf(issuer, taskNumber(8).id),
      reopened.applyTaskEvent(
        taskNumber(1),
        { kind: 'complete', cause: causeOf('operator.completed', '') },
        'operator',
      ),
      reopened.appendRecords([endRecord(1)]),
      reopened.endExpired(),
      reopened.tasks({}),
      reopened.recordsOf(taskNumber(1).id, 1),
    ];
    expect(failures.map((failure) => failureOf(failure).code)).toEqual(failures.map(() => 'broken'));
    expect(fatal).toHaveLength(1);
    expect(fatal[0]?.detail).toMatch(/^SQLite failed with code 11: /);
    reopened.close();
  });

  it('is also what a closed store is', () => {
    const store = mustOpen(newFile());
    store.close();
    store.close();
    expect(store.taskOf(issuer, 'x')).toMatchObject({ code: 'broken', detail: 'the state file is closed' });
  });
});

describe('openStoreForReading', () => {
  it('reads beside the writer, sees its commits, and has no way to write', () => {
    const file = newFile();
    const store = mustOpen(file);
    const reader = must(openStoreForReading(file, options));
    store.insertTask(taskNumber(1), tokenNumber(1), [endRecord(1)]);
    expect(reader.tasks({})).toHaveLength(1);
    expect(reader.recordsOf(taskNumber(1).id, 1)).toHaveLength(1);
    reader.close();
    store.close();
  });

  it('reads a file that no process has open', () => {
    const file = newFile();
    const store = mustOpen(file);
    store.insertTask(taskNumber(1), tokenNumber(1), []);
    store.close();
    const reader = openStoreForReading(file, options);
    expect(isStoreFailure(reader) ? reader : reader.tasks({})).toHaveLength(1);
    if (!isStoreFailure(reader)) reader.close();
  });

  it('reports a missing file', () => {
    const file = newFile();
    expect(failureOf(openStoreForReading(file, options)).detail).toBe(
      `state file \`${file}\` cannot be opened: ENOENT`,
    );
  });
});

describe('Store.appendRecords', () => {
  it('writes a batch atomically, including records that belong to no task', () => {
    const file = newFile();
    const store = mustOpen(file);
    const use = encoded(
      useRecord({
        at: 5,
        decisionId: 'd',
        decision: 'deny',
        reason: 'token.missing',
        host: 'h',
        path: '/a\0b',
      }),
    );
    expect(store.appendRecords([use, endRecord(1)])).toBeNull();
    store.close();
    const db = new DatabaseSync(file);
    const rows = db.prepare('SELECT seq, task, kind, bytes FROM outbox ORDER BY seq').all();
    expect(rows.map((row) => [row['seq'], row['task'], row['kind']])).toEqual([
      [1, null, 'use'],
      [2, taskNumber(1).id, 'end'],
    ]);
    expect(Buffer.from(rows[0]?.['bytes'] as Uint8Array)).toEqual(Buffer.from(use.bytes));
    db.close();
  });
});

const foreignDatabase = (file: string): void => {
  writeFileSync(file, '', { mode: 0o600 });
  const db = new DatabaseSync(file);
  db.exec('CREATE TABLE notes (text)');
  db.close();
};

const setVersion = (file: string, version: number): void => {
  const db = new DatabaseSync(file);
  db.exec(`PRAGMA user_version = ${version}`);
  db.close();
};

const filled = (file: string): Buffer => {
  const store = mustOpen(file);
  for (let n = 1; n <= 50; n++) store.insertTask(taskNumber(n), tokenNumber(n), [endRecord(n, 'x'.repeat(2_000))]);
  store.close();
  markUnclean(file);
  return readFileSync(file);
};

/** Leaves the file as a process does that is killed while it serves. */
const markUnclean = (file: string): void => {
  const db = new DatabaseSync(file);
  db.exec("INSERT INTO serving VALUES ('killed')");
  db.close();
};

const damagedDatabase = (file: string): void => {
  const bytes = filled(file);
  bytes.fill(0xff, 4_096, 3 * 4_096);
  writeFileSync(file, bytes);
};

const cutDatabase = (file: string): void => {
  const bytes = filled(file);
  writeFileSync(file, bytes.subarray(0, Math.floor(bytes.length / 2 / 4_096) * 4_096));
};
