/** The log of a record, its number and its instant. */
export interface LedgerPlace {
  /** Origin of the log of a sidecar; `null` for the ledger itself. */
  readonly log: string | null;
  readonly seq: number;
  /** Milliseconds since the Unix epoch, as the record claims. */
  readonly at: number;
}

/** A count of records, with the first and the last. */
export interface CountedRecords {
  readonly count: number;
  /** `null` if the count is 0. */
  readonly first: LedgerPlace | null;
  readonly last: LedgerPlace | null;
}

/** A count of zero. */
export const none: CountedRecords = { count: 0, first: null, last: null };

/** Whether a record is earlier: by its number within a log, by its instant across logs. */
const isBefore = (one: LedgerPlace, other: LedgerPlace): boolean =>
  one.log === other.log ? one.seq < other.seq : one.at < other.at;

const earlier = (one: LedgerPlace | null, other: LedgerPlace | null): LedgerPlace | null =>
  one === null || (other !== null && isBefore(other, one)) ? other : one;

const later = (one: LedgerPlace | null, other: LedgerPlace | null): LedgerPlace | null =>
  one === null || (other !== null && isBefore(one, other)) ? other : one;

/** Adds a record. */
export const oneMore = ({ count, first, last }: CountedRecords, place: LedgerPlace): CountedRecords => ({
  count: count + 1,
  first: earlier(first, place),
  last: later(last, place),
});

/** How a record is named: by its number, in the log of a sidecar with its origin before it. */
export type RecordRef = number | string;

/** The name of a record. */
export const refOf = ({ log, seq }: Pick<LedgerPlace, 'log' | 'seq'>): RecordRef =>
  log === null ? seq : `${log}#${seq}`;

/** The sum of several counts. */
export const totalOf = (all: readonly CountedRecords[]): CountedRecords =>
  all.reduce(
    (sum, { count, first, last }) => ({
      count: sum.count + count,
      first: earlier(sum.first, first),
      last: later(sum.last, last),
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
