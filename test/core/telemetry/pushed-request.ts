import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import type { MessageTypeDefinition, ServiceDefinition } from '@grpc/proto-loader';

/** The parts of an ExportMetricsServiceRequest that tests read. */
export interface PushedRequest {
  readonly resourceMetrics: readonly {
    readonly resource: Attributed;
    readonly scopeMetrics: readonly {
      readonly scope: { readonly name: string };
      readonly metrics: readonly Pushed[];
    }[];
  }[];
}

interface Attributed {
  readonly attributes?: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
}

/** One pushed metric. */
export interface Pushed {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly gauge?: { readonly dataPoints: readonly NumberPoint[] };
  readonly sum?: Temporal & { readonly dataPoints: readonly NumberPoint[]; readonly isMonotonic: boolean };
  readonly histogram?: Temporal & { readonly dataPoints: readonly HistogramPoint[] };
}

interface Temporal {
  /** 2 or its name: cumulative. */
  readonly aggregationTemporality: number | string;
}

interface NumberPoint extends Attributed {
  readonly asDouble: number;
}

interface HistogramPoint extends Attributed {
  /** In JSON, 64-bit integers may be strings. */
  readonly count: number | string;
  readonly sum: number;
  readonly bucketCounts: readonly (number | string)[];
  readonly explicitBounds: readonly number[];
}

const file = fileURLToPath(new URL('metrics-service.proto', import.meta.url));
const definitions = loadSync(file, { longs: Number, arrays: true });
const inPackage = (name: string): unknown => definitions[`opentelemetry.proto.collector.metrics.v1.${name}`];

const requestType = inPackage('ExportMetricsServiceRequest') as MessageTypeDefinition<PushedRequest, PushedRequest>;

/** The service, for a gRPC server. */
export const metricsService = inPackage('MetricsService') as ServiceDefinition;

/** Decodes a protobuf request with an independent decoder. */
export const pushedRequestFrom = (bytes: Buffer): PushedRequest => requestType.deserialize(bytes);

/** The metrics of a request. */
export const pushedIn = (request: PushedRequest): readonly Pushed[] =>
  request.resourceMetrics.flatMap((each) => each.scopeMetrics).flatMap(({ metrics }) => metrics);

/**
 * Pushed metrics in the form of a Prometheus scrape, by OpenTelemetry's rules for names and types, so that they can be compared with a
 * scrape line by line.
 *
 * @see OpenTelemetry specification, compatibility with Prometheus and OpenMetrics
 */
export const asScraped = (pushed: readonly Pushed[]): readonly string[] =>
  pushed.flatMap(({ name, description, gauge, sum, histogram }) => {
    const type = gauge !== undefined ? 'gauge' : sum?.isMonotonic === true ? 'counter' : 'histogram';
    const numbers = (gauge ?? sum)?.dataPoints ?? [];
    return [
      `# HELP ${name} ${description}`,
      `# TYPE ${name} ${type}`,
      ...numbers.map((point) => line(name, labelsOf(point), point.asDouble)),
      ...(histogram?.dataPoints ?? []).flatMap((point) => bucketLines(name, point)),
    ];
  });

function bucketLines(name: string, point: HistogramPoint): readonly string[] {
  const labels = labelsOf(point);
  let count = 0;
  const buckets = point.bucketCounts.map((inBucket, index) => {
    count += Number(inBucket);
    const bound = point.explicitBounds[index];
    const le = bound === undefined ? '+Inf' : Number.isInteger(bound) ? `${bound}.0` : String(bound);
    return line(`${name}_bucket`, [...labels, `le="${le}"`], count);
  });
  return [...buckets, line(`${name}_sum`, labels, point.sum), line(`${name}_count`, labels, Number(point.count))];
}

const labelsOf = ({ attributes = [] }: Attributed): readonly string[] =>
  attributes.map(({ key, value }) => `${key}=${JSON.stringify(value.stringValue ?? '')}`);

const line = (name: string, labels: readonly string[], value: number): string =>
  `${name}${labels.length === 0 ? '' : `{${labels.join(',')}}`} ${value}`;
