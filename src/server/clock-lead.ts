import { MAX_STEP_MS } from '../state/clock-floor.ts';
import type { Authority } from '../state/authority.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { after } from '../runtime/timers.ts';

/** How often the clocks are compared: what a floor follows has to be seen again and again. */
const LOOK_MS = 1_000;

/**
 * Compares the wall clock with the floor of the state each second: says when they come to disagree by more than 5 s and when they
 * agree again, and measures by how much before each scrape. The result ends it.
 */
export function followClockLead(
  state: Pick<Authority, 'clocks'>,
  { log, metrics }: { readonly log: (line: string) => void; readonly metrics: Metrics },
): () => void {
  const leadMs = (): number => {
    const { wallMs, floorMs } = state.clocks();
    return wallMs - floorMs;
  };
  metrics.beforeScrape(() => metrics.clockLead.of({}).set(leadMs() / 1_000));
  let isTold = false;
  let cancel: (() => void) | null = null;
  const look = (): void => {
    const lead = leadMs();
    const isOff = Math.abs(lead) > MAX_STEP_MS;
    if (isOff !== isTold) log(isOff ? disagreement(lead) : 'the wall clock agrees with the time that has passed again');
    isTold = isOff;
    cancel = after(LOOK_MS, look);
  };
  look();
  return () => cancel?.();
}

const disagreement = (leadMs: number): string => {
  const seconds = Math.round(Math.abs(leadMs) / 1_000);
  return leadMs > 0
    ? `the wall clock is \`${seconds}\` s ahead of the time that has passed: what it says is over is denied, and nothing is ended for good unless that lasts for 15 minutes`
    : `the wall clock is \`${seconds}\` s behind the time that has passed: tasks and tokens end by the latter`;
};
