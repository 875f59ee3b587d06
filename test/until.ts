import { until as untilWithin } from '../src/dev/until.ts';

/** Long enough for a loaded machine, and shorter than most test timeouts, so that a failure names what was awaited. */
const WITHIN_MS = 90_000;

/**
 * Polls until a condition holds or a value exists.
 *
 * @returns the result of `attempt`, once that is neither `false` nor `undefined`; rejects after 90 s, or `withinMs`
 */
export const until = <T>(
  attempt: () => T | Promise<T>,
  { what = String(attempt), withinMs = WITHIN_MS }: { readonly what?: string; readonly withinMs?: number } = {},
): Promise<Exclude<T, false | undefined>> => untilWithin(attempt, { what, withinMs });
