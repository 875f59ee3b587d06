/** What is measured of this process at each scrape: memory, CPU, event loop delay and versions. */

import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { remitVersion } from '../../config/version.ts';
import type { Metrics } from './metrics.ts';

/**
 * A delay of this length is always seen, a shorter delay in part. At 10 ms, sampling takes most of the CPU time of an idle
 * process.
 */
const RESOLUTION_MS = 50;
const percentiles = [
  ['p50', 50],
  ['p99', 99],
  ['max', 100],
] as const;

/**
 * Processor time of this thread, in milliseconds. Before Node.js 23.9, which cannot measure it, the monotonic clock, which also
 * counts the work of other threads and programs.
 */
export function threadProcessorMs(): number {
  // Node.js 22 has no `threadCpuUsage`, whatever its types say.
  if (!('threadCpuUsage' in process)) return performance.now();
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** Measures this process at each scrape: memory, CPU, event loop delay and versions. The returned function stops it. */
export function measureProcess(metrics: Metrics): () => void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const cpu = metrics.cpuSeconds.of({});
  let countedSeconds = 0;
  metrics.startTime.of({}).set(performance.timeOrigin / 1000);
  metrics.buildInfo.of({ version: remitVersion(), node: process.versions.node }).set(1);
  metrics.beforeScrape(() => {
    const { user, system } = process.cpuUsage();
    const usedSeconds = (user + system) / 1e6;
    cpu.inc(usedSeconds - countedSeconds);
    countedSeconds = usedSeconds;
    metrics.residentBytes.of({}).set(process.memoryUsage.rss());
    for (const [stat, percentile] of percentiles) {
      // The histogram's values include its own timer interval.
      const seconds = delay.percentile(percentile) / 1e9 - RESOLUTION_MS / 1000;
      metrics.eventLoopDelay.of({ stat }).set(Math.max(0, seconds));
    }
    delay.reset();
  });
  return () => void delay.disable();
}
