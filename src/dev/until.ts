/** Polls until a condition holds. */

/** Polling starts often and slows down, so that it does not block what is awaited. */
const FIRST_MS = 5;
const MOST_MS = 200;
/** After an attempt that takes its time, such as a command, it waits as long again, this at most: the processor is for what is awaited. */
const MOST_AGAIN_MS = 1_000;

/**
 * Polls until a condition holds or a value exists.
 *
 * @returns the result of `attempt`, once that is neither `false` nor `undefined`; rejects after `withinMs`, and names `what` was awaited
 */
export async function until<T>(
  attempt: () => T | Promise<T>,
  { what, withinMs }: { readonly what: string; readonly withinMs: number },
): Promise<Exclude<T, false | undefined>> {
  const endMs = performance.now() + withinMs;
  for (let waitMs = FIRST_MS; ; waitMs = Math.min(MOST_MS, waitMs * 1.5)) {
    const beganMs = performance.now();
    const found = await attempt();
    // `false` and `undefined` are excluded right here.
    if (found !== false && found !== undefined) return found as Exclude<T, false | undefined>;
    if (performance.now() > endMs) throw new Error(`did not come within ${withinMs / 1_000} s: ${what}`);
    const againMs = Math.min(performance.now() - beganMs, MOST_AGAIN_MS);
    await new Promise((resolve) => setTimeout(resolve, Math.max(waitMs, againMs)));
  }
}
