import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import type { Run } from './load.ts';
import { reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { vegeta } from './vegeta.ts';
import { wrk } from './wrk.ts';

/** What the garbage collector did in one run, by its own trace. */
export interface Collections {
  /** Bytes allocated on the heap per check. */
  readonly allocated: number;
  /** Of these, bytes that survived their first collection: copied within the young generation or promoted. */
  readonly survived: number;
  /** Pauses, in milliseconds per second. */
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
/** Connections of the closed loop: few, so that no check is late or refused, which would cost less. */
const CONNECTIONS = 4;
/** Output is not buffered, but the last collection may still be running. */
const SETTLE_MS = 200;

/** What a check costs the garbage collector, and the pauses at a fixed rate: Remit as shipped, and without spans. */
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
  const { port } = envoy.address;
  // Long enough to fill the old generation and compile the hot code.
  await wrk(stage, load, { port, seconds: effort.seconds, connections: CONNECTIONS });
  const seconds = effort.seconds * 3;
  const traced = async (run: () => Promise<Run>): Promise<Traced> => {
    const before = (await readFile(stdoutFile, 'utf8')).length;
    const { requests } = await run();
    await delay(SETTLE_MS);
    return { requests, collections: collectionsIn((await readFile(stdoutFile, 'utf8')).slice(before)) };
  };
  const closed = await traced(() => wrk(stage, load, { port, seconds, connections: CONNECTIONS }));
  const fixed = await traced(() => vegeta(stage, load, { binary: bench.go.vegeta, port, rate: RATE, seconds }));
  await remit.end();
  const perCheck = (of: (collection: Collection) => number): number => total(closed.collections, of) / closed.requests;
  return {
    allocated: perCheck(({ allocated }) => allocated),
    survived: perCheck(({ promoted, new_space_survived: copied }) => promoted + copied),
    pauseMsPerSecond: total(fixed.collections, ({ pause }) => pause) / seconds,
    longestPauseMs: Math.max(0, ...fixed.collections.map(({ pause }) => pause)),
  };
}

interface Traced {
  readonly requests: number;
  readonly collections: readonly Collection[];
}

const total = (collections: readonly Collection[], of: (collection: Collection) => number): number =>
  collections.reduce((sum, collection) => sum + of(collection), 0);

/** The collections in a trace, including those of worker threads. */
const collectionsIn = (trace: string): readonly Collection[] =>
  trace
    .split('\n')
    .flatMap((line) => /GC: (\{.*\})$/.exec(line)?.[1] ?? [])
    .map((json) => JSON.parse(json) as Collection);
