import type { Outlet } from './span-exporter.ts';

/** Sends batches to a collector. */
export interface BatchTransport<Batch> extends Outlet<Batch> {
  /** Waits for pending batches. */
  forceFlush(): Promise<void>;
}
