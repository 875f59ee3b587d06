import type { EndedSpan } from './ended-span.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/** The result for a batch: accepted, retryable, or refused. */
export type Sent = 'taken' | 'again' | 'refused';

/** Spans that are sent together, in wire format. */
export interface SpanBatch {
  /** Its number of spans. */
  readonly size: number;
  /** Their size if known; else 0. */
  readonly bytes: number;
  add(span: EndedSpan): void;
  /** Sends them; called again after `again`. A rejection is final. */
  send(): Promise<Sent>;
  /** Releases its memory. It is not used afterwards. */
  release(): void;
}

/** An exporter. Lifecycle: `shutdown` once, after the last batch. */
export interface SpanExporter {
  newBatch(): SpanBatch;
  shutdown(): Promise<void>;
}

/** Exports batches, with the interface of OpenTelemetry's exporters. Lifecycle: `shutdown` waits for pending batches. */
export interface Outlet<Batch> {
  export(batch: Batch, done: (result: ExportResult) => void): void;
  shutdown(): Promise<void>;
}

/** The result type of OpenTelemetry's exporters. */
export interface ExportResult {
  readonly code: number;
  readonly error?: Error;
}

/** The result of an export. @param hand passes a batch to an exporter, with the callback for its result */
export const sentBy = (hand: (done: (result: ExportResult) => void) => void): Promise<Sent> =>
  new Promise((resolve) => {
    hand(({ code, error }) => resolve(code === SUCCESS ? 'taken' : isFinal(error) ? 'refused' : 'again'));
  });

/** `ExportResultCode.SUCCESS`. */
const SUCCESS = 0;

/**
 * gRPC codes that OTLP does not retry: all except cancelled, deadline exceeded, aborted, out of range, unavailable, data loss,
 * resource exhausted.
 */
const FINAL_GRPC: ReadonlySet<number> = new Set([2, 3, 5, 6, 7, 9, 12, 13, 16]);

/** Whether the collector refused for good. @see OTLP specification 1.7, failures */
function isFinal(error: unknown): boolean {
  // Statuses of gRPC and HTTP are numbers; a name such as `ECONNRESET` is not a status.
  const code = Number(errorCode(error));
  return FINAL_GRPC.has(code) || (code >= 300 && code < 500 && code !== 429);
}
