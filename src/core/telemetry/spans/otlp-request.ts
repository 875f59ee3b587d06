import type { Resource } from '@opentelemetry/resources';
import { attributesOf } from './otlp-attribute.ts';
import { fieldsBy, ProtobufWriter } from '../../protobuf/writer.ts';

/** Field number of the spans in ScopeSpans. */
export const SPANS_FIELD = 2;

/** The constant parts of every request of a process, serialised. */
export interface RequestFrame {
  readonly resource: Uint8Array;
  readonly scope: Uint8Array;
  readonly schemaUrl: Uint8Array;
}

/** The frame for a resource whose attributes are known. */
export function requestFrame({ attributes, schemaUrl }: Resource, scopeName: string): RequestFrame {
  return {
    resource: fieldsBy((into) => {
      const start = into.open(1);
      const tell = attributesOf(into, 1);
      for (const [name, value] of Object.entries(attributes)) tell(name, value);
      into.integer(2, 0);
      into.close(start);
    }),
    scope: fieldsBy((into) => {
      const start = into.open(1);
      into.text(1, scopeName);
      into.close(start);
    }),
    schemaUrl: fieldsBy((into) => {
      if (schemaUrl !== undefined && schemaUrl !== '') into.text(3, schemaUrl);
    }),
  };
}

/**
 * Serialises an ExportTraceServiceRequest.
 *
 * @param spans concatenated fields of spans
 * @see opentelemetry/proto/collector/trace/v1/trace_service.proto
 */
export function exportRequest(spans: Uint8Array, { resource, scope, schemaUrl }: RequestFrame): Uint8Array {
  const into = new ProtobufWriter(spans.length + resource.length + scope.length + schemaUrl.length + MAX_LENGTHS);
  const resourceSpans = into.open(1);
  into.raw(resource);
  const scopeSpans = into.open(2);
  into.raw(scope);
  into.raw(spans);
  into.close(scopeSpans);
  into.raw(schemaUrl);
  into.close(resourceSpans);
  return into.bytes;
}

/** Upper bound for two tags and lengths. */
const MAX_LENGTHS = 64;
