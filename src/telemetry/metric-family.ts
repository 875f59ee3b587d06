/** The labels of a metric: the values each can have, or `null` for an open one, which the number of series bounds. */
export type Labels = Readonly<Record<string, readonly string[] | null>>;

/** A value for each label; of a closed one only what the table names. */
export type LabelValues<L extends Labels> = {
  readonly [K in keyof L]: L[K] extends readonly (infer V extends string)[] ? V : string;
};

/** What the table says of one metric. */
export interface MetricSpec<L extends Labels = Labels> {
  readonly name: string;
  /** One sentence without a final period. */
  readonly help: string;
  readonly labels: L;
}

/** A trace in which a measured value came about. */
export interface Exemplar {
  /** 32 hex digits. */
  readonly traceId: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** One line of the exposition: the suffix of the name, the labels as written, the value. */
export interface Sample {
  readonly suffix: '' | '_total' | '_bucket' | '_sum' | '_count';
  readonly labels: string;
  readonly value: number;
  readonly exemplar?: Exemplar & { readonly value: number };
}

/** A metric as it is scraped. */
export interface Family {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Without `_total`. */
  readonly name: string;
  readonly help: string;
  samples(): readonly Sample[];
}

/** Series of one metric at most; one more is counted as `other` in every label. */
const MAX_SERIES = 4096;
const OVERFLOW = 'other';

/** The series of one metric by their label values. Without labels, and where all are closed, they are there from the start. */
export class SeriesOf<S> {
  readonly #names: readonly string[];
  readonly #make: (labels: string) => S;
  readonly #series = new Map<string, S>();

  constructor(labels: Labels, make: (labels: string) => S) {
    this.#names = Object.keys(labels);
    this.#make = make;
    for (const values of combinations(Object.values(labels))) this.#at(values);
  }

  of(labels: Readonly<Record<string, string>>): S {
    return this.#at(this.#names.map((name) => labels[name] ?? OVERFLOW));
  }

  all(): Iterable<S> {
    return this.#series.values();
  }

  clear(): void {
    this.#series.clear();
  }

  #at(values: readonly string[]): S {
    const key = values.join('\0');
    const found = this.#series.get(key);
    if (found !== undefined) return found;
    if (this.#series.size >= MAX_SERIES) return this.#overflow();
    return this.#added(key, values);
  }

  #overflow(): S {
    const values = this.#names.map(() => OVERFLOW);
    const key = values.join('\0');
    return this.#series.get(key) ?? this.#added(key, values);
  }

  #added(key: string, values: readonly string[]): S {
    const series = this.#make(this.#names.map((name, index) => `${name}="${escaped(values[index] ?? '')}"`).join(','));
    this.#series.set(key, series);
    return series;
  }
}

/** Every combination of closed values; none where a label is open. */
const combinations = (labels: readonly (readonly string[] | null)[]): readonly (readonly string[])[] =>
  labels.reduce<readonly (readonly string[])[]>(
    (found, values) => (values === null ? [] : found.flatMap((before) => values.map((value) => [...before, value]))),
    [[]],
  );

const escaped = (value: string): string =>
  value.toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
