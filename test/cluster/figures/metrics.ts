import type { Cluster } from '../cluster.ts';
import type { ContainerName } from './usage.ts';

/** Metrics of a Remit in a pod: the sum of all series of a name. */
export interface Metrics {
  /** The value of a metric; NaN if there is none of this name. */
  valueOf(name: string): number;
  /** Checks that took at most so many seconds, by the bounds of the histogram. */
  readonly checks: readonly { readonly withinSeconds: number; readonly count: number }[];
}

const READ = 'fetch(process.argv[1]).then((got) => got.text()).then((text) => process.stdout.write(text))';

/** Reads them at the address of the pod, as Prometheus would. */
export async function metricsOf(
  cluster: Cluster,
  { namespace, pod }: Omit<ContainerName, 'container'>,
): Promise<Metrics> {
  const address = await cluster.kubectl(`-n ${namespace} get pod ${pod} -o jsonpath={.status.podIP}`);
  const text = await cluster.run([process.execPath, '-e', READ, `http://${address}:9471/metrics`]);
  const series = text
    .split('\n')
    .map((line) => /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line))
    .flatMap((found) => (found === null ? [] : [{ name: found[1], labels: found[2] ?? '', value: Number(found[3]) }]));
  return {
    valueOf: (name) => {
      const values = series.filter((one) => one.name === name).map(({ value }) => value);
      return values.length === 0 ? NaN : values.reduce((sum, value) => sum + value, 0);
    },
    checks: series
      .filter(({ name }) => name === 'remit_check_duration_seconds_bucket')
      .map(({ labels, value }) => {
        const bound = /le="([^"]+)"/.exec(labels)?.[1];
        return { withinSeconds: bound === '+Inf' ? Infinity : Number(bound), count: value };
      }),
  };
}

/** The bound of the histogram that a share of the checks between two readings kept, in milliseconds. */
export function checkMs(share: number, before: Metrics, after: Metrics): number {
  const counts = after.checks.map(({ count, withinSeconds }, at) => ({
    withinSeconds,
    count: count - (before.checks[at]?.count ?? 0),
  }));
  const all = counts.at(-1)?.count ?? 0;
  return (counts.find(({ count }) => count >= all * share)?.withinSeconds ?? NaN) * 1_000;
}
