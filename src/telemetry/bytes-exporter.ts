import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { AttributeLimits } from './attribute-limits.ts';
import type { EndedSpan } from './ended-span.ts';
import { exportRequest, requestFrame, SPANS_FIELD } from './otlp-request.ts';
import type { RequestFrame } from './otlp-request.ts';
import { writeSpan } from './otlp-span.ts';
import type { Encoding } from './otlp-transport.ts';
import { ProtobufWriter } from '../protobuf/writer.ts';
import { sentBy } from './span-exporter.ts';
import type { Outlet, Sent, SpanBatch, SpanExporter } from './span-exporter.ts';
import { settled } from './span-origin.ts';
import type { SpanOrigin } from './span-origin.ts';

/** A serialised request. */
export interface WrittenRequest {
  readonly bytes: Uint8Array;
  readonly spans: number;
}

/** Passes a serialised request on unchanged. */
export const written: Encoding<WrittenRequest> = {
  serializer: {
    serializeRequest: ({ bytes }) => bytes,
    deserializeResponse: (bytes) => ProtobufTraceSerializer.deserializeResponse(bytes),
  },
  metricsHelper: { name: 'span', countItems: ({ spans }) => spans },
};

/**
 * Exports spans as OTLP protobuf. A span is serialised into its batch when it ends, so that none of its objects outlives it;
 * making a request of a batch is a copy.
 */
export function bytesExporter(transport: Outlet<WrittenRequest>, origin: SpanOrigin): SpanExporter {
  const frame = settled(origin.resource).then((resource) => requestFrame(resource, origin.scopeName));
  let lastBytes = 0;
  const onSent = (bytes: number): void => void (lastBytes = bytes);
  return {
    newBatch: () =>
      new BytesBatch({ transport, frame, limits: origin.limits, capacity: LEAST_BYTES + lastBytes, onSent }),
    shutdown: () => transport.shutdown(),
  };
}

interface BatchOptions {
  readonly transport: Outlet<WrittenRequest>;
  /** Resolves once the attributes of the resource are known. */
  readonly frame: Promise<RequestFrame>;
  readonly limits: AttributeLimits;
  /** Room for a batch like the last one, in bytes: growing from nothing would allocate twice as much, for which V8 collects garbage. */
  readonly capacity: number;
  readonly onSent: (bytes: number) => void;
}

const LEAST_BYTES = 4_096;

class BytesBatch implements SpanBatch {
  readonly #options: BatchOptions;
  readonly #spans: ProtobufWriter;
  #size = 0;

  constructor(options: BatchOptions) {
    this.#options = options;
    this.#spans = new ProtobufWriter(options.capacity);
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#spans.length;
  }

  add(span: EndedSpan): void {
    writeSpan(this.#spans, { field: SPANS_FIELD, span, limits: this.#options.limits });
    this.#size += 1;
  }

  async send(): Promise<Sent> {
    const { frame, transport, onSent } = this.#options;
    onSent(this.bytes);
    const bytes = exportRequest(this.#spans.bytes, await frame);
    return sentBy((done) => transport.export({ bytes, spans: this.#size }, done));
  }
}
