import { describe, expect, it } from '@jest/globals';
import { expositionOf, formatFor } from '../../../../src/core/telemetry/metrics/exposition.ts';
import { Counter } from '../../../../src/core/telemetry/metrics/counter.ts';
import { Gauge } from '../../../../src/core/telemetry/metrics/gauge.ts';
import { Histogram } from '../../../../src/core/telemetry/metrics/histogram.ts';
import type { Family } from '../../../../src/core/telemetry/metrics/metric-family.ts';

const linesOf = (family: Family, format: 'text' | 'openmetrics' = 'text'): readonly string[] =>
  expositionOf([family], format)
    .body.split('\n')
    .filter((line) => !line.startsWith('#') && line !== '');

const traceId = 'a'.repeat(32);

describe('formatFor', () => {
  it.each([
    ['the header of Prometheus 3', 'application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3', 'openmetrics'],
    ['a browser', 'text/html,*/*', 'text'],
    ['nothing', undefined, 'text'],
  ] as const)('gives the form for %s', (_name, accept, format) => {
    expect(formatFor(accept)).toBe(format);
  });
});

describe('expositionOf', () => {
  it('names a counter with its suffix in the text format, and its family without it in OpenMetrics', () => {
    const counter = new Counter({ name: 'x_total', help: 'how many', labels: {} });
    counter.of({}).inc();
    expect(expositionOf([counter], 'text').body).toBe('# HELP x_total how many\n# TYPE x_total counter\nx_total 1\n');
    expect(expositionOf([counter], 'openmetrics').body).toBe('# HELP x how many\n# TYPE x counter\nx_total 1\n# EOF\n');
  });

  it('writes cumulative buckets, with exemplars only in OpenMetrics', () => {
    const histogram = new Histogram({ name: 'd_seconds', help: 'h', labels: {}, buckets: [0.5, 1] });
    histogram.of({}).observe(0.5);
    histogram.of({}).observe(0.7, { traceId, atMs: 1_500 });
    histogram.of({}).observe(7);
    expect(linesOf(histogram, 'openmetrics')).toEqual([
      'd_seconds_bucket{le="0.5"} 1',
      `d_seconds_bucket{le="1.0"} 2 # {trace_id="${traceId}"} 0.7 1.500`,
      'd_seconds_bucket{le="+Inf"} 3',
      'd_seconds_sum 8.2',
      'd_seconds_count 3',
    ]);
    expect(linesOf(histogram).join()).not.toContain(traceId);
  });

  it('leaves out a metric without series, with its head', () => {
    expect(expositionOf([new Gauge({ name: 'g', help: 'h', labels: {} })], 'text').body).toBe('\n');
  });
});

describe('a metric', () => {
  it('shows every combination of closed labels from the start, as zero', () => {
    const counter = new Counter({ name: 'x_total', help: 'h', labels: { a: ['1', '2'], b: ['3', '4'] } });
    expect(linesOf(counter)).toEqual([
      'x_total{a="1",b="3"} 0',
      'x_total{a="1",b="4"} 0',
      'x_total{a="2",b="3"} 0',
      'x_total{a="2",b="4"} 0',
    ]);
  });

  it('escapes a label value, which cannot end its line or its quotes', () => {
    const counter = new Counter({ name: 'x_total', help: 'h', labels: { a: null } });
    counter.of({ a: 'q"\\\n\ud800' }).inc();
    expect(linesOf(counter)).toEqual(['x_total{a="q\\"\\\\\\n\ufffd"} 1']);
  });

  it('counts everything beyond 4,096 series as `other`', () => {
    const counter = new Counter({ name: 'x_total', help: 'h', labels: { a: null, b: null } });
    for (let n = 0; n < 5_000; n++) counter.of({ a: String(n), b: 'x' }).inc();
    const lines = linesOf(counter);
    expect(lines).toHaveLength(4_097);
    expect(lines.at(-1)).toBe('x_total{a="other",b="other"} 904');
  });

  it('does not confuse two pairs of values', () => {
    const counter = new Counter({ name: 'x_total', help: 'h', labels: { a: null, b: null } });
    counter.of({ a: 'x', b: 'y"' }).inc();
    counter.of({ a: 'x"', b: 'y' }).inc();
    expect(linesOf(counter)).toHaveLength(2);
  });

  it('hides a gauge before it is set and after it is cleared', () => {
    const gauge = new Gauge({ name: 'g', help: 'h', labels: { a: null } });
    expect(linesOf(gauge)).toEqual([]);
    gauge.of({ a: 'x' }).set(0);
    expect(linesOf(gauge)).toEqual(['g{a="x"} 0']);
    gauge.clear();
    expect(linesOf(gauge)).toEqual([]);
  });
});
