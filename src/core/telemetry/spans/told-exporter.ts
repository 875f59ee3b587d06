import type { ExportResult } from './span-exporter.ts';
import type { BatchTransport } from './transport.ts';

/** The exporter, calling `tell` on the first failure after each success. */
export function toldExporter<Batch>(exporter: BatchTransport<Batch>, tell: () => void): BatchTransport<Batch> {
  let isTold = false;
  const heard = ({ error }: ExportResult): void => {
    if (error !== undefined && !isTold) tell();
    isTold = error !== undefined;
  };
  return {
    export: (batch, done) =>
      exporter.export(batch, (result) => {
        heard(result);
        done(result);
      }),
    forceFlush: () => exporter.forceFlush(),
    shutdown: () => exporter.shutdown(),
  };
}
