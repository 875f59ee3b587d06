import { SeverityNumber } from '@opentelemetry/api';
import { OTLPLogExporter as GrpcExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as JsonExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtobufExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, ConsoleLogRecordExporter, LoggerProvider } from '@opentelemetry/sdk-logs';
import type { LogRecordExporter } from '@opentelemetry/sdk-logs';
import type { OtelVariables } from './environment.ts';
import { buildResource } from './span-origin.ts';

/** A new checkpoint of a ledger. */
export interface CheckpointNotice {
  readonly size: number;
  /** The signed note, whose first line is the ledger's origin. */
  readonly note: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** Exports checkpoints to a collector. `close` sends what is queued, within 5 s. */
export interface CheckpointLogs {
  /** The destination in words; `null` where no collector for logs is configured. */
  readonly destination: string | null;
  readonly emit: (checkpoint: CheckpointNotice) => void;
  readonly close: () => Promise<void>;
}

/** By values of `OTEL_EXPORTER_OTLP_PROTOCOL`. Each reads endpoint, headers, certificates and timeout itself. */
const protocols: ReadonlyMap<string, () => LogRecordExporter> = new Map<string, () => LogRecordExporter>([
  ['grpc', () => new GrpcExporter()],
  ['http/json', () => new JsonExporter()],
  ['http/protobuf', () => new ProtobufExporter()],
]);

/** Queue limits. A lost checkpoint does little harm: each later one covers it. */
const QUEUE = { maxQueueSize: 1_000, maxExportBatchSize: 100, scheduledDelayMillis: 1_000 } as const;
const CLOSE_TIMEOUT_MS = 5_000;

const nowhere: CheckpointLogs = { destination: null, emit: () => undefined, close: () => Promise.resolve() };

/**
 * Exports each checkpoint as an OTLP log record whose body is the signed note, where the standard variables configure a
 * collector for logs. It is then an anchor with whoever runs the collector. A failing collector blocks nothing; a failure is
 * logged once until the next success.
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

/** The exporter, logging the first failure after each success. */
function told(exporter: LogRecordExporter, log: (line: string) => void): LogRecordExporter {
  let isTold = false;
  return {
    export: (records, done) =>
      exporter.export(records, (result) => {
        if (result.error === undefined) isTold = false;
        else if (!isTold) {
          isTold = true;
          log(
            'checkpoints: the collector rejected them as log records; set `OTEL_LOGS_EXPORTER=none` for one that accepts no logs',
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
