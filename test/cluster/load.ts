import { startAgent } from './demo.ts';
import type { AgentPod } from './demo.ts';
import type { Cluster } from './cluster.ts';
import { until } from '../until.ts';

/** What came of the calls of a load. */
export interface LoadResult {
  readonly made: number;
  /** How many took a second or more: those that `remit run` repeated, since they could not be decided, and those of a slow machine. */
  readonly late: number;
  /** How many calls had each answer: `200`, or status and reason. */
  readonly answers: Readonly<Record<string, number>>;
  /** The first fifty that were not 200, with the wall clock of each. */
  readonly failures: readonly { readonly atMs: number; readonly answer: string }[];
}

let count = 0;

/** Starts a pod that makes calls at a steady rate until {@link endLoad}, 10 minutes at most, and waits until it does. Returns its name. */
export async function startLoad(
  cluster: Cluster,
  { image, rate, server }: { readonly rate: number } & Pick<AgentPod, 'image' | 'server'>,
): Promise<string> {
  const name = `load-${(count += 1)}`;
  await startAgent(cluster, {
    name,
    program: 'load.mjs',
    environment: { RATE: String(rate), SECONDS: '600' },
    ...(image === undefined ? {} : { image }),
    ...(server === undefined ? {} : { server }),
  });
  await until(async () => (await cluster.tried(['kubectl', '-n', 'agents', 'logs', name])).stdout.includes('calling'), {
    what: 'a load that calls',
    // `remit run` may have to start again, and the kubelet waits longer each time.
    withinMs: 300_000,
  });
  return name;
}

/** Ends a load, and returns what came of its calls. */
export async function endLoad(cluster: Cluster, name: string): Promise<LoadResult> {
  // The program itself: `remit run` passes signals on.
  await cluster.kubectl(`-n agents exec ${name} -- /usr/bin/node -e process.kill(1)`);
  const result = await until(
    async () => /^\{"made".*$/m.exec((await cluster.tried(['kubectl', '-n', 'agents', 'logs', name])).stdout)?.[0],
    { what: 'the result of a load' },
  );
  return JSON.parse(result);
}
