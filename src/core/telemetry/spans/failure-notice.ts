import type { ExportResult } from './span-exporter.ts';
import type { BatchTransport } from './transport.ts';

/** The exporter; it calls `onFailure` on the first failure after each success. */
export function withFailureNotice<Batch>(
  exporter: BatchTransport<Batch>,
  onFailure: () => void,
): BatchTransport<Batch> {
  let isFailing = false;
  const heard = ({ error }: ExportResult): void => {
    if (error !== undefined && !isFailing) onFailure();
    isFailing = error !== undefined;
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
