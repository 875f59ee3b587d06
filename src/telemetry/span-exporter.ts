import type { EndedSpan } from './ended-span.ts';

/** What became of a batch: taken, to be sent again, or refused for good. */
export type Sent = 'taken' | 'again' | 'refused';

/** Spans that travel together, in the form in which they are sent. */
export interface SpanBatch {
  /** Its number of spans. */
  readonly size: number;
  /** What its spans take, where that is known; else 0. */
  readonly bytes: number;
  add(span: EndedSpan): void;
  /** Sends them; once more after `again`. It may reject, which is for good. */
  send(): Promise<Sent>;
}

/** A way out of the process. Lifecycle: `shutdown` once, when no batch is sent any more. */
export interface SpanExporter {
  newBatch(): SpanBatch;
  shutdown(): Promise<void>;
}

/** What OpenTelemetry's own exporters say of a batch. */
export interface ExportResult {
  readonly code: number;
  readonly error?: Error;
}

/** What became of a batch that such an exporter was handed. */
export const sentBy = (hand: (done: (result: ExportResult) => void) => void): Promise<Sent> =>
  new Promise((resolve) => {
    hand(({ code, error }) => resolve(code === SUCCESS ? 'taken' : isFinal(error) ? 'refused' : 'again'));
  });

/** `ExportResultCode.SUCCESS`. */
const SUCCESS = 0;

/** What OTLP says is not sent again, over gRPC: all but cancelled, deadline, aborted, range, unavailable, loss, exhausted. */
const FINAL_GRPC: ReadonlySet<number> = new Set([2, 3, 5, 6, 7, 9, 12, 13, 16]);

/** Whether the collector has said that it will never take this. @see OTLP specification 1.7, failures */
function isFinal(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  if (typeof code !== 'number') return false;
  return FINAL_GRPC.has(code) || (code >= 300 && code < 500 && code !== 429);
}
