import type { After } from '../../runtime/timers.ts';
import type { DropCause } from './span-queue.ts';
import { QUEUES } from './span-router.ts';
import type { QueueName } from './span-router.ts';

const LOG_EVERY_MS = 60_000;

const causes: Readonly<Record<DropCause, string>> = {
  full: 'its queue is full',
  failed: 'the collector rejected them',
  closed: 'they were not sent before the end',
};

/**
 * Counts spans that were not exported, by queue: `remit_spans_dropped_total{queue}`. Logs at once, then at most once a minute.
 *
 * Lifecycle: `close` logs the rest.
 */
export class DroppedSpans {
  readonly #counts = new Map<QueueName, number>(QUEUES.map((name) => [name, 0]));
  readonly #unsaid = new Map<string, number>();
  readonly #log: (line: string) => void;
  readonly #after: After;
  #cancel: (() => void) | null = null;

  constructor({ log, after }: { readonly log: (line: string) => void; readonly after: After }) {
    this.#log = log;
    this.#after = after;
  }

  /** Spans of a queue dropped since the start. */
  count(queue: QueueName): number {
    return this.#counts.get(queue) ?? 0;
  }

  add(queue: QueueName, count: number, cause: DropCause): void {
    this.#counts.set(queue, this.count(queue) + count);
    const what = `of \`${queue}\`: ${causes[cause]}`;
    this.#unsaid.set(what, (this.#unsaid.get(what) ?? 0) + count);
    if (this.#cancel === null) this.#say();
  }

  close(): void {
    this.#cancel?.();
    this.#say();
    this.#cancel?.();
  }

  #say(): void {
    this.#cancel = null;
    if (this.#unsaid.size === 0) return;
    for (const [what, count] of this.#unsaid) this.#log(`spans: ${count} dropped ${what}`);
    this.#unsaid.clear();
    this.#cancel = this.#after(LOG_EVERY_MS, () => this.#say());
  }
}
