import type { BatchTransport } from './transport.ts';

/**
 * A transport that reconnects after each failed batch. It resolves the name again, and leaves a collector that accepts connections and
 * does not answer. The exporter of OpenTelemetry over gRPC keeps its connection for six deadlines, and looks up a name at most every 30 s.
 *
 * @param make makes connection number `n`, from 1
 */
export function renewedTransport<Batch>(make: (n: number) => BatchTransport<Batch>): BatchTransport<Batch> {
  let made = 1;
  let current = make(made);
  const renew = (failed: BatchTransport<Batch>): void => {
    if (current !== failed) return;
    made += 1;
    current = make(made);
    // Waits for the batches in progress.
    void failed.shutdown().catch(() => undefined);
  };
  return {
    export: (batch, done) => {
      const used = current;
      used.export(batch, (result) => {
        if (result.error !== undefined) renew(used);
        done(result);
      });
    },
    forceFlush: () => current.forceFlush(),
    shutdown: () => current.shutdown(),
  };
}
