import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { mustBeAllowedSoon } from './load.ts';
import { reuse } from './loads.ts';
import { memoryOf } from './memory.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { policiesWithoutHistory, startSidecar } from './sidecar-under-test.ts';
import { slope } from './statistics.ts';
import { vegeta } from './vegeta.ts';

const RATE = 1_000;
const MOST_WINDOW_SECONDS = 60;
/** Least number of windows, to see whether memory or latency grows. */
const LEAST_WINDOWS = 6;

/** Names of the figures: memory after each window. */
const residentAfter = (seconds: number): string => `soak: resident after ${seconds} s`;

/** The growth of memory over the last three quarters of the soak: the first one fills caches and the heap. */
const GROWTH = 'soak: growth of resident memory';

/** The scenario of the whole soak, each window a run. */
const SOAK = `soak at ${RATE}/s`;

/** Memory and latency over a long time at a fixed rate, in windows with new tokens: of one process for all, with spans. */
export async function measureSoak(bench: Bench): Promise<void> {
  const { collectorPort, domain, stage } = bench;
  const remit = await RemitUnderTest.start(stage, domain, { name: 'soak', collectorPort });
  await soak(bench, { contender: 'Remit', remit, issuer: remit });
  bench.results.note('soak: spans dropped', await remit.metric('remit_spans_dropped_total'), '');
  await remit.end();
}

/** The same of a sidecar beside its authority. */
export async function measureSidecarSoak(bench: Bench): Promise<void> {
  const policies = await policiesWithoutHistory(bench, 'policies-of-soak');
  const { authority, sidecar } = await startSidecar(bench, { policies });
  await soak(bench, { contender: 'Remit, sidecar', remit: sidecar, issuer: authority });
  for (const remit of [sidecar, authority]) await remit.end();
}

interface Soaked {
  readonly contender: string;
  readonly remit: RemitUnderTest;
  /** Issuer of its tokens. */
  readonly issuer: RemitUnderTest;
}

async function soak(bench: Bench, { contender, remit, issuer }: Soaked): Promise<void> {
  const { collectorPort, effort, stage } = bench;
  const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
  const windowSeconds = Math.min(MOST_WINDOW_SECONDS, Math.ceil(effort.soakSeconds / LEAST_WINDOWS));
  const windows: { readonly x: number; readonly y: number }[] = [];
  for (let second = windowSeconds; second <= effort.soakSeconds; second += windowSeconds) {
    const load = await reuse(bench, issuer);
    await mustBeAllowedSoon(envoy.address.port, load);
    await measure(bench, { contender, scenario: SOAK, pid: remit.pid }, () =>
      vegeta(stage, load, { binary: bench.go.vegeta, port: envoy.address.port, rate: RATE, seconds: windowSeconds }),
    );
    const { resident, anonymous } = memoryOf(remit.pid);
    windows.push({ x: second / 3_600, y: resident });
    bench.results.note(`${contender}: ${residentAfter(second)}`, resident, 'MiB');
    bench.say(`  ${second} s: ${resident.toFixed(0)} MiB resident, ${anonymous.toFixed(0)} anonymous`);
  }
  const growth = slope(windows.slice(Math.floor(windows.length / 4)));
  bench.results.note(`${contender}: ${GROWTH}`, growth, 'MiB an hour');
  bench.say(`  growth: ${growth.toFixed(1)} MiB an hour (least squares, without the first quarter)`);
}
