import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster.ts';
import { TOOLS } from '../demo.ts';
import { endLoad, startLoad } from '../load.ts';
import { checkMs, metricsOf } from './metrics.ts';
import { toolPod } from './tools.ts';
import { meterOf, watch } from './usage.ts';

/** Sidecar and authority at a rate of calls. */
export interface LoadFigure {
  /** Calls a second that were asked of the agents. */
  readonly asked: number;
  /** Checks a second that the sidecar answered. */
  readonly reached: number;
  /** How many calls the agents had another answer for than 200, from start to end. */
  readonly notAllowed: Readonly<Record<string, number>>;
  /** The bounds of the histogram that half and 99 % of the checks kept. */
  readonly checkP50Ms: number;
  readonly checkP99Ms: number;
  readonly sidecar: RoleFigure;
  readonly authority: RoleFigure;
}

/** What one Remit took. */
export interface RoleFigure {
  readonly workingSetMiB: number;
  /** Processor time of a second, in thousandths of a core. */
  readonly milliCores: number;
  /** Of all that it did in that time, for each call. */
  readonly microsecondsACall: number;
}

const WARM_MS = 10_000;
/** More than one agent can make: each is a `remit run` with a program behind it. */
const MOST_OF_ONE_AGENT = 350;
export const AUTHORITY = { namespace: 'remit', pod: 'remit-authority-0', container: 'remit' };

/** Measures one rate. The calls are repeated uses of a token for each agent, through Envoy with mutual TLS. */
export async function measureLoad(
  cluster: Cluster,
  { rate, seconds }: { readonly rate: number; readonly seconds: number },
): Promise<LoadFigure> {
  const sidecar = { namespace: TOOLS.namespace, pod: await toolPod(cluster), container: 'remit' };
  const agents = Math.ceil(rate / MOST_OF_ONE_AGENT);
  const loads = await Promise.all(Array.from({ length: agents }, () => startLoad(cluster, { rate: rate / agents })));
  await delay(WARM_MS);
  const meters = { sidecar: await meterOf(cluster, sidecar), authority: await meterOf(cluster, AUTHORITY) };
  const before = await metricsOf(cluster, sidecar);
  const taken = await watch(meters, seconds);
  const after = await metricsOf(cluster, sidecar);
  const results = await Promise.all(loads.map((load) => endLoad(cluster, load)));
  await cluster.kubectl('-n agents delete pods --all --wait=false');
  const count = 'remit_check_duration_seconds_count';
  // Reading metrics takes a moment, so the sidecar's own count covers a little more than the looks at the control groups.
  const calls = after.valueOf(count) - before.valueOf(count);
  const notAllowed: Record<string, number> = {};
  for (const [answer, times] of results.flatMap(({ answers }) => Object.entries(answers)))
    if (answer !== '200') notAllowed[answer] = (notAllowed[answer] ?? 0) + times;
  const figureOf = ({ cpuSeconds, seconds: lasted, workingSetMiB }: (typeof taken)['sidecar']): RoleFigure => ({
    workingSetMiB,
    milliCores: (cpuSeconds / lasted) * 1_000,
    microsecondsACall: (cpuSeconds / calls) * 1e6,
  });
  return {
    asked: rate,
    reached: calls / taken.sidecar.seconds,
    notAllowed,
    checkP50Ms: checkMs(0.5, before, after),
    checkP99Ms: checkMs(0.99, before, after),
    sidecar: figureOf(taken.sidecar),
    authority: figureOf(taken.authority),
  };
}
