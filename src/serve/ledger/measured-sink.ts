import type { RecordSink } from '../../core/ledger/writer.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';

/** Wraps a sink to time its commits and count its failures. */
export function measuredSink(
  sink: RecordSink,
  { metrics, ports }: { readonly metrics: Metrics; readonly ports: Pick<Ports, 'monotonicMs'> },
): RecordSink {
  const duration = metrics.ledgerWriteDuration.of({});
  const failures = metrics.ledgerFailures.of({});
  return {
    appendRecords: async (batch) => {
      const beganMs = ports.monotonicMs();
      const failure = await sink.appendRecords(batch);
      duration.observe((ports.monotonicMs() - beganMs) / 1000);
      if (failure !== null) failures.inc();
      return failure;
    },
  };
}
