import type { Tracer } from '@opentelemetry/api';
import type { Ports } from '../runtime/ports.ts';
import type { CheckpointNotice } from './checkpoint-notice.ts';
import type { Destinations } from './destinations.ts';
import type { DroppedSpans } from './spans/dropped-spans.ts';
import type { SpanSink } from './spans/ended-span.ts';
import type { Family } from './metrics/metric-family.ts';
import type { QueueName } from './spans/span-router.ts';

/**
 * Telemetry of this process. Lifecycle: `beginPush` once everything that is measured is open; call its result before any of it closes;
 * `close` last: it sends what is queued, within 5 s.
 */
export interface Telemetry {
  /** Receives the spans of checks; `null` if tracing is off. */
  readonly spans: SpanSink | null;
  /** Makes every other span; `null` if tracing is off. */
  readonly tracer: Tracer | null;
  /** Exports a checkpoint of the ledger as a log record, if a destination for logs is configured. */
  readonly emitCheckpoint: (checkpoint: CheckpointNotice) => void;
  /**
   * Starts pushing metrics, if a destination for them is configured.
   *
   * @param read gives the current metrics
   * @returns pushes once more, within 5 s, and stops
   */
  readonly beginPush: (read: () => readonly Family[]) => () => Promise<void>;
  readonly destinations: Destinations;
  /** Counts of spans that were not exported. */
  readonly dropped: DroppedSpans;
  readonly close: () => Promise<void>;
}

/** What telemetry needs. */
export interface TelemetryOptions {
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  readonly log: (line: string) => void;
  /** Called with spans of a queue that were not exported. */
  readonly onDropped?: (queue: QueueName, count: number) => void;
  /** Called after each attempt to send spans. */
  readonly onTried?: (isTaken: boolean) => void;
}
