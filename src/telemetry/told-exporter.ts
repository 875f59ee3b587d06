import type { ExportResult } from './span-exporter.ts';
import type { Transport } from './transport.ts';

/** The exporter, calling `tell` on the first failure after each success. */
export function toldExporter<Batch>(exporter: Transport<Batch>, tell: () => void): Transport<Batch> {
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
