import type { After } from '../../runtime/timers.ts';
import type { EndedSpan } from './ended-span.ts';
import type { SpanExporter } from './span-exporter.ts';
import { SpanQueue } from './span-queue.ts';
import type { DropCause, QueueSettings } from './span-queue.ts';

/** The queues of an exporter: one for allowed checks, one for everything else (denials, issuance, ends). */
export const QUEUES = ['allows', 'denials'] as const;

/** The name of a queue. */
export type QueueName = (typeof QUEUES)[number];

/** Called with spans that were not exported. */
export type OnDropped = (queue: QueueName, count: number, cause: DropCause) => void;

/**
 * Distributes ended spans to two bounded queues per exporter, so that a flood of allows neither evicts nor delays a denial, an
 * issuance or an end.
 *
 * Lifecycle: `shutdown` sends the rest and ends the exporter; `abandon` drops the rest.
 */
export class SpanRouter {
  readonly #exporter: SpanExporter;
  readonly #queues: Readonly<Record<QueueName, SpanQueue>>;

  constructor(
    exporter: SpanExporter,
    {
      settings,
      after,
      onDropped,
      onTried,
    }: {
      settings: QueueSettings;
      after: After;
      onDropped: OnDropped;
      onTried?: ((isTaken: boolean) => void) | undefined;
    },
  ) {
    const queue = (name: QueueName): SpanQueue =>
      new SpanQueue({
        ...settings,
        exporter,
        after,
        onTried,
        onDropped: (count, cause) => onDropped(name, count, cause),
      });
    this.#exporter = exporter;
    this.#queues = { allows: queue('allows'), denials: queue('denials') };
  }

  add(span: EndedSpan): void {
    this.#queues[span.isAllowedCheck ? 'allows' : 'denials'].add(span);
  }

  /** Sends what is queued. */
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
