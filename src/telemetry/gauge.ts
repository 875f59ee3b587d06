import { SeriesOf } from './metric-family.ts';
import type { Family, Labels, LabelValues, MetricSpec, Sample } from './metric-family.ts';

/** A value that goes up and down. */
export interface GaugeSeries {
  set(value: number): void;
}

/** A metric whose series are set. A series that was never set, or not since `clear`, is not exposed. */
export class Gauge<L extends Labels> implements Family {
  readonly type = 'gauge';
  readonly name: string;
  readonly help: string;
  readonly #series: SeriesOf<Level>;

  constructor({ name, help, labels }: MetricSpec<L>) {
    this.name = name;
    this.help = help;
    this.#series = new SeriesOf(labels, (text) => new Level(text));
  }

  of(labels: LabelValues<L>): GaugeSeries {
    return this.#series.of(labels);
  }

  /** Removes all series. */
  clear(): void {
    this.#series.clear();
  }

  samples(): readonly Sample[] {
    const set = [...this.#series.all()].filter(({ value }) => !Number.isNaN(value));
    return set.map(({ labels, value }) => ({ suffix: '', labels, value }));
  }
}

class Level implements GaugeSeries {
  readonly labels: string;
  value = NaN;

  constructor(labels: string) {
    this.labels = labels;
  }

  set(value: number): void {
    this.value = value;
  }
}
