/**
 * Maps items by an asynchronous function, at most `atOnce` of them at the same time. Results are in the order of the items. Rejects as
 * soon as any call does; no further item is begun then.
 */
export async function mapSeveral<T, R>(
  items: readonly T[],
  atOnce: number,
  map: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  const waiting = items.entries();
  let hasFailed = false;
  const work = async (): Promise<void> => {
    for (const [index, item] of waiting) {
      if (hasFailed) return;
      results[index] = await map(item);
    }
  };
  const working = Array.from({ length: Math.min(atOnce, items.length) }, () =>
    work().catch((error: unknown) => {
      hasFailed = true;
      throw error;
    }),
  );
  await Promise.all(working);
  return results;
}
