import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench } from './bench.ts';
import type { Run } from './load.ts';
import { audiences } from './loads.ts';
import { RemitUnderTest, tokenRequestOf } from './remit-under-test.ts';
import type { Domain, Intent } from './remit-under-test.ts';
import { cpuMicroseconds } from './stage.ts';

/** The calls of a task: the first use of its token and two more, each on another path. */
const CALLS = 3;

/** Who is asked about the calls of tasks. */
export interface AskedOfTasks {
  readonly name: string;
  /** Port of its Envoy. */
  readonly port: number;
  /** Where each task is declared and completed; or the tokens to call with in turn, if tasks only call. */
  readonly from: RemitUnderTest | readonly string[];
  /** The processes whose processor time counts. */
  readonly pids: readonly number[];
}

/** The intent of each task. */
export const taskIntent = ({ planner }: Domain): Intent => ({
  audience: audiences.files,
  actions: ['files.read'],
  by: planner,
});

/** A stage of a task as `go/tasks` prints it. */
interface PrintedStage {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

interface Printed extends Readonly<Record<'declare' | 'first' | 'again' | 'end' | 'task', PrintedStage>> {
  readonly seconds: number;
  readonly failed: number;
  /** The last failure. */
  readonly problem?: string;
}

/** A run of tasks: each is a request of it. */
export interface TasksRun extends Run {
  /** The median of each stage that was made, in milliseconds. */
  readonly stages: Readonly<Record<string, number>>;
}

/** One closed loop of `width` whole tasks at a time. Throws if none succeeded. */
export async function tasks(
  bench: Bench,
  { from, name, pids, port }: AskedOfTasks,
  { seconds, width }: { readonly seconds: number; readonly width: number },
): Promise<TasksRun> {
  const to = [`-envoy=http://127.0.0.1:${port}`, '-host=files.acme.test', `-xfcc=${bench.domain.planner.xfcc}`];
  const how = [`-calls=${CALLS}`, '-prefix=/v1/files/order-', `-workers=${width}`, `-duration=${seconds}s`];
  const words = [...(await sourceOf(bench, from)), ...to, ...how];
  const spent = (): number => pids.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0);
  const before = spent();
  const { stdout } = await promisify(execFile)(bench.go.tasks, words, { signal: bench.stage.signal });
  const { failed, problem, seconds: tookSeconds, task, ...rest } = JSON.parse(stdout) as Printed;
  if (task.count === 0) throw new Error(`${name}: no task succeeded: ${problem ?? 'none was made'}`);
  if (problem !== undefined) bench.say(`  ${name}: ${problem}`);
  const { declare, first, again, end } = rest;
  const stages = Object.entries({ declare, first, again, end }).filter(([, { count }]) => count > 0);
  return {
    requests: task.count + failed,
    requestsPerSecond: task.count / tookSeconds,
    failed,
    cpuUs: pids.length === 0 ? null : (spent() - before) / (task.count + failed),
    p50Ms: task.p50Ms,
    p99Ms: task.p99Ms,
    p999Ms: task.p999Ms,
    stages: Object.fromEntries(stages.map(([stage, { p50Ms }]) => [stage, p50Ms])),
  };
}

/** Where the tokens of tasks come from, as the load generator is told it. */
async function sourceOf({ domain, stage }: Bench, from: AskedOfTasks['from']): Promise<readonly string[]> {
  const fileWith = async (name: string, text: string): Promise<string> => {
    const file = join(stage.folder, name);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  };
  if (!(from instanceof RemitUnderTest)) return [`-tokens=${await fileWith('tasks.tokens', from.join('\n'))}`];
  const { certPem, keyPem } = domain.planner.svid;
  return [
    `-issuer=https://127.0.0.1:${from.issuerPort}`,
    `-intent=${tokenRequestOf(taskIntent(domain))}`,
    `-identity=${await fileWith('tasks.pem', certPem + keyPem)}`,
    `-bundle=${await fileWith('tasks-bundle.pem', domain.authority.bundlePem)}`,
  ];
}
