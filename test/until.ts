/** For a machine that does other work too; less than most tests have, so that what did not come is what their failure names. */
const WITHIN_MS = 90_000;
/** Looked at often at first, and then ever more rarely, so that looking does not hold up what is waited for. */
const FIRST_MS = 5;
const MOST_MS = 200;

/**
 * Waits until something holds, or is there.
 *
 * @returns what `attempt` gives, once that is neither `false` nor `undefined`; rejects after 90 s, or `withinMs`
 */
export async function until<T>(
  attempt: () => T | Promise<T>,
  { what = String(attempt), withinMs = WITHIN_MS }: { readonly what?: string; readonly withinMs?: number } = {},
): Promise<Exclude<T, false | undefined>> {
  const endMs = performance.now() + withinMs;
  for (let waitMs = FIRST_MS; ; waitMs = Math.min(MOST_MS, waitMs * 1.5)) {
    const found = await attempt();
    if (found !== false && found !== undefined) return found as Exclude<T, false | undefined>;
    if (performance.now() > endMs) throw new Error(`did not come within ${withinMs / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
