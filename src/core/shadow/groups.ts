/** A group of equal items: their count and some examples. */
export type Group<Alike, Example> = Alike & {
  readonly count: number;
  /** The first three and the last. */
  readonly examples: readonly Example[];
};

const MAX_GROUPS = 1000;
const FIRST_EXAMPLES = 3;

/**
 * Counts items by equality of their JSON, most frequent first. Holds 1,000 groups; further items count as `ungrouped`, since
 * callers choose parts of the items and must not fill the memory.
 */
export class Groups<Alike extends object, Example> {
  readonly #groups = new Map<string, { readonly alike: Alike; count: number; readonly examples: Example[] }>();
  #ungrouped = 0;

  add(alike: Alike, example: Example): void {
    const key = JSON.stringify(alike);
    const group = this.#groups.get(key);
    if (group !== undefined) {
      group.count += 1;
      group.examples.splice(FIRST_EXAMPLES, 1);
      group.examples.push(example);
    } else if (this.#groups.size < MAX_GROUPS) this.#groups.set(key, { alike, count: 1, examples: [example] });
    else this.#ungrouped += 1;
  }

  /** Removes all groups. */
  clear(): void {
    this.#groups.clear();
    this.#ungrouped = 0;
  }

  list(): { readonly groups: readonly Group<Alike, Example>[]; readonly ungrouped: number } {
    const groups = Array.from(this.#groups.values(), ({ alike, count, examples }) => ({
      count,
      examples: [...examples],
      ...alike,
    }));
    return { groups: groups.toSorted((a, b) => b.count - a.count), ungrouped: this.#ungrouped };
  }
}
