import { rmSync } from 'node:fs';
import type { Store } from '../../src/core/state/store.ts';
import { isStoreFailure } from '../../src/core/runtime/store-failure.ts';
import { causeOf } from '../../src/core/task/cause.ts';
import { scratch } from '../builders/scratch.ts';
import { mustOpen } from '../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../builders/task.ts';

/**
 * What the store costs: `node --expose-gc test/bench/store.ts [TASKS]`, 100,000 tasks by default. Prints one line for each
 * figure. The time of an end and of a spend is that of the disk's sync under the folder for temporary files.
 */

const tasks = Number(process.argv[2] ?? 100_000);
const { folder, remove } = scratch();
const file = `${folder()}/state.db`;
const details = JSON.stringify([
  { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.read', 'payments.list'] },
]);
const deadlineMs = Date.now() + 3_600_000;
const live = (n: number, idleMs: number | null = null) =>
  taskNumber(n, { deadlineMs, detailsJson: details, idleMs, lastUsedMs: Date.now() });

const say = (what: string, value: number, unit: string): void =>
  void process.stdout.write(`${what.padEnd(52)} ${value.toFixed(1).padStart(10)} ${unit}\n`);
const mebibytes = (bytes: number): number => bytes / 1024 ** 2;

/** Microseconds of one of `count` calls. */
const timed = (count: number, call: (n: number) => unknown): number => {
  const start = process.hrtime.bigint();
  for (let n = 1; n <= count; n++) call(n);
  return Number(process.hrtime.bigint() - start) / 1_000 / count;
};

const must = <T>(value: T): T => {
  if (isStoreFailure(value)) throw new Error(value.detail);
  return value;
};

/** Resident memory, after a collection where possible. */
const resident = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().rss;
};

const useAt = (store: Store, n: number) => must(store.useStateOf(issuer, taskNumber(n).id, tokenNumber(n).jtiDigest));

let store = mustOpen(file, { nowMs: () => Date.now() });
const before = resident();
say(
  `insertTask, synced, of ${tasks}`,
  timed(tasks, (n) => must(store.insertTask(live(n), tokenNumber(n), []))),
  'us',
);
say(`resident with ${tasks} live tasks`, mebibytes(resident()), 'MiB');
say('  of it since the store was opened', mebibytes(resident() - before), 'MiB');
store.close();
const opening = process.hrtime.bigint();
store = mustOpen(file, { nowMs: () => Date.now() });
say('open and check the file', Number(process.hrtime.bigint() - opening) / 1e6, 'ms');

const pick = (n: number): number => ((n * 7_919) % tasks) + 1;
timed(20_000, (n) => useAt(store, pick(n)));
say(
  'useStateOf, another task each time',
  timed(100_000, (n) => useAt(store, pick(n))),
  'us',
);
say(
  'useStateOf, the same task',
  timed(100_000, () => useAt(store, 1)),
  'us',
);
say(
  'taskOf, another task each time',
  timed(100_000, (n) => store.taskOf(issuer, taskNumber(pick(n)).id)),
  'us',
);
say('  resident after these', mebibytes(resident()), 'MiB');

const spends = [{ kind: 'calls', limit: Number.MAX_SAFE_INTEGER }] as const;
const spend = (n: number) => must(store.spend(live(n), tokenNumber(n).jtiDigest, spends));
say('spend, synced', timed(Math.min(2_000, tasks), spend), 'us');
const ended = Math.min(10_000, tasks);
const end = (n: number) =>
  must(store.applyTaskEvent(live(n), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator'));
const perEnd = timed(ended, end);
say(`applyTaskEvent, an end, synced, of ${ended}`, perEnd, 'us');
say('  ends per second', 1e6 / perEnd, '/s');
store.close();
rmSync(file, { force: true });
remove();
