import { SeverityNumber } from '@opentelemetry/api';
import { OTLPLogExporter as GrpcExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as JsonExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtobufExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, ConsoleLogRecordExporter, LoggerProvider } from '@opentelemetry/sdk-logs';
import type { LogRecordExporter } from '@opentelemetry/sdk-logs';
import type { OtelVariables } from './environment.ts';
import { buildResource } from './span-origin.ts';

/** A checkpoint that was made of a ledger. */
export interface CheckpointNotice {
  readonly size: number;
  /** The signed note, whose first line is the origin of the ledger. */
  readonly note: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** The way of checkpoints to a collector. `close` sends what waits, within 5 s. */
export interface CheckpointLogs {
  /** Where they go, in words; `null` where nobody named a collector for logs. */
  readonly destination: string | null;
  readonly emit: (checkpoint: CheckpointNotice) => void;
  readonly close: () => Promise<void>;
}

/** By the names of `OTEL_EXPORTER_OTLP_PROTOCOL`. Each reads endpoint, headers, certificates and timeout for itself. */
const protocols: ReadonlyMap<string, () => LogRecordExporter> = new Map<string, () => LogRecordExporter>([
  ['grpc', () => new GrpcExporter()],
  ['http/json', () => new JsonExporter()],
  ['http/protobuf', () => new ProtobufExporter()],
]);

/** Checkpoints that wait for the collector at most; each later one says more than the one before it. */
const QUEUE = { maxQueueSize: 1_000, maxExportBatchSize: 100, scheduledDelayMillis: 1_000 } as const;
const CLOSE_TIMEOUT_MS = 5_000;

const nowhere: CheckpointLogs = { destination: null, emit: () => undefined, close: () => Promise.resolve() };

/**
 * Hands each checkpoint of a ledger to a collector as an OTLP log record, where the standard variables name one for logs:
 * an anchor outside, in the hands of who runs the collector. Its body is the signed note. A collector that is gone holds up
 * nothing; when one does not take them it is logged once, until it does.
 *
 * @see OpenTelemetry specification, SDK environment variables, exporter selection
 */
export function startCheckpointLogs(variables: OtelVariables, log: (line: string) => void): CheckpointLogs {
  const endpoint = variables['OTEL_EXPORTER_OTLP_LOGS_ENDPOINT'] ?? variables['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const exporter = variables['OTEL_LOGS_EXPORTER']?.trim() || (endpoint === undefined ? 'none' : 'otlp');
  const made = exporterNamed(exporter, variables);
  if (made === null) {
    if (exporter !== 'none')
      log(`checkpoints: \`OTEL_LOGS_EXPORTER\` is \`${exporter}\`: known are otlp, console, none`);
    return nowhere;
  }
  const provider = new LoggerProvider({
    resource: buildResource()
      .merge(resourceFromAttributes({ 'service.name': variables['OTEL_SERVICE_NAME'] ?? 'remit' }))
      .merge(detectResources({ detectors: [envDetector] })),
    processors: [new BatchLogRecordProcessor({ exporter: told(made, log), ...QUEUE })],
  });
  const logger = provider.getLogger('remit.ledger');
  return {
    destination: endpoint ?? exporter,
    emit: ({ size, note, atMs }) =>
      logger.emit({
        eventName: 'remit.ledger.checkpoint',
        severityNumber: SeverityNumber.INFO,
        severityText: 'INFO',
        timestamp: new Date(atMs),
        body: note,
        attributes: { 'remit.ledger.origin': note.slice(0, note.indexOf('\n')), 'remit.ledger.size': size },
      }),
    close: () => shutDown(provider),
  };
}

function exporterNamed(name: string, variables: OtelVariables): LogRecordExporter | null {
  if (name === 'console') return new ConsoleLogRecordExporter();
  if (name !== 'otlp') return null;
  const asked = variables['OTEL_EXPORTER_OTLP_LOGS_PROTOCOL'] ?? variables['OTEL_EXPORTER_OTLP_PROTOCOL'];
  return (protocols.get(asked?.trim() ?? '') ?? (() => new ProtobufExporter()))();
}

/** The exporter, whose first failure is told, and the first after each success. */
function told(exporter: LogRecordExporter, log: (line: string) => void): LogRecordExporter {
  let isTold = false;
  return {
    export: (records, done) =>
      exporter.export(records, (result) => {
        if (result.error === undefined) isTold = false;
        else if (!isTold) {
          isTold = true;
          log(
            'checkpoints: the collector did not take them as log records; `OTEL_LOGS_EXPORTER=none` keeps them from one that takes no logs',
          );
        }
        done(result);
      }),
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
}

async function shutDown(provider: LoggerProvider): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((done) => (timer = setTimeout(done, CLOSE_TIMEOUT_MS)));
  await Promise.race([provider.shutdown().catch(() => undefined), late]);
  clearTimeout(timer);
}
