import { ValueType } from '@opentelemetry/api';
import { AggregationTemporality, DataPointType } from '@opentelemetry/sdk-metrics';
import type { DataPoint, Histogram, MetricData } from '@opentelemetry/sdk-metrics';
import { hrTimeFrom, nanosFrom } from '../spans/hr-time.ts';
import type { Distribution, Family, Point } from './metric-family.ts';

/** The interval that cumulative values cover, milliseconds since the Unix epoch. */
export interface CountedTime {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * The metrics in OpenTelemetry's data model, cumulative, with the names, help, labels and values of a scrape. A family without a
 * sample is omitted, as in a scrape. Exemplars are not pushed: OpenTelemetry's exporters for JavaScript write none.
 *
 * @see opentelemetry/proto/metrics/v1/metrics.proto; OpenTelemetry specification, compatibility with Prometheus and OpenMetrics
 */
export function pushedMetrics(families: readonly Family[], time: CountedTime): MetricData[] {
  return families.flatMap((family) => {
    const data = dataOf(family, time);
    return data.dataPoints.length === 0 ? [] : data;
  });
}

function dataOf(family: Family, time: CountedTime): MetricData {
  const name = family.type === 'counter' ? `${family.name}_total` : family.name;
  const common = {
    descriptor: { name, description: family.help, unit: unitOf(name), valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  if (family.type === 'histogram') {
    const dataPoints = family.points().map((point) => pointOf(point, { value: histogramOf(point.value), time }));
    return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints };
  }
  const dataPoints = family.points().map((point) => pointOf(point, { value: point.value, time }));
  return family.type === 'counter'
    ? { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints }
    : { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
}

/** The UCUM unit of the base unit in a name; `''` for counts. */
function unitOf(name: string): string {
  const base = name.replace(/_total$/, '');
  if (base.endsWith('_seconds')) return 's';
  return base.endsWith('_bytes') ? 'By' : '';
}

const pointOf = <V>(
  { labels }: Point<unknown>,
  { value, time }: { readonly value: V; readonly time: CountedTime },
): DataPoint<V> => ({
  startTime: hrTimeFrom(nanosFrom(time.startMs)),
  endTime: hrTimeFrom(nanosFrom(time.endMs)),
  attributes: labels,
  value,
});

const histogramOf = ({ bounds, counts, sum }: Distribution): Histogram => ({
  buckets: { boundaries: [...bounds], counts: [...counts] },
  sum,
  count: counts.reduce((all, each) => all + each, 0),
});
