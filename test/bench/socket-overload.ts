import type { Bench } from './bench.ts';
import { capturedCheck } from './capture.ts';
import { AT_CAPACITY, h2load } from './h2load.ts';
import { reuse } from './loads.ts';
import type { RemitUnderTest } from './remit-under-test.ts';
import { median } from './statistics.ts';

/** Multiple of the checks that Remit accepts concurrently. */
const TIMES = 10;

/** The figure: remaining throughput at the socket with ten times as many concurrent checks as may wait. */
export const SOCKET_GOODPUT = 'overload: goodput at the socket, of the capacity there';

const ALLOWED = 'decision="allow"';

/**
 * The overload directly at the socket, where the generator takes little of the processor and no proxy has a bound: each refusal is followed
 * by the next check at once, so the load is as high as it can be refused.
 */
export async function measureSocketOverload(bench: Bench, remit: RemitUnderTest): Promise<void> {
  const { collectorPort, effort, results, say, stage } = bench;
  const message = await capturedCheck(stage, await reuse(bench, remit), { collectorPort });
  const run = async (underWay: number): Promise<{ readonly asked: number; readonly allowed: number }> => {
    const before = await remit.metric('remit_decisions_total', ALLOWED);
    const { requests } = await h2load(stage, { socket: remit.socket, seconds: effort.seconds, message, underWay });
    const allowed = (await remit.metric('remit_decisions_total', ALLOWED)) - before;
    return { asked: requests / effort.seconds, allowed: allowed / effort.seconds };
  };
  const shares: number[] = [];
  for (let round = 0; round < effort.rounds; round += 1) {
    const capacity = await run(AT_CAPACITY);
    const over = await run(AT_CAPACITY * TIMES);
    say(`  at the socket: ${text(capacity)} at capacity, ${text(over)} over it`);
    shares.push(over.allowed / capacity.allowed);
  }
  results.note(SOCKET_GOODPUT, median(shares), '');
}

const text = ({ asked, allowed }: { readonly asked: number; readonly allowed: number }): string =>
  `${allowed.toFixed(0)}/s allowed of ${asked.toFixed(0)}/s`;
