/** Polls until a condition holds. */

/** Polling starts often and slows down, so that it does not block what is awaited. */
const FIRST_MS = 5;
const MOST_MS = 200;

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
    const found = await attempt();
    // `false` and `undefined` are excluded right here.
    if (found !== false && found !== undefined) return found as Exclude<T, false | undefined>;
    if (performance.now() > endMs) throw new Error(`did not come within ${withinMs / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
