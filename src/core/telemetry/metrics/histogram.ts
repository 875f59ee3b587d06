import { SeriesOf } from './metric-family.ts';
import type {
  Distribution,
  DistributionFamily,
  Exemplar,
  Labels,
  LabelValues,
  MetricSpec,
  Point,
  MetricSample,
  SeriesLabels,
} from './metric-family.ts';

/** A distribution. */
export interface HistogramSeries {
  /** Counts a value. The exemplar is kept for its bucket until the next exemplar. */
  observe(value: number, exemplar?: Exemplar): void;
}

/** A metric whose series count values in buckets. */
export class Histogram<L extends Labels> implements DistributionFamily {
  readonly type = 'histogram';
  readonly name: string;
  readonly help: string;
  readonly #series: SeriesOf<Buckets>;

  /** @param spec with the ascending upper bounds of its buckets, without infinity */
  constructor({ name, help, labels, buckets }: MetricSpec<L> & { readonly buckets: readonly number[] }) {
    this.name = name;
    this.help = help;
    this.#series = new SeriesOf(labels, (own) => new Buckets(own, buckets));
  }

  of(labels: LabelValues<L>): HistogramSeries {
    return this.#series.of(labels);
  }

  samples(): readonly MetricSample[] {
    return [...this.#series.all()].flatMap((series) => series.samples());
  }

  points(): readonly Point<Distribution>[] {
    return [...this.#series.all()].map((series) => series.point());
  }
}

class Buckets implements HistogramSeries {
  readonly #labels: SeriesLabels;
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  readonly #exemplars: (Exemplar & { readonly value: number })[] = [];
  #sum = 0;

  constructor(labels: SeriesLabels, bounds: readonly number[]) {
    this.#labels = labels;
    this.#bounds = bounds;
    this.#counts = [...bounds, Infinity].map(() => 0);
  }

  observe(value: number, exemplar?: Exemplar): void {
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] ?? Infinity)) index += 1;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += value;
    if (exemplar !== undefined) this.#exemplars[index] = { ...exemplar, value };
  }

  samples(): readonly MetricSample[] {
    const labels = this.#labels.text;
    const separator = labels === '' ? '' : ',';
    let count = 0;
    const buckets = this.#counts.map((inBucket, index): MetricSample => {
      count += inBucket;
      const le = `${labels}${separator}le="${boundText(this.#bounds[index])}"`;
      const exemplar = this.#exemplars[index];
      const sample = { suffix: '_bucket', labels: le, value: count } as const;
      return exemplar === undefined ? sample : { ...sample, exemplar };
    });
    return [...buckets, { suffix: '_sum', labels, value: this.#sum }, { suffix: '_count', labels, value: count }];
  }

  point(): Point<Distribution> {
    return {
      labels: this.#labels.values,
      value: { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum },
    };
  }
}

/** A float as OpenMetrics writes it: `1.0`. */
const boundText = (bound: number | undefined): string => {
  if (bound === undefined) return '+Inf';
  return Number.isInteger(bound) ? `${bound}.0` : String(bound);
};
