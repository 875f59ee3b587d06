import { SeriesOf } from './metric-family.ts';
import type {
  Labels,
  LabelValues,
  MetricSpec,
  NumberFamily,
  Point,
  MetricSample,
  SeriesLabels,
} from './metric-family.ts';

/** A monotonic counter. */
export interface CounterSeries {
  inc(by?: number): void;
}

/** A metric whose series only grow. */
export class Counter<L extends Labels> implements NumberFamily {
  readonly type = 'counter';
  readonly name: string;
  readonly help: string;
  readonly #series: SeriesOf<Count>;

  /** @param spec its name ends in `_total` */
  constructor({ name, help, labels }: MetricSpec<L>) {
    this.name = name.replace(/_total$/, '');
    this.help = help;
    this.#series = new SeriesOf(labels, (own) => new Count(own));
  }

  of(labels: LabelValues<L>): CounterSeries {
    return this.#series.of(labels);
  }

  samples(): readonly MetricSample[] {
    return [...this.#series.all()].map(({ labels, value }) => ({ suffix: '_total', labels: labels.text, value }));
  }

  points(): readonly Point<number>[] {
    return [...this.#series.all()].map(({ labels, value }) => ({ labels: labels.values, value }));
  }
}

class Count implements CounterSeries {
  readonly labels: SeriesLabels;
  value = 0;

  constructor(labels: SeriesLabels) {
    this.labels = labels;
  }

  inc(by = 1): void {
    this.value += by;
  }
}
