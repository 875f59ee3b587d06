import type { RefusalCause } from '../../sidecar/envoy/check/refusal.ts';
import type { After } from '../../core/runtime/timers.ts';

const EACH_MS = 1_000;
/** Most decision ids named in a line. */
const MAX_NAMED = 16;
/** Causes that are a fault here, in words. Refusals of load are in metrics and the record `refused` alone. */
const FAULTS: ReadonlyMap<RefusalCause, string> = new Map([
  ['deadline', 'not decided within its deadline'],
  ['failed', 'failed'],
]);

/**
 * Logs checks that were denied by a fault of this process, with the decision ids that their clients got: at most one line a second.
 *
 * Lifecycle: `add` for each denial, `close` once, which logs the rest.
 */
export class LoggedRefusals {
  readonly #log: (line: string) => void;
  readonly #after: After;
  #ids: string[] = [];
  #causes = new Map<string, number>();
  #cancel: (() => void) | null = null;

  constructor({ log, after }: { readonly log: (line: string) => void; readonly after: After }) {
    this.#log = log;
    this.#after = after;
  }

  /** Notes a denial, if its cause is a fault. */
  add(cause: RefusalCause, decisionId: string): void {
    const words = FAULTS.get(cause);
    if (words === undefined) return;
    this.#causes.set(words, (this.#causes.get(words) ?? 0) + 1);
    if (this.#ids.length < MAX_NAMED) this.#ids.push(decisionId);
    this.#cancel ??= this.#after(EACH_MS, this.#tell);
  }

  /** Logs what is only noted so far. */
  close(): void {
    this.#cancel?.();
    this.#tell();
  }

  readonly #tell = (): void => {
    this.#cancel = null;
    if (this.#causes.size === 0) return;
    const counts = [...this.#causes].map(([words, count]) => `${count} ${words}`).join(', ');
    const total = [...this.#causes.values()].reduce((sum, count) => sum + count, 0);
    const more = total > this.#ids.length ? `, and ${total - this.#ids.length} more` : '';
    this.#log(`checks denied without a decision: ${counts}: ${this.#ids.map((id) => `\`${id}\``).join(', ')}${more}`);
    this.#ids = [];
    this.#causes = new Map();
  };
}
