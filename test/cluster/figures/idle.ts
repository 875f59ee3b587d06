import { setTimeout as delay } from 'node:timers/promises';
import { PAUSE_IMAGE } from '../machine/layout.ts';
import type { Cluster } from '../cluster.ts';
import { TOOLS } from '../demo.ts';
import { median } from '../../bench/statistics.ts';
import { AUTHORITY } from './loads.ts';
import { metricsOf } from './metrics.ts';
import { meterOf, watch } from './usage.ts';
import type { Taken } from './usage.ts';

/** What sidecars cost that nobody asks. */
export interface IdleFigure {
  readonly sidecars: number;
  /** The middle one of them, and the one that took most. */
  readonly workingSetMiB: { readonly median: number; readonly most: number };
  readonly cpuSecondsAMinute: { readonly median: number; readonly most: number };
  /** The authority, by how many follow it. */
  readonly authority: readonly {
    readonly followers: number;
    readonly workingSetMiB: number;
    readonly cpuSecondsAMinute: number;
  }[];
}

/** Until a process that has started rests. */
const RESTED_MS = 20_000;
const LABEL = 'idle';

/** A pod of a program that does nothing, which gets a sidecar. */
export const idlePod = (name: string, cpuRequest: string): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name,
    namespace: TOOLS.namespace,
    labels: { app: LABEL },
    // Thirty times the default would be more than the node has.
    annotations: { 'remit.dev/cpu-request': cpuRequest },
  },
  spec: {
    terminationGracePeriodSeconds: 5,
    containers: [
      {
        name: 'pause',
        image: PAUSE_IMAGE,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 65_534,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        },
      },
    ],
  },
});

/** Measures so many sidecars on the node for a minute, and the authority before and with them. */
export async function measureIdle(
  cluster: Cluster,
  { count, seconds }: { readonly count: number; readonly seconds: number },
): Promise<IdleFigure> {
  const authority = await meterOf(cluster, AUTHORITY);
  const followers = async (): Promise<number> =>
    (await metricsOf(cluster, AUTHORITY)).valueOf('remit_authority_sidecars');
  const fewFollowers = await followers();
  const few = (await watch({ authority }, seconds)).authority;
  const names = Array.from({ length: count }, (_, at) => `idle-${at}`);
  await cluster.apply(...names.map((name) => idlePod(name, '10m')));
  const ready = ['wait', 'pod', '-l', `app=${LABEL}`, '--for=condition=Ready', '--timeout=600s'];
  await cluster.run(['kubectl', '-n', TOOLS.namespace, ...ready]);
  await delay(RESTED_MS);
  const meters = Object.fromEntries(
    await Promise.all(
      names.map(async (pod) => {
        const name = { namespace: TOOLS.namespace, pod, container: 'remit' };
        return [pod, await meterOf(cluster, name)] as const;
      }),
    ),
  );
  const manyFollowers = await followers();
  const { authority: many, ...sidecars } = await watch({ ...meters, authority }, seconds);
  await cluster.kubectl(`-n ${TOOLS.namespace} delete pods -l app=${LABEL} --wait=true`);
  const all = Object.values<Taken>(sidecars);
  const spread = (valueOf: (one: Taken) => number) => ({
    median: median(all.map(valueOf)),
    most: Math.max(...all.map(valueOf)),
  });
  const rowOf = (count: number, taken: Taken | undefined) => ({
    followers: count,
    workingSetMiB: taken?.workingSetMiB ?? NaN,
    cpuSecondsAMinute: taken === undefined ? NaN : aMinute(taken),
  });
  return {
    sidecars: count,
    workingSetMiB: spread(({ workingSetMiB }) => workingSetMiB),
    cpuSecondsAMinute: spread(aMinute),
    authority: [rowOf(fewFollowers, few), rowOf(manyFollowers, many)],
  };
}

const aMinute = ({ cpuSeconds, seconds }: Taken): number => (cpuSeconds / seconds) * 60;
