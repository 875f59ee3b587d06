import { setTimeout as delay } from 'node:timers/promises';
import { noteAnswers, noteEnvoysOwn } from './answers.ts';
import { kept, measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { flood } from './flood.ts';
import { mustBeAllowed } from './load.ts';
import type { Load, Run } from './load.ts';
import { reuse } from './loads.ts';
import { measureNeighbour } from './neighbour.ts';
import { recoverySeconds } from './recovery.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { ProcessorShare } from './share.ts';
import { measureSocketOverload } from './socket-overload.ts';
import { cpuMicroseconds } from './stage.ts';
import { median } from './statistics.ts';
import { attack, runOf } from './vegeta.ts';
import type { Hit } from './vegeta.ts';
import { wrk } from './wrk.ts';

const CONTENDER = 'Remit';
/** Multiple of the capacity that is requested, up to a rate at which the generator itself is the limit. */
const TIMES = 10;
const MOST_PER_SECOND = 20_000;
/**
 * Processors of Remit with its Envoy, and of what makes the flood, so that neither takes those of the other. The rest is for the steady load, the
 * collector and this process.
 */
const CORES = { product: 1.3, flood: 0.4 } as const;
/** Half of the capacity is requested before, during and after. */
const STEADY = 0.5;
const AFTER_SECONDS = 10;
/** Enough for the reason of a denial. */
const MAX_BODY_BYTES = 1_024;

/** The series of the overload. */
export const overload = {
  capacity: [CONTENDER, 'overload: capacity'],
  during: [CONTENDER, `overload: ${TIMES} times the capacity`],
  after: [CONTENDER, 'overload: half the capacity, after'],
} as const;

/** The figure: time until all calls are answered 200 again. */
export const RECOVERY = 'overload: recovery';

/** One overload and its answers. */
interface Round {
  readonly during: readonly Hit[];
  readonly due: number;
  readonly recoverySeconds: number;
  /** Processor time of Remit per second, in microseconds. */
  readonly cpuUsPerSecond: number;
}

/**
 * The remaining throughput while far more is requested than can be decided, how the rest is answered, and how soon it recovers; then what
 * one noisy agent takes from another.
 */
export async function measureOverload(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, results, stage } = bench;
  // Before the processes, so that the stage ends those first: a group with processes cannot be removed.
  const shares = {
    product: ProcessorShare.open(stage, 'product', CORES.product),
    flood: ProcessorShare.open(stage, 'flood', CORES.flood),
  };
  const remit = await RemitUnderTest.start(stage, domain, { name: 'overload', collectorPort });
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const { port } = envoy.address;
  for (const { pid } of [remit, envoy]) shares.product.take(pid);
  results.note('overload: processors of Remit and Envoy', shares.product.group === null ? NaN : CORES.product, '');
  results.note('overload: processors of the flood', shares.flood.group === null ? NaN : CORES.flood, '');
  await wrk(stage, await reuse(bench, remit), { port, seconds: effort.seconds });
  const rounds: Round[] = [];
  const capacities: Run[] = [];
  for (let round = 0; round < effort.rounds; round += 1) {
    const load = await reuse(bench, remit);
    await mustBeAllowed(port, load);
    const capacity = await measure(bench, { ...seriesOf(overload.capacity), pid: remit.pid }, () =>
      wrk(stage, load, { port, seconds: effort.seconds }),
    );
    capacities.push(capacity);
    rounds.push(
      await overloaded(bench, load, {
        port,
        pid: remit.pid,
        capacity: capacity.requestsPerSecond,
        share: shares.flood,
      }),
    );
  }
  results.note(RECOVERY, median(rounds.map((round) => round.recoverySeconds)), 's');
  const processor = rounds.map(({ cpuUsPerSecond }, round) => {
    const { cpuUs, requestsPerSecond } = capacities[round] ?? { cpuUs: NaN, requestsPerSecond: NaN };
    return cpuUsPerSecond / ((cpuUs ?? NaN) * requestsPerSecond);
  });
  results.note('overload: processor time of Remit, of that at capacity', median(processor), '');
  const due = rounds.reduce((sum, round) => sum + round.due, 0);
  noteAnswers(results, { hits: rounds.flatMap(({ during }) => during), due });
  await noteEnvoysOwn(results, envoy);
  await measureSocketOverload(bench, remit);
  await remit.end();
  await measureNeighbour(bench, { shares, capacity: median(capacities.map((run) => run.requestsPerSecond)) });
}

const seriesOf = ([contender, scenario]: readonly [string, string]) => ({ contender, scenario });

interface UnderLoad {
  readonly port: number;
  readonly pid: number;
  readonly capacity: number;
  readonly share: ProcessorShare;
}

/** Half of the capacity all the time, and for some seconds ten times the capacity. */
async function overloaded(bench: Bench, load: Load, { port, pid, capacity, share }: UnderLoad): Promise<Round> {
  const { effort, go, stage } = bench;
  const { seconds } = effort;
  const total = Math.round(Math.min(MOST_PER_SECOND, TIMES * capacity));
  const rate = Math.max(1, Math.round(capacity * STEADY));
  const options = { binary: go.vegeta, port, isHttp2: true, maxBodyBytes: MAX_BODY_BYTES };
  const before = cpuMicroseconds(pid);
  const [excess, steady, spent] = await Promise.all([
    flood(stage, load, { port, share, rate: total - rate, seconds }),
    attack(stage, load, { ...options, rate, seconds: seconds + AFTER_SECONDS }),
    delay(seconds * 1000).then(() => cpuMicroseconds(pid) - before),
  ]);
  const fromMs = excess[0]?.atMs ?? 0;
  const untilMs = fromMs + seconds * 1000;
  const during = [...excess, ...steady.filter(({ atMs }) => atMs >= fromMs && atMs < untilMs)];
  during.sort((a, b) => a.atMs - b.atMs);
  // Answers after the overload do not count as throughput during it.
  const good = during.filter(({ atMs, tookMs, status }) => status === 200 && atMs + tookMs < untilMs);
  const run = { ...runOf(during, { rate: total, seconds }), requestsPerSecond: good.length / seconds };
  kept(bench, seriesOf(overload.during), run);
  const after = steady.filter(({ atMs }) => atMs >= untilMs);
  kept(bench, seriesOf(overload.after), runOf(after, { rate, seconds: AFTER_SECONDS }));
  return {
    during,
    due: total * seconds,
    recoverySeconds: recoverySeconds(after, untilMs),
    cpuUsPerSecond: spent / seconds,
  };
}
