import { SeriesOf } from './metric-family.ts';
import type { Family, Labels, LabelValues, MetricSpec, Sample } from './metric-family.ts';

/** A monotonic counter. */
export interface CounterSeries {
  inc(by?: number): void;
}

/** A metric whose series only grow. */
export class Counter<L extends Labels> implements Family {
  readonly type = 'counter';
  readonly name: string;
  readonly help: string;
  readonly #series: SeriesOf<Count>;

  /** @param spec its name ends in `_total` */
  constructor({ name, help, labels }: MetricSpec<L>) {
    this.name = name.replace(/_total$/, '');
    this.help = help;
    this.#series = new SeriesOf(labels, (text) => new Count(text));
  }

  of(labels: LabelValues<L>): CounterSeries {
    return this.#series.of(labels);
  }

  samples(): readonly Sample[] {
    return [...this.#series.all()].map(({ labels, value }) => ({ suffix: '_total', labels, value }));
  }
}

class Count implements CounterSeries {
  readonly labels: string;
  value = 0;

  constructor(labels: string) {
    this.labels = labels;
  }

  inc(by = 1): void {
    this.value += by;
  }
}
