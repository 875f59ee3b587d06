/** What a stage threw for one of many. */
export class Fault {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** What a stage came to for one of many. */
export type Isolated<T> = T | Fault;

/**
 * One stage for each of many. What it throws for one concerns that one alone, which is then left out of the stages that follow.
 *
 * Checks of one turn go through a stage together because the code of all stages does not fit into the first caches of a
 * processor: measured, a check costs a fifth to a quarter less this way, at eight at a time.
 */
export function mapIsolated<A, B>(items: readonly Isolated<A>[], run: (item: A, index: number) => B): Isolated<B>[] {
  const results: Isolated<B>[] = [];
  for (let index = 0; index < items.length; index += 1) results.push(ranFor(items[index] as Isolated<A>, index, run));
  return results;
}

function ranFor<A, B>(item: Isolated<A>, index: number, run: (item: A, index: number) => B): Isolated<B> {
  if (item instanceof Fault) return item;
  try {
    return run(item, index);
  } catch (error) {
    return new Fault(error);
  }
}
