import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from '@jest/globals';
import { SideWrites } from '../../src/state/side-writes.ts';
import { isStoreFailure } from '../../src/sqlite/store-failure.ts';
import { causeOf } from '../../src/task/cause.ts';
import { HeldTimers } from '../identity/held-timers.ts';
import { mustOpen, scratch, taskNumber, tokenNumber } from './samples.ts';

const { folder, remove } = scratch();
afterAll(remove);

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

/** A real state file, and what makes exactly one kind of write fail in it. */
const opened = () => {
  const file = join(folder(), 'state.db');
  let nowMs = 50_000;
  const store = mustOpen(file, { nowMs: () => nowMs });
  expect(store.insertTask(task, tokenNumber(1), [])).toBeNull();
  const timers = new HeldTimers();
  const log: string[] = [];
  const results: string[] = [];
  const side = new SideWrites(store, {
    after: timers.after,
    log: (line) => log.push(line),
    onResult: (kind, result, count) => results.push(`${count} ${kind} ${result}`),
  });
  const beside = new DatabaseSync(file);
  const fail = (on: string): void =>
    beside.exec(`CREATE TRIGGER broken BEFORE ${on} BEGIN SELECT RAISE(ABORT, 'broken'); END`);
  const mend = (): void => beside.exec('DROP TRIGGER broken');
  const events = (): readonly string[] => {
    const records = store.recordsOf(task.id, 100);
    if (isStoreFailure(records)) throw new Error(records.detail);
    return records.map(({ bytes }) => String(JSON.parse(Buffer.from(bytes).toString('utf8')).event));
  };
  const pass = (ms: number): void => void (nowMs += ms);
  const close = (): void => {
    beside.close();
    store.close();
  };
  return { store, side, timers, log, results, fail, mend, events, pass, close };
};

describe('SideWrites', () => {
  it('refuses a stolen token at once, also for what it would spend, and says that it is revoked once it is', () => {
    const { store, side, timers, log, results, fail, mend, events, close } = opened();
    fail('UPDATE OF revoked_ms ON tokens');
    side.revoke(theft);
    const isRefused = (): void => {
      expect(store.useStateOf(task.issuer, task.id, jtiDigest)).toMatchObject({ issued: { revokedAtMs: 50_000 } });
      expect(store.tokenOf(jtiDigest)).toMatchObject({ revokedAtMs: 50_000 });
      expect(store.spend(task, jtiDigest, [{ kind: 'single-use' }])).toBe('ended');
    };
    isRefused();
    for (let tries = 0; tries < 3; tries += 1) timers.fire();
    expect(events()).toEqual([]);
    expect(results).toEqual(Array.from({ length: 3 }, () => '1 revocation failed'));
    const begun = 'revocations of stolen tokens cannot be written, and are tried again: a row with that key exists';
    expect(log).toEqual([begun]);
    isRefused();
    mend();
    timers.fire();
    expect(events()).toEqual(['token-revoked']);
    expect(log).toEqual([begun, 'revocations of stolen tokens are written again']);
    expect([results.at(-1), side.queued]).toEqual(['1 revocation written', 0]);
    isRefused();
    close();
  });

  it('ends the task of a stolen token where that is wished', () => {
    const { store, side, timers, close } = opened();
    side.revoke({ ...theft, isOfTask: true });
    timers.fire();
    expect(store.taskOf(task.issuer, task.id)).toMatchObject({ state: 'revoked' });
    close();
  });

  it('tries again after ever longer waits, and lets no other kind wait with it', () => {
    const { store, side, timers, fail, mend, pass, results, close } = opened();
    fail('INSERT ON static_secrets');
    side.seen([seen(1)]);
    timers.fire();
    side.revoke(theft);
    expect(timers.delays).toEqual([100, 0]);
    timers.fire();
    expect(timers.delays).toEqual([200]);
    expect(results).toContain('1 revocation written');
    pass(60_000);
    // The same secret again: what was not written is not lost from its count.
    side.seen([seen(1)]);
    mend();
    timers.fire();
    timers.fire();
    expect(store.staticSecrets(10)).toMatchObject([{ digest: 'hmac-sha-256:1', count: 2 }]);
    close();
  });

  it('keeps a bounded number of one agent, and counts what is over', () => {
    const { side, pass, results, close } = opened();
    for (let n = 0; n < 70; n += 1) {
      side.seen([seen(n)]);
      pass(1_000);
    }
    side.seen([seen(1, 'another')]);
    expect(side.queued).toBe(65);
    expect(results).toEqual(Array.from({ length: 6 }, () => '1 secrets dropped'));
    close();
  });

  it('writes what waits when it is closed, and says what it gives up', () => {
    const { store, side, log, fail, results, close } = opened();
    fail('UPDATE OF revoked_ms ON tokens');
    side.seen([seen(1)]);
    side.revoke(theft);
    side.close();
    expect(store.staticSecrets(10)).toHaveLength(1);
    expect(results).toEqual(['1 secrets written', '1 revocation failed', '1 revocation dropped']);
    expect(log.at(-1)).toBe('1 revocations of stolen tokens could not be written and are given up');
    close();
  });

  it('writes the idle times of tasks, once for each however often they were used', () => {
    const { store, side, timers, results, pass, close } = opened();
    const idle = taskNumber(2, { idleMs: 10_000, lastUsedMs: 50_000, createdAtMs: 50_000, deadlineMs: 4_000_000 });
    expect(store.insertTask(idle, tokenNumber(2), [])).toBeNull();
    pass(5_000);
    side.used(new Map([[idle.id, 54_000]]));
    side.used(new Map([[idle.id, 52_000]]));
    timers.fire();
    expect(results).toEqual(['1 idle written']);
    expect(store.taskOf(idle.issuer, idle.id)).toMatchObject({ lastUsedMs: 54_000 });
    close();
  });
});
