import { expositionOf } from './exposition.ts';
import type { Exposition, ExpositionFormat } from './exposition.ts';
import { Counter } from './counter.ts';
import { Gauge } from './gauge.ts';
import { Histogram } from './histogram.ts';
import type { Family, Labels } from './metric-family.ts';
import { metricTable } from './metric-table.ts';

type Table = typeof metricTable;

type FamilyOf<S> = S extends { readonly type: infer T; readonly labels: infer L extends Labels }
  ? T extends 'counter'
    ? Counter<L>
    : T extends 'gauge'
      ? Gauge<L>
      : Histogram<L>
  : never;

/** All metrics of the table by key: `metrics.tokenUses.of({ class: 'first' }).inc()`. */
export type MetricFamilies = { readonly [K in keyof Table]: FamilyOf<Table[K]> };

/** The metrics of one process. */
export interface Metrics extends MetricFamilies {
  /** Calls `measure` before each scrape and each push, to set gauges. It must not throw. */
  readonly beforeScrape: (measure: () => void) => void;
  /** Every metric, after all measures. */
  readonly read: () => readonly Family[];
  /** The answer to a scraper. */
  readonly scrape: (format: ExpositionFormat) => Exposition;
}

/** New metrics, all zero. */
export function newMetrics(): Metrics {
  const families = Object.fromEntries(
    Object.entries(metricTable).map(([key, spec]) => [key, familyOf(spec)]),
    // Safe: built from the table's own keys.
  ) as unknown as MetricFamilies;
  const measures: (() => void)[] = [];
  const read = (): readonly Family[] => {
    for (const measure of measures) measure();
    return Object.values<Family>(families);
  };
  return {
    ...families,
    beforeScrape: (measure) => void measures.push(measure),
    read,
    scrape: (format) => expositionOf(read(), format),
  };
}

function familyOf(spec: Table[keyof Table]): Family {
  switch (spec.type) {
    case 'counter':
      return new Counter<Labels>(spec);
    case 'gauge':
      return new Gauge<Labels>(spec);
    case 'histogram':
      return new Histogram<Labels>(spec);
    default:
      return spec satisfies never;
  }
}
