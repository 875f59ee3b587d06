import { goBinaries } from './go-servers.ts';
import type { GoBinaries } from './go-servers.ts';
import type { Run } from './load.ts';
import { newDomain } from './remit-under-test.ts';
import type { Domain } from './remit-under-test.ts';
import { Results } from './results.ts';
import { cpuMicroseconds, Stage } from './stage.ts';

/** The effort of a run. */
export interface Effort {
  /** Rounds: each measurement is repeated this often, in turn with the others. */
  readonly rounds: number;
  /** Duration of one measurement. */
  readonly seconds: number;
  /** Most live tasks in the sweep over tasks. */
  readonly tasks: number;
  /** Numbers of sidecars of the fleet, ascending. */
  readonly streams: readonly number[];
  /** Roles measured beside a steady load. */
  readonly roles: readonly string[];
  readonly soakSeconds: number;
  /** Checkouts whose costs are measured; the first is what the others are compared with. */
  readonly builds: readonly string[];
}

/** What every section measures with. */
export interface Bench {
  readonly stage: Stage;
  readonly domain: Domain;
  readonly go: GoBinaries;
  /** Destination of spans of Remit and of every Envoy. */
  readonly collectorPort: number;
  readonly effort: Effort;
  readonly results: Results;
  readonly say: (line: string) => void;
}

/** Builds what is missing and starts what every section needs. The stage ends it. */
export async function openBench(stage: Stage, effort: Effort, say: (line: string) => void): Promise<Bench> {
  const go = await goBinaries(say);
  const { said } = await stage.start([go.sink], { ready: 'ready on' });
  const collectorPort = Number(said.split(' ').at(-1));
  return { stage, domain: await newDomain(), go, collectorPort, effort, results: new Results(), say };
}

/** Contender and scenario of a run. */
export interface Measured {
  readonly contender: string;
  readonly scenario: string;
  /** The process under load; `null` where there is none. */
  readonly pid: number | null;
}

/** Makes one run, with the processor time of the process under load; stores and prints the result. */
export async function measure(bench: Bench, of: Measured, run: () => Promise<Run>): Promise<Run> {
  const before = of.pid === null ? 0 : cpuMicroseconds(of.pid);
  const made = await run();
  const spent = of.pid === null ? null : cpuMicroseconds(of.pid) - before;
  return kept(bench, of, { ...made, cpuUs: spent === null ? null : spent / made.requests });
}

/** Stores a run among the results, and prints it. */
export function kept(bench: Bench, of: Omit<Measured, 'pid'>, run: Run): Run {
  bench.results.add(of, run);
  const { requestsPerSecond: rate, p50Ms, p99Ms, failed } = run;
  const latency = `p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms`;
  const name = `${of.scenario}: ${of.contender}`;
  bench.say(`${name.padEnd(48)} ${rate.toFixed(0).padStart(6)}/s  ${latency}${failed > 0 ? `  ${failed} failed` : ''}`);
  return run;
}
