import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { AttributeLimits } from './attribute-limits.ts';
import type { EndedSpan } from './ended-span.ts';
import { exportRequest, requestFrame, SPANS_FIELD } from './otlp-request.ts';
import type { RequestFrame } from './otlp-request.ts';
import { writeSpan } from './otlp-span.ts';
import type { Encoding } from './otlp-transport.ts';
import { ProtobufWriter } from '../../protobuf/writer.ts';
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
export const passedUnchanged: Encoding<WrittenRequest> = {
  serializer: {
    serializeRequest: ({ bytes }) => bytes,
    deserializeResponse: (bytes) => ProtobufTraceSerializer.deserializeResponse(bytes),
  },
  metricsHelper: { name: 'span', countItems: ({ spans }) => spans },
};

/**
 * Exports spans as OTLP protobuf. A span is serialised into its batch when it ends, so that none of its objects outlives it;
 * making a request of a batch is a copy. Batches write to the same memory in turn.
 */
export function bytesExporter(transport: Outlet<WrittenRequest>, origin: SpanOrigin): SpanExporter {
  const frame = settled(origin.resource).then((resource) => requestFrame(resource, origin.scopeName));
  const { limits } = origin;
  // One idle writer is kept, since one batch is filled while another is sent. A new buffer for each batch would outlive two collections
  // of new objects while it is filled; at 1,000 spans a second that made V8 collect the whole heap every 3 s.
  let idle: ProtobufWriter | null = null;
  const onReleased = (writer: ProtobufWriter): void => {
    writer.clear();
    idle ??= writer;
  };
  return {
    newBatch: () => {
      const writer = idle ?? new ProtobufWriter(FIRST_BYTES);
      idle = null;
      return new BytesBatch({ transport, frame, limits, writer, onReleased });
    },
    shutdown: () => transport.shutdown(),
  };
}

interface BatchOptions {
  readonly transport: Outlet<WrittenRequest>;
  /** Resolves once the attributes of the resource are known. */
  readonly frame: Promise<RequestFrame>;
  readonly limits: AttributeLimits;
  /** An empty writer. */
  readonly writer: ProtobufWriter;
  readonly onReleased: (writer: ProtobufWriter) => void;
}

const FIRST_BYTES = 4_096;

class BytesBatch implements SpanBatch {
  readonly #options: BatchOptions;
  #size = 0;
  #isReleased = false;

  constructor(options: BatchOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#options.writer.length;
  }

  add(span: EndedSpan): void {
    const { limits, writer } = this.#options;
    writeSpan(writer, { field: SPANS_FIELD, span, limits });
    this.#size += 1;
  }

  async send(): Promise<Sent> {
    const { transport, writer } = this.#options;
    const frame = await this.#options.frame;
    // Another batch writes to the same memory by now.
    if (this.#isReleased) return 'refused';
    const bytes = exportRequest(writer.bytes, frame);
    return sentBy((done) => transport.export({ bytes, spans: this.#size }, done));
  }

  release(): void {
    const { onReleased, writer } = this.#options;
    if (!this.#isReleased) onReleased(writer);
    this.#isReleased = true;
  }
}
