import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { threadId } from 'node:worker_threads';
import type { Worker } from 'node:worker_threads';
import { describe, expect, it } from '@jest/globals';
import type { Connection } from '../../../../src/authority/state/sqlite/connection.ts';
import { insertRecords } from '../../../../src/authority/state/sqlite/tables/outbox-table.ts';
import { AuthorityThread } from '../../../../src/authority/state/sqlite/authority-thread.ts';
import type { AuthorityThreadOptions } from '../../../../src/authority/state/sqlite/authority-thread.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { endRecord } from '../../../builders/ledger-record.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing, mustOpen } from '../../../builders/state-file.ts';
import { byOperator, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { must } from '../../../builders/must.ts';

// A thread starts here, which is slow on a loaded machine.

const folder = testFolders();

const key = { issuer: taskNumber(1).issuer, id: taskNumber(1).id };
const use = (n: number) => ({
  decisionId: `decision-${n}`,
  key,
  jtiDigest: 'digest-1',
  spends: [{ kind: 'calls', limit: 1_000_000 }] as const,
});

async function opened(options: Partial<AuthorityThreadOptions> = {}, file = join(folder(), 'state.db')) {
  const fatal: StoreFailure[] = [];
  const thread = must(
    await AuthorityThread.open(file, {
      ...agreeing(),
      onFatal: (failure) => void fatal.push(failure),
      ...options,
    }),
  );
  return { file, thread, fatal };
}

const marksIn = (file: string): number => {
  const db = new DatabaseSync(file, { readOnly: true });
  const count = Number(db.prepare('SELECT count(*) AS n FROM serving').get()?.['n']);
  db.close();
  return count;
};

/** Bytes that each thread of this process has written to a disk, by thread id. */
const bytesWritten = (): ReadonlyMap<number, number> =>
  new Map(
    readdirSync('/proc/self/task').map((id) => {
      const io = readFileSync(`/proc/self/task/${id}/io`, 'utf8');
      return [Number(id), Number(/^write_bytes: (\d+)$/m.exec(io)?.[1])];
    }),
  );

describe('AuthorityThread', () => {
  it('tells of each write that may have ended tasks, and of no other', async () => {
    let nowMs = 1_000;
    let ended = 0;
    const { thread } = await opened({ ...agreeing(() => nowMs), onEnded: () => (ended += 1) });
    const { authority } = thread;
    await authority.insertTask(taskNumber(1), tokenNumber(1), []);
    await authority.insertTask(taskNumber(2, { deadlineMs: 5_000 }), tokenNumber(2), []);
    await thread.settling.settle(use(1));
    expect([await authority.endExpired(), ended]).toEqual([0, 0]);
    await authority.applyTaskEvent(key, byOperator('complete'), 'operator');
    expect(ended).toBe(1);
    nowMs = 6_000;
    expect([await authority.endExpired(), ended]).toEqual([1, 2]);
    await thread.close();
  });

  it('writes nothing in this thread: its connection is read-only, and another thread makes every commit', async () => {
    const { thread } = await opened();
    await thread.authority.insertTask(taskNumber(1), tokenNumber(1), []);
    const main = process.pid;
    expect(threadId).toBe(0);
    const before = bytesWritten();
    for (let n = 0; n < 50; n += 1) {
      expect(await thread.settling.settle(use(n))).toBeNull();
      thread.states.of(key, 'digest-1');
    }
    const after = bytesWritten();
    const grown = [...after].filter(([id, bytes]) => bytes > (before.get(id) ?? 0)).map(([id]) => id);
    expect(grown).not.toContain(main);
    expect(grown.length).toBeGreaterThan(0);
    // The reader has no method that writes, and a connection that refuses to.
    const { connection } = thread.reader as unknown as { readonly connection: Connection };
    expect(connection.write([], () => insertRecords(connection, [endRecord(1)]))).toMatchObject({
      code: 'broken',
      detail: expect.stringMatching(/readonly/),
    });
    await thread.close();
  });

  it('makes one transaction of the calls of a turn, and reports records and writes once', async () => {
    const writes: (StoreFailure | null)[] = [];
    let records = 0;
    const { thread } = await opened({
      onWrite: (failure) => void writes.push(failure),
      onRecords: () => (records += 1),
    });
    await thread.authority.insertTask(taskNumber(1), tokenNumber(1), []);
    writes.length = 0;
    const answers = [1, 2, 3, 4].map((n) => thread.settling.settle(use(n)));
    answers.push(thread.authority.appendRecords([endRecord(1), endRecord(1)]));
    expect(await Promise.all(answers)).toEqual([null, null, null, null, null]);
    expect({ writes, records }).toEqual({ writes: [null], records: 1 });
    await thread.close();
  });

  it('refuses calls beyond the bounds on number and bytes at once, without reporting a full disk', async () => {
    const writes: (StoreFailure | null)[] = [];
    const onWrite = (failure: StoreFailure | null) => void writes.push(failure);
    const { thread } = await opened({ onWrite, maxWaiting: 3, maxWaitingBytes: 40_000 });
    await thread.authority.insertTask(taskNumber(1), tokenNumber(1), []);
    const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => thread.settling.settle(use(n))));
    const full = { kind: 'store-failure', code: 'full', detail: 'too many writes wait for the state file' };
    expect(answers).toEqual([null, null, null, full, full]);
    const large = endRecord(1, 'x'.repeat(30_000));
    const batches = [thread.authority.appendRecords([large]), thread.authority.appendRecords([large])];
    expect(await Promise.all(batches)).toEqual([null, full]);
    expect(await thread.authority.appendRecords([large])).toBeNull();
    expect(writes.filter((failure) => failure !== null)).toEqual([]);
    await thread.close();
  });

  it('asks the thread for no restart of idle times if no task that was used has any', async () => {
    const { thread } = await opened({ maxWaiting: 1 });
    await thread.authority.insertTask(taskNumber(1), tokenNumber(1), []);
    await thread.authority.insertTask(taskNumber(2, { idleMs: 90_000 }), tokenNumber(2), []);
    const used = (n: number) => thread.authority.touchTasks(new Map([[taskNumber(n).id, 2_000]]));
    // The only place of a waiting call is taken.
    const first = thread.settling.settle(use(1));
    expect(await used(1)).toBeNull();
    expect(await used(2)).toMatchObject({ code: 'full' });
    expect(await first).toBeNull();
    expect(await used(2)).toBeNull();
    await thread.close();
  });

  it('leaves no log of SQLite beside the file, however long the connection of this thread takes to close', async () => {
    const { file, thread } = await opened();
    const close = thread.reader.close.bind(thread.reader);
    thread.reader.close = () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      close();
    };
    await thread.close();
    expect(existsSync(`${file}-wal`)).toBe(false);
  });

  it('marks the file as in use until it is closed, and completes waiting calls first', async () => {
    const { file, thread } = await opened();
    expect(marksIn(file)).toBe(1);
    const waiting = [thread.authority.insertTask(taskNumber(1), tokenNumber(1), []), thread.settling.settle(use(1))];
    await thread.close();
    expect(await Promise.all(waiting)).toEqual([null, null]);
    // The connection that was closed last could empty the log.
    expect(existsSync(`${file}-wal`)).toBe(false);
    expect(marksIn(file)).toBe(0);
    expect(mustOpen(file).taskOf(key.issuer, key.id)).toMatchObject({ state: 'active' });
  });

  it('waits for the lock of another process in its thread, then fails all that waits as busy', async () => {
    const { file, thread } = await opened();
    await thread.authority.insertTask(taskNumber(1), tokenNumber(1), []);
    const another = new DatabaseSync(file);
    another.exec('BEGIN IMMEDIATE');
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 5);
    const beganMs = performance.now();
    const uses = Array.from({ length: 40 }, () => thread.settling.settle(use(1)));
    for (const settled of await Promise.all(uses)) expect(settled).toMatchObject({ code: 'busy' });
    // They waited together. If each waited a second, they would take 40 s.
    expect(performance.now() - beganMs).toBeLessThan(20_000);
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(3);
    another.exec('COMMIT');
    another.close();
    expect(await thread.settling.settle(use(1))).toBeNull();
    await thread.close();
  });

  it('sees an end made by a command at the next look', async () => {
    const { file, thread } = await opened();
    await thread.authority.insertTask(taskNumber(1), tokenNumber(1), []);
    expect(thread.states.of(key, 'digest-1')).toMatchObject({ task: { state: 'active' } });
    const command = mustOpen(file, { access: 'write' });
    command.applyTaskEvent(key, byOperator('complete'), 'operator');
    expect(thread.states.of(key, 'digest-1')).toMatchObject({ task: { state: 'completed' } });
    command.close();
    await thread.close();
  });

  it('is broken once its connection fails: waiting calls, later calls and looks all fail, and it reports that once', async () => {
    const { file, thread, fatal } = await opened();
    await thread.authority.insertTask(taskNumber(1), tokenNumber(1), []);
    const another = new DatabaseSync(file);
    another.enableDefensive(false);
    // A missing table is an error after which a store is not sound.
    another.exec('DROP TABLE settled');
    another.close();
    const answers = await Promise.all([thread.settling.settle(use(1)), thread.settling.settle(use(2))]);
    expect(answers).toMatchObject([{ code: 'broken' }, { code: 'broken' }]);
    expect(await thread.settling.settle(use(3))).toMatchObject({ code: 'broken' });
    expect(thread.states.of(key, 'digest-1')).toMatchObject({ code: 'broken' });
    expect(fatal).toHaveLength(1);
    await thread.close();
  });

  it('is broken once its thread ends', async () => {
    const workers: Worker[] = [];
    const onWorker = (message: unknown): void => void workers.push((message as { readonly worker: Worker }).worker);
    subscribe('worker_threads', onWorker);
    const { thread, fatal } = await opened();
    unsubscribe('worker_threads', onWorker);
    const waiting = thread.authority.insertTask(taskNumber(1), tokenNumber(1), []);
    for (const worker of workers) await worker.terminate();
    expect(['broken', null]).toContain(codeOf(await waiting));
    expect(await thread.authority.endExpired()).toMatchObject({
      code: 'broken',
      detail: 'the thread of the state file exited with code 1',
    });
    expect(fatal).toHaveLength(1);
    await thread.close();
  });

  it('refuses what `openStore` refuses, with the same message', async () => {
    const file = join(folder(), 'missing', 'state.db');
    const refused = await AuthorityThread.open(file, { ...agreeing(), onFatal: () => undefined });
    expect(refused).toMatchObject({ code: 'unusable', detail: expect.stringMatching(/cannot be opened/) });
  });
});

const codeOf = (answer: unknown): unknown => (isStoreFailure(answer) ? answer.code : answer);
