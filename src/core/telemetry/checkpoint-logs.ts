import { SeverityNumber } from '@opentelemetry/api';
import type { Logger } from '@opentelemetry/api';
import { JsonLogsSerializer, LogsExporterMetricsHelper, ProtobufLogsSerializer } from '@opentelemetry/otlp-transformer';
import { BatchLogRecordProcessor, ConsoleLogRecordExporter, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';
import type { LogRecordProcessor } from '@opentelemetry/sdk-logs';
import type { CheckpointNotice } from './checkpoint-notice.ts';
import type { Destination, Protocol } from './destinations.ts';
import { wholeNumberFrom } from './environment.ts';
import type { OtelVariables } from './environment.ts';
import { otlpTransport } from './spans/otlp-transport.ts';
import { withFailureNotice } from './spans/failure-notice.ts';

/** Queue limits by default. A lost checkpoint does little harm: each later checkpoint covers it. */
const DEFAULTS = { queue: 1_000, batch: 100, delayMs: 1_000, timeoutMs: 30_000 } as const;

const UNTAKEN =
  'checkpoints: the collector rejected them as log records; set `OTEL_LOGS_EXPORTER=none` for a collector that accepts no logs';

/**
 * The processors that export log records to a destination, with the queue limits of the `OTEL_BLRP_*` variables. A failing collector
 * blocks nothing; a failure is logged once until the next success.
 */
export function logProcessorsTo(
  { otlp, isConsole }: Destination,
  { variables, log }: { readonly variables: OtelVariables; readonly log: (line: string) => void },
): LogRecordProcessor[] {
  const number = (name: string, fallback: number): number =>
    wholeNumberFrom(variables, `OTEL_BLRP_${name}`, 1) ?? fallback;
  const maxQueueSize = number('MAX_QUEUE_SIZE', DEFAULTS.queue);
  const collected = (protocol: Protocol): LogRecordProcessor =>
    new BatchLogRecordProcessor({
      exporter: withFailureNotice(otlpTransport('LOGS', protocol, encodingFor(protocol)), () => log(UNTAKEN)),
      maxQueueSize,
      maxExportBatchSize: Math.min(maxQueueSize, number('MAX_EXPORT_BATCH_SIZE', DEFAULTS.batch)),
      scheduledDelayMillis: number('SCHEDULE_DELAY', DEFAULTS.delayMs),
      exportTimeoutMillis: number('EXPORT_TIMEOUT', DEFAULTS.timeoutMs),
    });
  return [
    ...(otlp === null ? [] : [collected(otlp)]),
    ...(isConsole ? [new SimpleLogRecordProcessor({ exporter: new ConsoleLogRecordExporter() })] : []),
  ];
}

const encodingFor = (protocol: Protocol) => ({
  serializer: protocol === 'http/json' ? JsonLogsSerializer : ProtobufLogsSerializer,
  metricsHelper: LogsExporterMetricsHelper,
});

/**
 * Emits a checkpoint of a ledger as a log record whose body is the signed note. The collector's copy is then an anchor.
 */
export function emitCheckpoint(logger: Logger, { size, note, atMs }: CheckpointNotice): void {
  logger.emit({
    eventName: 'remit.ledger.checkpoint',
    severityNumber: SeverityNumber.INFO,
    severityText: 'INFO',
    timestamp: new Date(atMs),
    body: note,
    attributes: { 'remit.ledger.origin': note.slice(0, note.indexOf('\n')), 'remit.ledger.size': size },
  });
}
