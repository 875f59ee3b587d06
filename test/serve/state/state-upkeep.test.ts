import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { keepState } from '../../../src/serve/state/state-upkeep.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { byOperator, taskNumber, tokenNumber } from '../../builders/task.ts';
import { until } from '../../until.ts';

const folder = testFolders();

/** A store with 100 ended tasks that can be deleted, and its upkeep. */
function stage(keepSeconds: number) {
  const file = join(folder(), 'state.db');
  let nowMs = 1_000;
  const store = mustOpen(file, { nowMs: () => nowMs });
  store.inOneCommit(() => {
    for (let n = 1; n <= 100; n++) {
      store.insertTask(taskNumber(n), tokenNumber(n), []);
      store.applyTaskEvent(taskNumber(n), byOperator('complete'), 'operator');
    }
  });
  store.forget(1_000);
  nowMs = 1_000_000;
  const log: string[] = [];
  const metrics = newMetrics();
  const { authority } = directAuthority(store);
  const stop = keepState(authority, { keepSeconds: () => keepSeconds, after, log: (line) => log.push(line), metrics });
  const metric = (name: string): number =>
    Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics.scrape('text').body)?.[1] ?? 0);
  return { store, file, log, metric, stop };
}

describe('keepState', () => {
  it('deletes and counts ended tasks that are due', async () => {
    const { store, metric, stop, log } = stage(60);
    await until(() => metric('remit_pruned_tasks_total') === 100);
    expect(store.taskCounts()).toEqual({ active: 0, suspended: 0, ended: 0 });
    expect(log).toEqual([]);
    await stop();
    store.close();
  });

  it('logs a failure once, counts it, retries, and logs when it succeeds again', async () => {
    const { store, file, log, metric, stop } = stage(60);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    await until(() => metric('remit_prune_failures_total') >= 2);
    expect(log).toEqual([
      'state: ended tasks cannot be deleted, will be retried: the state file is locked by another process',
    ]);
    expect(store.taskCounts()).toMatchObject({ ended: 100 });
    other.exec('ROLLBACK');
    other.close();
    await until(() => metric('remit_pruned_tasks_total') === 100);
    expect(log.slice(1)).toEqual(['state: ended tasks are deleted again']);
    await stop();
    store.close();
  });

  it('keeps all tasks if so configured, and the serving mark of the process', async () => {
    const { store, file, stop } = stage(0);
    const other = new DatabaseSync(file);
    other.exec('DELETE FROM serving');
    await until(() => other.prepare('SELECT count(*) AS count FROM serving').get()?.['count'] === 1);
    other.close();
    expect(store.taskCounts()).toMatchObject({ ended: 100 });
    await stop();
    store.close();
  });
});
