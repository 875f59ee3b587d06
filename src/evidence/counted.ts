/** A record's number and instant. */
export interface LedgerPlace {
  readonly seq: number;
  /** Milliseconds since the Unix epoch, as the record claims. */
  readonly at: number;
}

/** A count of records, with the first and the last. */
export interface CountedRecords {
  readonly count: number;
  /** `null` where the count is 0. */
  readonly first: LedgerPlace | null;
  readonly last: LedgerPlace | null;
}

/** A count of zero. */
export const none: CountedRecords = { count: 0, first: null, last: null };

/** Adds a record, in ledger order. */
export const oneMore = ({ count, first }: CountedRecords, place: LedgerPlace): CountedRecords => ({
  count: count + 1,
  first: first ?? place,
  last: place,
});

/** The sum of several counts. */
export const totalOf = (all: readonly CountedRecords[]): CountedRecords =>
  all.reduce(
    (sum, { count, first, last }) => ({
      count: sum.count + count,
      first: sum.first === null || (first !== null && first.seq < sum.first.seq) ? first : sum.first,
      last: sum.last === null || (last !== null && last.seq > sum.last.seq) ? last : sum.last,
    }),
    none,
  );

/** Counts by name in bounded memory: names beyond `max` are counted as `others`. */
export class CountedByName {
  readonly #max: number;
  readonly #byName = new Map<string, CountedRecords>();
  #others: CountedRecords = none;

  constructor(max: number) {
    this.#max = max;
  }

  add(name: string, place: LedgerPlace): void {
    const counted = this.#byName.get(name);
    if (counted === undefined && this.#byName.size >= this.#max) this.#others = oneMore(this.#others, place);
    else this.#byName.set(name, oneMore(counted ?? none, place));
  }

  /** The counts, most frequent first. */
  found(): {
    readonly named: readonly (CountedRecords & { readonly name: string })[];
    readonly others: CountedRecords;
  } {
    const named = Array.from(this.#byName, ([name, counted]) => ({ name, ...counted }));
    return {
      named: named.toSorted((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1)),
      others: this.#others,
    };
  }
}
