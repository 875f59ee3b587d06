import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { EndedSpan } from './ended-span.ts';
import { readableSpan } from './readable-span.ts';
import { sentBy } from './span-exporter.ts';
import type { Outlet, Sent, SpanBatch, SpanExporter } from './span-exporter.ts';
import { settled } from './span-origin.ts';
import type { SpanOrigin } from './span-origin.ts';

/** Exports spans as objects, for JSON and console output: slower than bytes. */
export const readableExporter = (transport: Outlet<ReadableSpan[]>, origin: SpanOrigin): SpanExporter => ({
  newBatch: () => new ReadableBatch(transport, origin),
  shutdown: () => transport.shutdown(),
});

class ReadableBatch implements SpanBatch {
  readonly bytes = 0;
  readonly #transport: Outlet<ReadableSpan[]>;
  readonly #origin: SpanOrigin;
  readonly #spans: ReadableSpan[] = [];

  constructor(transport: Outlet<ReadableSpan[]>, origin: SpanOrigin) {
    this.#transport = transport;
    this.#origin = origin;
  }

  get size(): number {
    return this.#spans.length;
  }

  add(span: EndedSpan): void {
    this.#spans.push(readableSpan(span, this.#origin));
  }

  async send(): Promise<Sent> {
    await settled(this.#origin.resource);
    return sentBy((done) => this.#transport.export(this.#spans, done));
  }

  release(): void {
    // Nothing to return: the spans are collected with the batch.
  }
}
