/** The labels of a metric: a closed list of values, or `null` for an open label, whose series are limited in number. */
export type Labels = Readonly<Record<string, readonly string[] | null>>;

/** A value per label; for a closed label a value of its list. */
export type LabelValues<L extends Labels> = {
  readonly [K in keyof L]: L[K] extends readonly (infer V extends string)[] ? V : string;
};

/** The table entry of a metric. */
export interface MetricSpec<L extends Labels = Labels> {
  readonly name: string;
  /** One sentence without a final period. */
  readonly help: string;
  readonly labels: L;
}

/** A trace in which a value was measured. */
export interface Exemplar {
  /** 32 hex digits. */
  readonly traceId: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** A line of the exposition: suffix of the name, formatted labels, value. */
export interface MetricSample {
  readonly suffix: '' | '_total' | '_bucket' | '_sum' | '_count';
  readonly labels: string;
  readonly value: number;
  readonly exemplar?: Exemplar & { readonly value: number };
}

/** The current value of one series, with its labels. */
export interface Point<V> {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: V;
}

/** The counts of one series of a histogram. */
export interface Distribution {
  /** Upper bounds of the buckets, ascending and without infinity. */
  readonly bounds: readonly number[];
  /** Values per bucket, not cumulative; one bucket more than there are bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

interface AnyFamily {
  /** Without `_total`. */
  readonly name: string;
  readonly help: string;
  /** For a scrape. */
  samples(): readonly MetricSample[];
}

/** A metric of numbers. */
export interface NumberFamily extends AnyFamily {
  readonly type: 'counter' | 'gauge';
  /** For a push. */
  points(): readonly Point<number>[];
}

/** A metric of distributions. */
export interface DistributionFamily extends AnyFamily {
  readonly type: 'histogram';
  /** For a push. */
  points(): readonly Point<Distribution>[];
}

/** A metric with all of its series. */
export type Family = NumberFamily | DistributionFamily;

/** The labels of one series: as text for a scrape, and by name. */
export interface SeriesLabels {
  readonly text: string;
  readonly values: Readonly<Record<string, string>>;
}

/** Most series per metric; further series are counted with the value `other` in every label. */
const MAX_SERIES = 4096;
const OVERFLOW = 'other';

/** The series of a metric by label values. Created at start if there are no labels or all are closed. */
export class SeriesOf<S> {
  readonly #names: readonly string[];
  readonly #make: (labels: SeriesLabels) => S;
  #series: S[] = [];
  #root: Branch<S> = newBranch();

  constructor(labels: Labels, make: (labels: SeriesLabels) => S) {
    this.#names = Object.keys(labels);
    this.#make = make;
    for (const values of combinations(Object.values(labels))) this.#at(values);
  }

  of(labels: Readonly<Record<string, string>>): S {
    let branch: Branch<S> | undefined = this.#root;
    for (const name of this.#names) branch = branch?.values.get(labels[name] ?? OVERFLOW);
    return branch?.series ?? this.#at(this.#names.map((name) => labels[name] ?? OVERFLOW));
  }

  all(): Iterable<S> {
    return this.#series;
  }

  clear(): void {
    this.#series = [];
    this.#root = newBranch();
  }

  #at(values: readonly string[]): S {
    const kept = this.#series.length < MAX_SERIES ? values : values.map(() => OVERFLOW);
    const branch = this.#branchAt(kept);
    branch.series ??= this.#added(kept);
    return branch.series;
  }

  #branchAt(values: readonly string[]): Branch<S> {
    let branch = this.#root;
    for (const value of values) branch = getOrAdd(branch.values, value);
    return branch;
  }

  #added(values: readonly string[]): S {
    const pairs = this.#names.map((name, index) => [name, values[index] ?? ''] as const);
    const series = this.#make({
      text: pairs.map(([name, value]) => `${name}="${escaped(value)}"`).join(','),
      values: Object.fromEntries(pairs),
    });
    this.#series.push(series);
    return series;
  }
}

/** A level of the label tree: the series with these values, and branches by the next label's value. */
interface Branch<S> {
  readonly values: Map<string, Branch<S>>;
  series: S | undefined;
}

const newBranch = <S>(): Branch<S> => ({ values: new Map(), series: undefined });

function getOrAdd<S>(values: Map<string, Branch<S>>, value: string): Branch<S> {
  const known = values.get(value);
  if (known !== undefined) return known;
  const branch = newBranch<S>();
  values.set(value, branch);
  return branch;
}

/** All combinations of closed labels; none if a label is open. */
const combinations = (labels: readonly (readonly string[] | null)[]): readonly (readonly string[])[] =>
  labels.reduce<readonly (readonly string[])[]>(
    (found, values) => (values === null ? [] : found.flatMap((before) => values.map((value) => [...before, value]))),
    [[]],
  );

const escaped = (value: string): string =>
  value.toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
