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

/** A value that goes up and down. */
export interface GaugeSeries {
  set(value: number): void;
}

/** A metric whose series are set. A series that was never set, or not since `clear`, is not exposed. */
export class Gauge<L extends Labels> implements NumberFamily {
  readonly type = 'gauge';
  readonly name: string;
  readonly help: string;
  readonly #series: SeriesOf<Level>;

  constructor({ name, help, labels }: MetricSpec<L>) {
    this.name = name;
    this.help = help;
    this.#series = new SeriesOf(labels, (own) => new Level(own));
  }

  of(labels: LabelValues<L>): GaugeSeries {
    return this.#series.of(labels);
  }

  /** Removes all series. */
  clear(): void {
    this.#series.clear();
  }

  samples(): readonly MetricSample[] {
    return this.#set().map(({ labels, value }) => ({ suffix: '', labels: labels.text, value }));
  }

  points(): readonly Point<number>[] {
    return this.#set().map(({ labels, value }) => ({ labels: labels.values, value }));
  }

  #set(): readonly Level[] {
    return [...this.#series.all()].filter(({ value }) => !Number.isNaN(value));
  }
}

class Level implements GaugeSeries {
  readonly labels: SeriesLabels;
  value = NaN;

  constructor(labels: SeriesLabels) {
    this.labels = labels;
  }

  set(value: number): void {
    this.value = value;
  }
}
