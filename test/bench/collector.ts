import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import type { Run } from './load.ts';
import { reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { vegeta } from './vegeta.ts';

/** What the garbage collector did in one run, by its own trace. */
export interface Collections {
  /** Allocated per check on the heap, bytes. */
  readonly allocated: number;
  /** Of these, what outlived its first collection: copied in the young generation or promoted; bytes per check. */
  readonly survived: number;
  /** Pauses, milliseconds in each second. */
  readonly pauseMsPerSecond: number;
  readonly longestPauseMs: number;
}

/** One collection, as `--trace-gc-nvp` prints it; times in milliseconds, sizes in bytes. */
interface Collection {
  readonly pause: number;
  readonly allocated: number;
  readonly promoted: number;
  readonly new_space_survived: number;
}

const RATE = 1_000;
/** What is printed is buffered nowhere, but the last collection may still be under way. */
const SETTLE_MS = 200;

/** What a check costs the garbage collector at a fixed rate: Remit as shipped, and without spans. */
export async function measureCollections(bench: Bench): Promise<void> {
  const { collectorPort } = bench;
  for (const [contender, port] of [
    ['Remit', collectorPort],
    ['Remit, no spans', null],
  ] as const) {
    const found = await collectionsOf(bench, `gc-${port === null ? 'silent' : 'spans'}`, port);
    const { results } = bench;
    results.note(`${contender}: allocated per check`, found.allocated, 'bytes');
    results.note(`${contender}: survived per check`, found.survived, 'bytes');
    results.note(`${contender}: pauses at ${RATE}/s`, found.pauseMsPerSecond, 'ms/s');
    results.note(`${contender}: longest pause at ${RATE}/s`, found.longestPauseMs, 'ms');
    bench.say(
      `collector: ${contender}: ${found.allocated.toFixed(0)} bytes a check, ${found.survived.toFixed(0)} survive, ` +
        `${found.pauseMsPerSecond.toFixed(2)} ms/s paused, longest ${found.longestPauseMs.toFixed(1)} ms`,
    );
  }
}

async function collectionsOf(bench: Bench, name: string, spansTo: number | null): Promise<Collections> {
  const { collectorPort, domain, effort, stage } = bench;
  const stdoutFile = join(stage.folder, `${name}.trace`);
  const flags = ['--trace-gc-nvp'];
  const remit = await RemitUnderTest.start(stage, domain, { name, collectorPort: spansTo, flags, stdoutFile });
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const load = await reuse(bench, remit);
  const run = (seconds: number): Promise<Run> =>
    vegeta(stage, load, { binary: bench.go.vegeta, port: envoy.address.port, rate: RATE, seconds });
  // Long enough that what stays is there and the hot code is compiled.
  await run(effort.seconds);
  const before = (await readFile(stdoutFile, 'utf8')).length;
  const seconds = effort.seconds * 3;
  const { requests } = await run(seconds);
  await delay(SETTLE_MS);
  const collections = collectionsIn((await readFile(stdoutFile, 'utf8')).slice(before));
  await remit.end();
  const sum = (of: (collection: Collection) => number): number =>
    collections.reduce((total, collection) => total + of(collection), 0);
  return {
    allocated: sum(({ allocated }) => allocated) / requests,
    survived: sum(({ promoted, new_space_survived: copied }) => promoted + copied) / requests,
    pauseMsPerSecond: sum(({ pause }) => pause) / seconds,
    longestPauseMs: Math.max(0, ...collections.map(({ pause }) => pause)),
  };
}

/** The collections in a trace, those of worker threads included. */
const collectionsIn = (trace: string): readonly Collection[] =>
  trace
    .split('\n')
    .flatMap((line) => /GC: (\{.*\})$/.exec(line)?.[1] ?? [])
    .map((json) => JSON.parse(json) as Collection);
