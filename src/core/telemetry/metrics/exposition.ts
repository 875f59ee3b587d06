import type { Family, MetricSample } from './metric-family.ts';

/** An exposition format. */
export type ExpositionFormat = 'text' | 'openmetrics';

/** An answer to a scraper. */
export interface Exposition {
  readonly contentType: string;
  readonly body: string;
}

const contentTypes: Readonly<Record<ExpositionFormat, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** The format for an `Accept` header: OpenMetrics (with exemplars) if it is named, otherwise the older text format. */
export const formatFor = (accept: string | undefined): ExpositionFormat =>
  (accept ?? '').includes('application/openmetrics-text') ? 'openmetrics' : 'text';

/**
 * Formats the metrics; families without samples are left out.
 *
 * @see Prometheus exposition formats, text 0.0.4; OpenMetrics 1.0
 */
export function expositionOf(families: readonly Family[], format: ExpositionFormat): Exposition {
  const lines = families.flatMap((family) => familyLines(family, format));
  if (format === 'openmetrics') lines.push('# EOF');
  return { contentType: contentTypes[format], body: `${lines.join('\n')}\n` };
}

function familyLines(family: Family, format: ExpositionFormat): readonly string[] {
  const samples = family.samples();
  if (samples.length === 0) return [];
  // The text format names a counter with its suffix, OpenMetrics without.
  const name = family.type === 'counter' && format === 'text' ? `${family.name}_total` : family.name;
  return [
    `# HELP ${name} ${family.help}`,
    `# TYPE ${name} ${family.type}`,
    ...samples.map((sample) => lineOf(family.name, sample, format)),
  ];
}

function lineOf(name: string, { suffix, labels, value, exemplar }: MetricSample, format: ExpositionFormat): string {
  const line = `${name}${suffix}${labels === '' ? '' : `{${labels}}`} ${numberText(value)}`;
  if (exemplar === undefined || format === 'text') return line;
  const { traceId, atMs } = exemplar;
  return `${line} # {trace_id="${traceId}"} ${numberText(exemplar.value)} ${(atMs / 1000).toFixed(3)}`;
}

const numberText = (value: number): string => {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
};
