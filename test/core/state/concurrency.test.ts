import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { LedgerWriter } from '../../../src/core/ledger/writer.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { taskPermits } from '../../../src/core/task/task.ts';
import type { TaskToken } from '../../../src/core/token/claims.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber, byOperator } from '../../builders/task.ts';
import { spentIn } from './state-file.ts';

const folder = testFolders();

const key = taskNumber(1);
const token = { issuer, taskId: key.id, clientId: key.agent } as TaskToken;

const withTask = (file: string): Store => {
  const store = mustOpen(file);
  store.insertTask(key, tokenNumber(1), []);
  return store;
};

const isLive = (store: Store): boolean => {
  const state = store.useStateOf(issuer, key.id, 'digest-1');
  return (
    state !== undefined &&
    !isStoreFailure(state) &&
    !isDeny(taskPermits(state.task, token, state.issued, { wallMs: 1_000, floorMs: 1_000 }))
  );
};

/** A use with a budget: it is decided, then counted. Others run in between. */
async function use(store: Store, limit: number, pause: () => Promise<unknown>): Promise<boolean> {
  if (!isLive(store)) return false;
  await pause();
  return store.spend(key, 'digest-1', [{ kind: 'calls', limit }]) === null;
}

describe('a task that is used and ended at the same time', () => {
  it('allows nothing after its end has returned, and no more than its budget, in any interleaving', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 0, max: 12 }), fc.nat(8), async (s, uses, limit) => {
        const file = join(folder(), 'state.db');
        const store = withTask(file);
        const happened: string[] = [];
        const pause = s.scheduleFunction(async () => undefined);
        const users = Array.from({ length: uses }, async () => {
          await pause();
          if (await use(store, limit, pause)) happened.push('allow');
        });
        const end = async (): Promise<void> => {
          await pause();
          store.applyTaskEvent(key, { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');
          happened.push('end');
        };
        await s.waitFor(Promise.all([...users, end()]));
        const allowed = happened.filter((what) => what === 'allow').length;
        expect(happened.slice(happened.indexOf('end') + 1)).toEqual([]);
        expect(allowed).toBeLessThanOrEqual(limit);
        expect(spentIn(file, key.id)).toBe(allowed);
        store.close();
      }),
      { numRuns: 60 },
    );
  });

  it('ends once under 1,000 concurrent ends among 1,000 recorded uses, none of which is allowed after the first end', async () => {
    const store = withTask(join(folder(), 'state.db'));
    const writer = new LedgerWriter(store);
    const record = {
      kind: 'event',
      at: 1,
      task: key.id,
      event: 'signal',
      cause: null,
      note: '',
      by: 'x',
      details: {},
    } as const;
    const inUse = Promise.withResolvers<void>();
    let isEnded = false;
    let [allowed, late, ends] = [0, 0, 0];
    const uses = Array.from({ length: 1_000 }, async (_, n) => {
      await new Promise((resolve) => setTimeout(resolve, n % 50));
      const isAllowed = isLive(store) && (await writer.durable(record)) && isLive(store);
      if (!isAllowed) return;
      allowed++;
      if (isEnded) late++;
      if (allowed === 100) inUse.resolve();
    });
    const enders = Array.from({ length: 1_000 }, async (_, n) => {
      await inUse.promise;
      const kind = n % 2 === 0 ? 'complete' : 'revoke';
      const end = store.applyTaskEvent(key, byOperator(kind), 'operator');
      if (end !== undefined && 'changed' in end && end.changed) ends++;
      isEnded = true;
    });
    await Promise.all([...uses, ...enders]);
    expect({ late, ends }).toEqual({ late: 0, ends: 1 });
    expect(allowed).toBeGreaterThanOrEqual(100);
    expect(allowed).toBeLessThan(1_000);
    await writer.close();
    store.close();
  });
});

/** Another process that spends. Gives its last line, once it has ended. */
const spender = async (file: string, limit: number) => {
  const child = spawn(
    process.execPath,
    ['--no-warnings', join(import.meta.dirname, 'killed-spender.ts'), file, String(limit)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines = createInterface(child.stdout);
  const said: string[] = [];
  lines.on('line', (line) => said.push(line));
  await once(lines, 'line');
  const closed = once(child, 'close');
  return async (): Promise<string> => {
    await closed;
    return said.at(-1) ?? '';
  };
};

describe('two processes on one state file', () => {
  it('spend exactly the budget', async () => {
    const file = join(folder(), 'state.db');
    withTask(file).close();
    const spenders = await Promise.all([spender(file, 400), spender(file, 400)]);
    const results = await Promise.all(spenders.map((result) => result()));
    const counts = results.map((result) => Number(result.split(' ')[0]));
    expect(results.every((result) => result.endsWith(' exhausted'))).toBe(true);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(400);
  });

  it('spend nothing once a third process has ended the task', async () => {
    const file = join(folder(), 'state.db');
    const store = withTask(file);
    const spenders = await Promise.all([spender(file, 1_000_000), spender(file, 1_000_000)]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    let end = store.applyTaskEvent(key, { kind: 'revoke', cause: causeOf('operator.revoked', '') }, 'operator');
    while (isStoreFailure(end) && end.code === 'busy') {
      end = store.applyTaskEvent(key, { kind: 'revoke', cause: causeOf('operator.revoked', '') }, 'operator');
    }
    const atEnd = spentIn(file, key.id);
    expect(end).toMatchObject({ changed: true });
    const results = await Promise.all(spenders.map((result) => result()));
    expect(results.every((result) => result.endsWith(' ended'))).toBe(true);
    const counts = results.map((result) => Number(result.split(' ')[0]));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(atEnd);
    expect(spentIn(file, key.id)).toBe(atEnd);
    store.close();
  });

  it('fail as busy while another process holds the lock, and go on after it', () => {
    const file = join(folder(), 'state.db');
    const store = withTask(file);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    const spend = () => store.spend(key, 'digest-1', [{ kind: 'calls', limit: 2 }]);
    expect(spend()).toMatchObject({ code: 'busy', detail: 'the state file is locked by another process' });
    // The state of a use can still be read.
    expect(isLive(store)).toBe(true);
    other.exec('ROLLBACK');
    other.close();
    expect([spend(), spend(), spend()]).toEqual([null, null, 'exhausted']);
    expect(spentIn(file, key.id)).toBe(2);
    store.close();
  });
});
