import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { tableProblem } from '../../../../src/core/sqlite/file-format.ts';
import type { FileFormat } from '../../../../src/core/sqlite/file-format.ts';
import { migrateFile, pendingVersion } from '../../../../src/authority/state/sqlite/migration.ts';
import { createState, stateFormat } from '../../../../src/authority/state/sqlite/schema.ts';
import { openStore, openStoreForReading } from '../../../../src/authority/state/sqlite/open-store.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing, mustOpen } from '../../../builders/state-file.ts';
import { stopOrder } from '../../../builders/order.ts';
import { byOperator, issuer, taskNumber } from '../../../builders/task.ts';
import { compiledOnce } from '../../../core/state/writer-process.ts';

const folder = testFolders();
const environment = compiledOnce(folder());

const fileOf8 = () => fileOf(8);

/** A file as written by the last build with that version of the schema. */
function fileOf(version: 8 | 9 | 10 | 11 | 12 | 13 | 14): string {
  const file = join(folder(), 'state.db');
  const db = new DatabaseSync(file);
  db.exec(readFileSync(resolve(import.meta.dirname, `../../../core/state/state-schema-${version}.sql`), 'utf8'));
  db.exec('PRAGMA journal_mode = WAL');
  db.close();
  chmodSync(file, 0o600);
  return file;
}

const reading = <T>(file: string, read: (db: DatabaseSync) => T): T => {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return read(db);
  } finally {
    db.close();
  }
};
const versionOf = (file: string): unknown =>
  reading(file, (db) => Object.values(db.prepare('PRAGMA user_version').get() ?? {})[0]);
const key = (n: number) => ({ issuer, id: taskNumber(n).id });
const migrate = (file: string, format: FileFormat = stateFormat) => migrateFile(file, format, { keepsCopy: true });

/** A format one version ahead of the product. */
const further = (run: (db: DatabaseSync) => void): FileFormat => ({
  ...stateFormat,
  version: stateFormat.version + 1,
  steps: [...(stateFormat.steps ?? []), { from: stateFormat.version, run }],
});

describe('migrateFile', () => {
  it('migrates a file of version 8 to exactly the schema of a new file, and loses nothing', () => {
    const file = fileOf8();
    expect(pendingVersion(file, stateFormat)).toBe(8);
    expect(migrate(file)).toEqual({ from: 8, to: stateFormat.version, copy: `${file}.schema-8` });
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
    const store = mustOpen(file, { nowMs: () => 3_000 });
    expect([1, 2, 3, 6].map((n) => (store.taskOf(issuer, key(n).id) as { state: string }).state)).toEqual([
      'active',
      'completed',
      'suspended',
      'active',
    ]);
    expect(store.outbox(0, 100)).toHaveLength(6);
    expect(store.rememberOnce('signal', 'key-1', 90_000)).toBe('seen');
    expect(store.restoredAtMs()).toBeNull();
    expect(store.applyTaskEvent(key(1), byOperator('cancel'), 'operator')).toMatchObject({ changed: true });
    store.close();
    expect([pendingVersion(file, stateFormat), migrate(file)]).toEqual([null, null]);
  });

  it('migrates a file of version 9 to exactly the schema of a new file, with a feed from then on', () => {
    const file = fileOf(9);
    expect(migrate(file)).toEqual({ from: 9, to: stateFormat.version, copy: `${file}.schema-9` });
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
    const store = mustOpen(file, { nowMs: () => 3_000 });
    expect(store.useStateOf(issuer, key(1).id, 'digest-1')).toMatchObject({
      task: { state: 'active' },
      history: { version: 1, actions: ['payments.read'], labels: ['pii'] },
    });
    expect(store.outbox(0, 100)).toHaveLength(3);
    const calls = { jtiDigest: 'digest-1', spends: [{ kind: 'calls', limit: 4 }] } as const;
    expect([store.settle('decision-1', key(1), calls), store.settle('decision-1', key(1), calls)]).toEqual([
      null,
      null,
    ]);
    expect(store.settle('decision-2', key(1), calls)).toEqual({ problem: 'exhausted', budget: { limit: 4, used: 4 } });
    expect(store.feedEnd()).toBe(0);
    expect(store.applyTaskEvent(key(1), byOperator('cancel'), 'operator')).toMatchObject({ changed: true });
    expect(store.feedAfter(0)).toEqual({ changes: [{ root: key(1).id, part: 'task' }], position: 1 });
    store.close();
  });

  it('migrates a file of version 10 to exactly the schema of a new file, if uses of tokens are reported', () => {
    const file = fileOf(10);
    expect(migrate(file)).toEqual({ from: 10, to: stateFormat.version, copy: `${file}.schema-10` });
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
    const store = mustOpen(file, { nowMs: () => 3_000 });
    expect([store.feedEnd(), store.useStateOf(issuer, key(1).id, 'digest-1')]).toMatchObject([
      1,
      { task: { state: 'active' } },
    ]);
    const uses = { jtiDigest: 'digest-1', uses: 3, last: null, allowed: null };
    expect(store.writeUses([uses], { name: 'one', audiences: null })).toBeNull();
    expect(store.reportedUses('digest-1')).toEqual([{ ...uses, firstMs: 3_000, lastMs: 3_000 }]);
    store.close();
  });

  it('migrates a file of version 11 to exactly the schema of a new file, if suspended tasks stop their agents', () => {
    const file = fileOf(11);
    expect(migrate(file)).toEqual({ from: 11, to: stateFormat.version, copy: `${file}.schema-11` });
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
    const store = mustOpen(file, { nowMs: () => 3_000 });
    const { agent, subject } = taskNumber(3);
    const stopOf = (action: string) => store.stopOf({ issuer, agent, subject, actions: [action] });
    const stop = { cause: 'operator.suspended', sinceMs: 3, endedAtMs: null };
    expect(['payments.read', 'payments.create', 'x.y'].map(stopOf)).toEqual([stop, stop, null]);
    expect(store.applyTaskEvent(key(3), byOperator('resume'), 'operator')).toMatchObject({ changed: true });
    expect(stopOf('payments.read')).toBeNull();
    store.close();
  });

  it('migrates a file of version 12 to exactly the schema of a new file, if operators give orders', () => {
    const file = fileOf(12);
    expect(migrate(file)).toEqual({ from: 12, to: stateFormat.version, copy: `${file}.schema-12` });
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
    const store = mustOpen(file, { nowMs: () => 3_000 });
    const { agent, subject } = taskNumber(3);
    expect(store.stopOf({ issuer, agent, subject, actions: ['payments.read'] })).toMatchObject({ sinceMs: 3 });
    expect(store.ordersInForce()).toMatchObject({ list: [] });
    expect(store.putOrder(stopOrder(), [])).toBeNull();
    expect(store.ordersInForce()).toMatchObject({ list: [stopOrder()] });
    store.close();
  });

  it('migrates a file of version 13 to exactly the schema of a new one, if limits over all tasks are counted', () => {
    const file = fileOf(13);
    expect(migrate(file)).toEqual({ from: 13, to: stateFormat.version, copy: `${file}.schema-13` });
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
    const store = mustOpen(file, { nowMs: () => 3_000 });
    const spend = {
      kind: 'limit',
      limit: 'a',
      measure: 'calls',
      who: '[]',
      windowMs: 60_000,
      amount: 1,
      max: 1,
    } as const;
    const settle = (id: string) =>
      store.settle(id, null, { jtiDigest: '', spends: [{ ...spend, effect: 'deny' }], agent: taskNumber(1).agent });
    expect([settle('d-1'), settle('d-2')]).toMatchObject([{ left: [0] }, { problem: 'limit' }]);
    expect(store.limitUses({})).toMatchObject([{ limit: 'a', used: 1 }]);
    store.close();
  });

  it('migrates a file of version 14 to exactly the schema of a new one, if signals are sent', () => {
    const file = fileOf(14);
    expect(migrate(file)).toEqual({ from: 14, to: stateFormat.version, copy: `${file}.schema-14` });
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
    const store = mustOpen(file, { nowMs: () => 3_000 });
    expect(store.limitUses({})).toMatchObject([{ limit: 'a', used: 1 }]);
    expect(store.claimSignals('siem')).toEqual({ dropped: 0 });
    expect(store.applyTaskEvent(key(1), byOperator('cancel'), 'operator')).toMatchObject({ changed: true });
    expect(store.signalQueue('siem')).toMatchObject({ holder: 'this', waiting: 2 });
    store.close();
  });

  it('keeps a copy of the former file beside it, readable by its owner only', () => {
    const file = fileOf8();
    migrate(file);
    const copy = `${file}.schema-8`;
    expect([versionOf(copy), statSync(copy).mode & 0o777, existsSync(`${copy}.new`)]).toEqual([8, 0o600, false]);
    expect(reading(copy, (db) => db.prepare('SELECT count(*) AS n FROM tasks').get()?.['n'])).toBe(6);
  });

  it('is not run by commands, whose error says what to do', () => {
    const file = fileOf8();
    const options = { ...agreeing(), randomBytes };
    for (const opened of [openStore(file, { ...options, access: 'write' }), openStoreForReading(file, agreeing())]) {
      expect(opened).toMatchObject({
        code: 'unusable',
        detail: expect.stringMatching(
          /has schema version 8, this build has version 15: `remit serve` of this build brings it up to date/,
        ),
      });
    }
    expect(versionOf(file)).toBe(8);
  });

  it.each([
    [
      'earlier than the first release',
      7,
      'unusable',
      /version 7, this build has version 15: this build migrates from version 8 or later: let the tasks/,
    ],
    ['of a later build', 16, 'later', /version 16, this build has version 15: run that build or a later build$/],
  ])('refuses a file %s, with the way out', (_name, version, code, detail) => {
    const file = fileOf8();
    const db = new DatabaseSync(file);
    db.exec(`PRAGMA user_version = ${version}`);
    db.close();
    for (const refused of [pendingVersion(file, stateFormat), migrate(file)])
      expect(refused).toMatchObject({ code, detail: expect.stringMatching(detail) });
    expect([versionOf(file), existsSync(`${file}.schema-${version}`)]).toEqual([version, false]);
  });

  it('runs all missing steps in order', () => {
    const file = fileOf8();
    expect(
      migrate(
        file,
        further((db) => db.exec('CREATE TABLE added (a INTEGER) STRICT')),
      ),
    ).toMatchObject({
      from: 8,
      to: stateFormat.version + 1,
    });
    expect(reading(file, (db) => db.prepare('SELECT count(*) AS n FROM added').get()?.['n'])).toBe(0);
  });

  it('rolls back a failed step, and keeps the steps before it', () => {
    const file = fileOf8();
    const failing = migrate(
      file,
      further((db) => db.exec('CREATE TABLE added (a INTEGER); INSERT INTO no_such_table VALUES (1)')),
    );
    expect(isStoreFailure(failing) && failing.detail).toMatch(
      /could not be migrated from schema version 8 to 16; no step is half done/,
    );
    expect(versionOf(file)).toBe(stateFormat.version);
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
  });

  it('refuses a damaged file before it changes it', () => {
    const file = fileOf8();
    const db = new DatabaseSync(file);
    db.enableDefensive(false);
    db.exec("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 4 WHERE name = 'tasks_due'");
    db.close();
    expect(migrate(file)).toMatchObject({ code: 'unusable' });
    expect([versionOf(file), existsSync(`${file}.schema-8`)]).toEqual([8, false]);
  });

  it('leaves the former version if it is killed within a step, and continues at the next start', () => {
    const file = fileOf8();
    const script = resolve(import.meta.dirname, '../../../core/state/killed-migration.ts');
    const { signal, stderr } = spawnSync(process.execPath, ['--no-warnings', script, file], { env: environment });
    expect([signal, String(stderr)]).toEqual(['SIGKILL', '']);
    expect(versionOf(file)).toBe(stateFormat.version);
    expect(reading(file, (db) => tableProblem(db, stateFormat, (own) => createState(own, randomBytes)))).toBeNull();
    expect(versionOf(`${file}.schema-8`)).toBe(8);
    expect(
      migrate(
        file,
        further(() => undefined),
      ),
    ).toMatchObject({ from: stateFormat.version, to: stateFormat.version + 1 });
  });
});
