import type { After } from '../runtime/timers.ts';
import type { EndedSpan } from './ended-span.ts';
import type { SpanExporter } from './span-exporter.ts';
import { SpanQueue } from './span-queue.ts';
import type { DropCause, QueueSettings } from './span-queue.ts';

/** The queues of an exporter: allowed checks in one; denials, issuance, ends and all else in the other. */
export const QUEUES = ['allows', 'denials'] as const;

/** The name of a queue. */
export type QueueName = (typeof QUEUES)[number];

/** Told of spans that were not exported. */
export type OnDropped = (queue: QueueName, count: number, cause: DropCause) => void;

/**
 * Hands each ended span to one of two bounded queues of one exporter, so that no flood of allows pushes out a denial, an
 * issuance or an end, nor makes one wait.
 *
 * Lifecycle: `shutdown` sends what waits and ends the exporter; `abandon` gives up on the rest.
 */
export class SpanRouter {
  readonly #exporter: SpanExporter;
  readonly #queues: Readonly<Record<QueueName, SpanQueue>>;

  constructor(
    exporter: SpanExporter,
    { settings, after, onDropped }: { settings: QueueSettings; after: After; onDropped: OnDropped },
  ) {
    const queue = (name: QueueName): SpanQueue =>
      new SpanQueue({ ...settings, exporter, after, onDropped: (count, cause) => onDropped(name, count, cause) });
    this.#exporter = exporter;
    this.#queues = { allows: queue('allows'), denials: queue('denials') };
  }

  add(span: EndedSpan): void {
    this.#queues[span.isAllowedCheck ? 'allows' : 'denials'].add(span);
  }

  /** Sends what waits now. */
  async flush(): Promise<void> {
    await Promise.all(QUEUES.map((name) => this.#queues[name].flush()));
  }

  async shutdown(): Promise<void> {
    await Promise.all(QUEUES.map((name) => this.#queues[name].close()));
    await this.#exporter.shutdown();
  }

  abandon(): void {
    for (const name of QUEUES) this.#queues[name].abandon();
  }
}
