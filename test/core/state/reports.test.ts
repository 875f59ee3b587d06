import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { Reports } from '../../../src/core/state/reports.ts';
import type { ReportTarget } from '../../../src/core/state/reports.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { HeldPromises } from '../../held-promises.ts';
import { HeldTimers } from '../identity/held-timers.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { must } from '../../builders/must.ts';

const folder = testFolders();

const task = taskNumber(1);
const { jtiDigest } = tokenNumber(1);
const seen = (n: number, agent = 'a') => ({
  digest: `hmac-sha-256:${n}`,
  kind: 'api-key',
  place: 'header x-api-key',
  agent,
  action: 'b',
});
const theft = {
  key: task,
  jtiDigest,
  isOfTask: false,
  cause: causeOf('binding.violation', 'the token was presented by thief'),
  presentedBy: 'thief',
};

/** The writes of reports: at once, or each when it is released. */
const targetOf = (store: Store, held?: HeldPromises): ReportTarget => {
  const { authority, states } = directAuthority(store);
  const writes = ['writeSecrets', 'touchTasks', 'revokeToken'] as const;
  return { states, authority: held === undefined ? authority : held.hold(authority, writes) };
};

/** A real state file, and a function that makes exactly one kind of write fail in it. */
const opened = (held?: HeldPromises) => {
  const file = join(folder(), 'state.db');
  let nowMs = 50_000;
  const store = mustOpen(file, { nowMs: () => nowMs });
  expect(store.insertTask(task, tokenNumber(1), [])).toBeNull();
  const timers = new HeldTimers();
  const log: string[] = [];
  const results: string[] = [];
  const reports = new Reports(targetOf(store, held), {
    after: timers.after,
    log: (line) => log.push(line),
    onResult: (kind, result, count) => results.push(`${count} ${kind} ${result}`),
  });
  const beside = new DatabaseSync(file);
  const fail = (on: string): void =>
    beside.exec(`CREATE TRIGGER broken BEFORE ${on} BEGIN SELECT RAISE(ABORT, 'broken'); END`);
  const mend = (): void => beside.exec('DROP TRIGGER broken');
  const events = (): readonly string[] => {
    const records = must(store.recordsOf(task.id, 100));
    return records.map(({ bytes }) => String(JSON.parse(Buffer.from(bytes).toString('utf8')).event));
  };
  /** Runs what is due, and what it starts, to its end. A store in this thread answers at once. */
  const fire = async (): Promise<void> => {
    timers.fire();
    await setImmediate();
  };
  const pass = (ms: number): void => void (nowMs += ms);
  const close = (): void => {
    beside.close();
    store.close();
  };
  return { store, reports, timers, fire, log, results, fail, mend, events, pass, close };
};

describe('Reports', () => {
  it('refuses a stolen token at once, for spending too, and reports it revoked once that is written', async () => {
    const { store, reports, fire, log, results, fail, mend, events, close } = opened();
    fail('UPDATE OF revoked_ms ON tokens');
    reports.revoke(theft);
    const isRefused = (): void => {
      expect(store.useStateOf(task.issuer, task.id, jtiDigest)).toMatchObject({ issued: { revokedAtMs: 50_000 } });
      expect(store.tokenOf(jtiDigest)).toMatchObject({ revokedAtMs: 50_000 });
      expect(store.spend(task, jtiDigest, [{ kind: 'single-use' }])).toBe('ended');
    };
    isRefused();
    for (let tries = 0; tries < 3; tries += 1) await fire();
    expect(events()).toEqual([]);
    expect(results).toEqual(Array.from({ length: 3 }, () => '1 revocation failed'));
    const begun = 'revocations of stolen tokens cannot be written and will be retried: a row with that key exists';
    expect(log).toEqual([begun]);
    isRefused();
    mend();
    await fire();
    expect(events()).toEqual(['token-revoked']);
    expect(log).toEqual([begun, 'revocations of stolen tokens are written again']);
    expect([results.at(-1), reports.queued]).toEqual(['1 revocation written', 0]);
    isRefused();
    close();
  });

  it('ends the task of a stolen token if so configured', async () => {
    const { store, reports, fire, close } = opened();
    reports.revoke({ ...theft, isOfTask: true });
    await fire();
    expect(store.taskOf(task.issuer, task.id)).toMatchObject({ state: 'revoked' });
    close();
  });

  it('retries with back-off, and lets no other kind wait', async () => {
    const { store, reports, timers, fire, fail, mend, pass, results, close } = opened();
    fail('INSERT ON static_secrets');
    reports.seen([seen(1)]);
    await fire();
    reports.revoke(theft);
    expect(timers.delays).toEqual([100, 0]);
    await fire();
    expect(timers.delays).toEqual([200]);
    expect(results).toContain('1 revocation written');
    pass(60_000);
    // The same secret again: the count of the failed write is not lost.
    reports.seen([seen(1)]);
    mend();
    await fire();
    await fire();
    expect(store.staticSecrets(10)).toMatchObject([{ digest: 'hmac-sha-256:1', count: 2 }]);
    close();
  });

  it('queues a bounded number for each agent, and counts what is dropped', async () => {
    const { reports, pass, results, close } = opened();
    for (let n = 0; n < 70; n += 1) {
      reports.seen([seen(n)]);
      pass(1_000);
    }
    reports.seen([seen(1, 'another')]);
    expect(reports.queued).toBe(65);
    expect(results).toEqual(Array.from({ length: 6 }, () => '1 secrets dropped'));
    close();
  });

  it('writes what waits when it is closed, and logs what it drops', async () => {
    const { store, reports, log, fail, results, close } = opened();
    fail('UPDATE OF revoked_ms ON tokens');
    reports.seen([seen(1)]);
    reports.revoke(theft);
    await reports.close();
    expect(store.staticSecrets(10)).toHaveLength(1);
    expect(results).toEqual(['1 secrets written', '1 revocation failed', '1 revocation dropped']);
    expect(log.at(-1)).toBe('1 revocations of stolen tokens could not be written and are dropped');
    close();
  });

  it('writes the last use of each task once, however often it was used', async () => {
    const { store, reports, fire, results, pass, close } = opened();
    const idle = taskNumber(2, { idleMs: 10_000, lastUsedMs: 50_000, createdAtMs: 50_000, deadlineMs: 4_000_000 });
    expect(store.insertTask(idle, tokenNumber(2), [])).toBeNull();
    pass(5_000);
    reports.used(new Map([[idle.id, 54_000]]));
    reports.used(new Map([[idle.id, 52_000]]));
    await fire();
    expect(results).toEqual(['1 idle written']);
    expect(store.taskOf(idle.issuer, idle.id)).toMatchObject({ lastUsedMs: 54_000 });
    close();
  });

  it('writes one report of a kind at a time, and lets no kind wait for another', async () => {
    const held = new HeldPromises();
    const { reports, fire, results, pass, close } = opened(held);
    reports.seen([seen(1)]);
    reports.revoke(theft);
    await fire();
    expect(held.waiting).toEqual(['writeSecrets', 'revokeToken']);
    pass(1_000);
    reports.seen([seen(2)]);
    await fire();
    expect(held.waiting).toEqual(['writeSecrets', 'revokeToken']);
    held.release(1);
    await setImmediate();
    expect(results).toEqual(['1 revocation written']);
    held.release();
    await setImmediate();
    expect([results.at(-1), held.waiting]).toEqual(['1 secrets written', ['writeSecrets']]);
    held.release();
    await setImmediate();
    expect([results.at(-1), reports.queued]).toEqual(['1 secrets written', 0]);
    close();
  });

  it('waits at its end for the write in progress, then tries what was reported meanwhile', async () => {
    const held = new HeldPromises();
    const { store, reports, fire, pass, close } = opened(held);
    reports.seen([seen(1)]);
    await fire();
    pass(1_000);
    reports.seen([seen(2)]);
    let isClosed = false;
    const closing = reports.close().then(() => (isClosed = true));
    await setImmediate();
    expect([isClosed, held.waiting]).toEqual([false, ['writeSecrets']]);
    held.release();
    await setImmediate();
    expect([isClosed, held.waiting]).toEqual([false, ['writeSecrets']]);
    held.release();
    await closing;
    expect(store.staticSecrets(10)).toHaveLength(2);
    close();
  });

  it('counts what it drops if other reports took the room during a failed write', async () => {
    const held = new HeldPromises();
    const { reports, fire, fail, results, pass, close } = opened(held);
    fail('INSERT ON static_secrets');
    reports.seen([seen(0)]);
    await fire();
    for (let n = 1; n <= 64; n += 1) {
      pass(1_000);
      reports.seen([seen(n)]);
    }
    expect(results).toEqual([]);
    held.release();
    await setImmediate();
    expect(results).toEqual(['1 secrets failed', '1 secrets dropped']);
    expect(reports.queued).toBe(64);
    close();
  });
});
