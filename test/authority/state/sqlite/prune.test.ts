import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { array, assert, constant, constantFrom, integer, nat, oneof, option, property, record } from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { signalLimits } from '../../../../src/core/state/signal-queue.ts';
import type { IssuedToken, Store } from '../../../../src/core/state/store.ts';
import type { Task } from '../../../../src/core/task/task.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { mustOpen } from '../../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { must } from '../../../builders/must.ts';
import { thoroughly } from '../../../thoroughly.ts';

const folder = testFolders();

const KEEP_MS = 60_000;
const SKEW_MS = 60_000;

/** A store whose wall clock can step on its own. */
function stage() {
  const clock = { wallMs: 1_000_000, monotonicMs: 0 };
  const file = join(folder(), 'state.db');
  const store = mustOpen(file, { nowMs: () => clock.wallMs, monotonicMs: () => clock.monotonicMs });
  const pass = (ms: number): void => {
    clock.wallMs += ms;
    clock.monotonicMs += ms;
  };
  return { clock, file, store, pass };
}

const taskAt = (n: number, nowMs: number, change: Partial<Task> = {}): Task =>
  taskNumber(n, { createdAtMs: nowMs, lastUsedMs: nowMs, deadlineMs: nowMs + 10_000_000, ...change });
const tokenAt = (n: number, nowMs: number, lifeMs = 300_000): IssuedToken => ({
  ...tokenNumber(n),
  issuedAtMs: nowMs,
  expiresAtMs: nowMs + lifeMs,
});

/** Runs steps until several looks find nothing to do, since a step may end at a task that must be kept. */
function pruneAll(store: Store, keepMs = KEEP_MS): number {
  let tasks = 0;
  for (let idle = 0; idle < 5;) {
    const pruned = must(store.prune(keepMs));
    tasks += pruned.tasks;
    idle = pruned.tasks === 0 && !pruned.isMore ? idle + 1 : 0;
  }
  return tasks;
}

const rowsIn = (file: string, table: string): number => {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return Number(db.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.['count']);
  } finally {
    db.close();
  }
};
const taken = (store: Store): void => void must(store.forget(Number.MAX_SAFE_INTEGER));

describe('Store.prune', () => {
  it('deletes an ended task with its parts, tokens, budgets and history, and none of an open task', () => {
    const { store, file, clock, pass } = stage();
    const now = clock.wallMs;
    const [one, part, open] = [taskAt(1, now), taskAt(2, now, { parentId: taskNumber(1).id }), taskAt(3, now)];
    for (const [index, task] of [one, part, open].entries()) must(store.insertTask(task, tokenAt(index, now), []));
    const entry = { version: 0, action: 'payments.read', labels: ['secret'] };
    must(store.spend(one, tokenAt(0, now).jtiDigest, [{ kind: 'calls', limit: 9 }], entry));
    must(store.spend(open, tokenAt(2, now).jtiDigest, [{ kind: 'calls', limit: 9 }], entry));
    must(store.rememberOnce('signal', 'key', now + 1_000));
    must(store.applyTaskEvent(one, byOperator('complete'), 'operator'));
    taken(store);
    pass(300_000 + SKEW_MS);
    expect(pruneAll(store)).toBe(2);
    const rows = ['tasks', 'tokens', 'budgets', 'histories', 'remembered'].map((table) => rowsIn(file, table));
    expect(rows).toEqual([1, 1, 1, 1, 0]);
    expect(store.taskCounts()).toEqual({ active: 1, suspended: 0, ended: 0 });
    expect(store.useStateOf(issuer, one.id, tokenAt(0, now).jtiDigest)).toBeUndefined();
    store.close();
  });

  it('forgets a receiver of signals once it has pruned for ten minutes, so that after an outage it is claimed before', () => {
    const { store, clock, pass } = stage();
    must(store.claimSignals('siem'));
    must(store.insertTask(taskAt(1, clock.wallMs), tokenAt(1, clock.wallMs), []));
    must(store.applyTaskEvent(taskAt(1, clock.wallMs), byOperator('cancel'), 'operator'));
    const waiting = (): number => must(store.signalQueue('siem')).waiting;
    const pruneFor = (ms: number): void => {
      for (let passed = 0; passed < ms; passed += 30_000) {
        pass(30_000);
        pruneAll(store);
      }
    };
    pass(signalLimits.forgottenMs);
    pruneFor(signalLimits.graceMs);
    expect(waiting()).toBe(1);
    // Another outage begins the time anew.
    pass(signalLimits.forgottenMs);
    pruneFor(signalLimits.graceMs);
    expect(waiting()).toBe(1);
    pruneFor(60_000);
    expect(waiting()).toBe(0);
    store.close();
  });

  it('invalidates what this and another process cache of the task', () => {
    const { store, file, clock, pass } = stage();
    const now = clock.wallMs;
    const [task, token] = [taskAt(1, now), tokenAt(1, now)];
    must(store.insertTask(task, token, []));
    must(store.applyTaskEvent(task, byOperator('revoke'), 'operator'));
    taken(store);
    pass(300_000 + SKEW_MS);
    const other = mustOpen(file, { nowMs: () => clock.wallMs, monotonicMs: () => clock.monotonicMs });
    const states = () => [store, other].map((each) => each.useStateOf(issuer, task.id, token.jtiDigest));
    expect(states()).toMatchObject([{ task: { state: 'revoked' } }, { task: { state: 'revoked' } }]);
    expect(pruneAll(store)).toBe(1);
    expect(states()).toEqual([undefined, undefined]);
    other.close();
    store.close();
  });

  it.each<[string, (at: ReturnType<typeof stage>, task: Task) => void]>([
    ['it ended too recently', ({ store, pass }) => (taken(store), pass(KEEP_MS - 1))],
    ['a token is still valid', ({ store, pass }) => (taken(store), pass(300_000 + SKEW_MS - 1))],
    ['the ledger lacks its records', ({ pass }) => pass(1_000_000)],
    [
      'only the wall clock says that its time is over',
      ({ store, clock }) => (taken(store), void (clock.wallMs += 1_000_000)),
    ],
    [
      'only the elapsed time says that its time is over',
      ({ store, clock, pass }) => (taken(store), pass(1_000_000), void (clock.wallMs -= 900_000)),
    ],
    [
      'a token of its part is still valid',
      ({ store, clock, pass }) => {
        taken(store);
        pass(100_000);
        const db = new DatabaseSync(file);
        db.prepare('UPDATE tokens SET expires_ms = ? WHERE jti_digest = ?').run(clock.wallMs + 900_000, 'digest-2');
        db.close();
        pass(500_000);
      },
    ],
  ])('keeps a task if %s', (_name, change) => {
    const at = stage();
    file = at.file;
    const now = at.clock.wallMs;
    const task = taskAt(1, now);
    must(at.store.insertTask(task, tokenAt(1, now), []));
    must(at.store.insertTask(taskAt(2, now, { parentId: task.id }), tokenAt(2, now, 1_000), []));
    must(at.store.applyTaskEvent(task, byOperator('complete'), 'operator'));
    change(at, task);
    pruneAll(at.store);
    expect(at.store.taskOf(issuer, task.id)).toMatchObject({ state: 'completed' });
    at.store.close();
  });
  let file = '';

  it('prunes tasks behind many that must be kept', () => {
    const { store, clock, pass } = stage();
    const ended = (n: number, lifeMs: number): void => {
      const task = taskAt(n, clock.wallMs);
      must(store.insertTask(task, tokenAt(n, clock.wallMs, lifeMs), []));
      must(store.applyTaskEvent(task, byOperator('complete'), 'operator'));
    };
    must(
      store.inOneCommit(() => {
        for (let n = 1; n <= 300; n++) ended(n, 9_000_000);
        // A task with more ended parts, all to be kept, than one step reads.
        must(store.insertTask(taskAt(1_000, clock.wallMs), tokenAt(1_000, clock.wallMs, 1_000), []));
        for (let n = 1_001; n <= 1_600; n++) {
          const part = taskAt(n, clock.wallMs, { parentId: taskNumber(1_000).id });
          must(store.insertTask(part, tokenAt(n, clock.wallMs, 9_000_000), []));
        }
        must(store.applyTaskEvent(taskNumber(1_000), byOperator('complete'), 'operator'));
      }),
    );
    pass(1);
    ended(2_000, 1_000);
    taken(store);
    pass(1_000_000);
    for (let look = 0; look < 200; look++) must(store.prune(KEEP_MS));
    expect(store.taskOf(issuer, taskNumber(2_000).id)).toBeUndefined();
    expect(store.taskCounts()).toMatchObject({ ended: 901 });
    pass(9_000_000);
    expect(pruneAll(store)).toBe(901);
    store.close();
  });

  it('is prevented by the file itself from deleting open tasks and their tokens', () => {
    const { store, file: path, clock } = stage();
    must(store.insertTask(taskAt(1, clock.wallMs), tokenAt(1, clock.wallMs), []));
    const db = new DatabaseSync(path);
    db.exec('PRAGMA foreign_keys = OFF');
    expect(() => db.exec('DELETE FROM tasks')).toThrow('an open task is not deleted');
    expect(() => db.exec('DELETE FROM tokens')).toThrow('a token of an open task is not deleted');
    db.close();
    store.close();
  });

  it('leaves no rows of 20,000 ended tasks, and returns their space to the disk', () => {
    const { store, file: path, clock, pass } = stage();
    const now = clock.wallMs;
    must(
      store.inOneCommit(() => {
        for (let n = 1; n <= 20_000; n++) {
          const task = taskAt(n, now);
          must(store.insertTask(task, tokenAt(n, now), []));
          must(store.spend(task, tokenAt(n, now).jtiDigest, [{ kind: 'calls', limit: 9 }]));
          must(store.applyTaskEvent(task, byOperator('complete'), 'operator'));
        }
      }),
    );
    taken(store);
    const before = must(store.size());
    expect(store.taskCounts()).toEqual({ active: 0, suspended: 0, ended: 20_000 });
    pass(1_000_000);
    expect(pruneAll(store)).toBe(20_000);
    while (must(store.shrink())) continue;
    const after = must(store.size());
    expect(before.bytes).toBeGreaterThan(16 * 1024 ** 2);
    expect(after.bytes).toBeLessThan(5 * 1024 ** 2);
    store.close();
    expect(['tasks', 'tokens', 'budgets', 'outbox'].map((table) => rowsIn(path, table))).toEqual([0, 0, 0, 0]);
    expect(statSync(path).size).toBe(after.bytes);
  });

  type Op =
    | { readonly kind: 'declare'; readonly lifeMs: number; readonly part: number | null }
    | { readonly kind: 'renew'; readonly task: number; readonly lifeMs: number }
    | { readonly kind: 'change'; readonly task: number; readonly event: 'complete' | 'suspend' }
    | { readonly kind: 'pass'; readonly ms: number }
    | { readonly kind: 'step'; readonly ms: number }
    | { readonly kind: 'taken' }
    | { readonly kind: 'prune' };
  const index = nat({ max: 20 });
  const life = integer({ min: 1, max: 900_000 });
  const op: Arbitrary<Op> = oneof(
    record({ kind: constant('declare' as const), lifeMs: life, part: option(index) }),
    record({ kind: constant('renew' as const), task: index, lifeMs: life }),
    record({
      kind: constant('change' as const),
      task: index,
      event: constantFrom('complete' as const, 'suspend' as const),
    }),
    record({ kind: constant('pass' as const), ms: nat({ max: 1_000_000 }) }),
    record({ kind: constant('step' as const), ms: integer({ min: -2_000_000, max: 2_000_000 }) }),
    record({ kind: constant('taken' as const) }),
    record({ kind: constant('prune' as const) }),
  );

  it('keeps every usable token, every open task and every task with unrecorded events, in any course of events', () => {
    assert(
      property(array(op, { minLength: 10, maxLength: 60 }), (ops) => {
        const { store, clock, pass } = stage();
        const model: { task: Task; tokens: IssuedToken[]; isWaiting: boolean }[] = [];
        let number = 0;
        let passedMs = 0;
        const pick = (n: number) => model[n % Math.max(1, model.length)];
        const run = (each: Op): void => {
          const now = store.floorMs();
          if (each.kind === 'pass') return pass(each.ms);
          if (each.kind === 'step') return void (clock.wallMs += each.ms);
          if (each.kind === 'prune') return void pruneAll(store);
          if (each.kind === 'taken') {
            taken(store);
            for (const one of model) one.isWaiting = false;
            return;
          }
          if (each.kind === 'declare') {
            number += 1;
            const parent = each.part === null ? undefined : pick(each.part)?.task;
            const deadlineMs = Math.min(now + 5_000_000, parent?.deadlineMs ?? Infinity);
            const task = taskAt(number, now, { deadlineMs, parentId: parent?.id ?? null });
            const token = tokenAt(number, now, each.lifeMs);
            if (store.insertTask(task, token, []) === null) model.push({ task, tokens: [token], isWaiting: false });
            return;
          }
          const one = pick(each.task);
          if (one === undefined) return;
          if (each.kind === 'renew') {
            number += 1;
            const token = tokenAt(number, now, each.lifeMs);
            if (store.insertToken(one.task, token, []) === null) one.tokens.push(token);
            return;
          }
          const changed = store.applyTaskEvent(one.task, byOperator(each.event), 'operator');
          if (changed === undefined || isStoreFailure(changed) || 'problem' in changed || !changed.changed) return;
          // The parts changed with it, with their own records.
          for (const other of model) other.isWaiting ||= must(store.recordsOf(other.task.id, 1)).length > 0;
        };
        for (const each of ops) {
          run(each);
          const { wallMs, floorMs } = store.clocks();
          // A step back of the wall clock makes nothing usable again, since the floor does not step back.
          passedMs = Math.max(passedMs, Math.min(wallMs, floorMs));
          for (const { task, tokens, isWaiting } of model) {
            const usable = tokens.filter(({ expiresAtMs }) => expiresAtMs > passedMs - SKEW_MS);
            for (const token of usable) {
              expect(store.useStateOf(issuer, task.id, token.jtiDigest)).toMatchObject({
                task: { id: task.id },
                issued: { jtiDigest: token.jtiDigest },
              });
            }
            const found = must(store.taskOf(issuer, task.id));
            expect(!isWaiting || found !== undefined).toBe(true);
            // The ancestors of a task with a row also have rows.
            const above = found === undefined ? null : task.parentId;
            expect(above === null || must(store.taskOf(issuer, above)) !== undefined).toBe(true);
            const wasOpen = open.get(task.id) ?? true;
            expect(!wasOpen || found !== undefined).toBe(true);
            open.set(task.id, found !== undefined && found.endedAtMs === null);
          }
        }
        clock.wallMs = Math.max(clock.wallMs, store.floorMs());
        pass(100_000_000);
        must(store.endExpired());
        taken(store);
        pass(100_000_000);
        clock.wallMs = Math.max(clock.wallMs, store.floorMs());
        pruneAll(store);
        expect(store.taskCounts()).toEqual({ active: 0, suspended: 0, ended: 0 });
        store.close();
        open.clear();
      }),
      { numRuns: thoroughly(40, 15) },
    );
  });
  const open = new Map<string, boolean>();
});
