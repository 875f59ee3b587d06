/** Compares the wall clock with the floor of the state, each second. */
import { MAX_STEP_MS } from '../../core/state/clock-floor.ts';
import type { Authority } from '../../core/state/authority.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import { after } from '../../core/runtime/timers.ts';

/** Interval between comparisons of the clocks. A floor that follows the wall clock must see it repeatedly. */
const LOOK_MS = 1_000;

/**
 * Compares the wall clock with the floor of the state each second. Logs when they begin to differ by more than 5 s and when they agree
 * again, and sets the metric before each scrape. The returned function stops it.
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
    if (isOff !== isTold) log(isOff ? disagreement(lead) : 'the wall clock agrees with the elapsed time again');
    isTold = isOff;
    cancel = after(LOOK_MS, look);
  };
  look();
  return () => cancel?.();
}

const disagreement = (leadMs: number): string => {
  const seconds = Math.round(Math.abs(leadMs) / 1_000);
  return leadMs > 0
    ? `the wall clock is \`${seconds}\` s ahead of the elapsed time: what has expired by it is denied, but nothing is ended for good unless this lasts 15 minutes`
    : `the wall clock is \`${seconds}\` s behind the elapsed time: tasks and tokens expire by the elapsed time`;
};
