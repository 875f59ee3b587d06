import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import type { MessageTypeDefinition, ServiceDefinition } from '@grpc/proto-loader';

/** A received span in OTLP. */
export interface ReceivedSpan {
  readonly name: string;
  /** In hex. */
  readonly spanId: string;
  readonly attributes: ReadonlyMap<string, unknown>;
}

/** The parts of an ExportTraceServiceRequest that tests read. */
export interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: Attributed;
    readonly scopeSpans: readonly {
      readonly scope: { readonly name: string };
      readonly spans: readonly (Attributed & { readonly name: string; readonly spanId: string | Buffer })[];
    }[];
  }[];
}

interface Attributed {
  readonly attributes?: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
}

const file = fileURLToPath(new URL('trace-service.proto', import.meta.url));
const definitions = loadSync(file, { longs: Number, arrays: true });
const inPackage = (name: string): unknown => definitions[`opentelemetry.proto.collector.trace.v1.${name}`];

const requestType = inPackage('ExportTraceServiceRequest') as MessageTypeDefinition<ExportRequest, ExportRequest>;

/** The service, for a gRPC server. */
export const traceService = inPackage('TraceService') as ServiceDefinition;

/** Decodes a protobuf request with an independent decoder. */
export const exportRequestFrom = (bytes: Buffer): ExportRequest => requestType.deserialize(bytes);

/** The spans of a request. */
export const spansIn = (request: ExportRequest): ReceivedSpan[] =>
  request.resourceSpans
    .flatMap((each) => each.scopeSpans)
    .flatMap((each) => each.spans)
    .map((span) => ({
      name: span.name,
      spanId: typeof span.spanId === 'string' ? span.spanId : span.spanId.toString('hex'),
      attributes: new Map(attributesOf(span)),
    }));

/** The attributes of the resource of a request. */
export const resourceIn = (request: ExportRequest): [string, unknown][] =>
  request.resourceSpans.flatMap(({ resource }) => attributesOf(resource));

const attributesOf = ({ attributes = [] }: Attributed): [string, unknown][] =>
  attributes.map(({ key, value }) => [key, Object.values(value)[0]]);
