import { repeatedly } from '../runtime/repeatedly.ts';
import type { After } from '../runtime/timers.ts';
import type { Log } from './log.ts';

/** Logs faults: once when a fault begins or its text changes, and once when it ends. */
export class Faults {
  readonly #log: Log;
  /** The text of each lasting fault, by component. */
  readonly #lasting = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Reports the state of a component.
   *
   * @param what the component, from a closed set and the configuration, never from a request
   * @param problem in words; `null` if nothing is wrong
   */
  set(what: string, problem: string | null): void {
    const before = this.#lasting.get(what) ?? null;
    if (problem === before) return;
    if (problem === null) {
      this.#lasting.delete(what);
      this.#log(`${what}: over: ${before ?? ''}`, 'recovered', { what });
      return;
    }
    this.#lasting.set(what, problem);
    this.#log(`${what}: ${problem}`, 'fault', { what });
  }
}

const LOOK_MS = 500;

/** Polls the state of components twice a second and reports it to `faults`. The returned function stops it. */
export function watchFaults(
  faults: Faults,
  parts: Readonly<Record<string, () => string | null>>,
  after: After,
): () => Promise<void> {
  const look = (): void => {
    for (const [what, problem] of Object.entries(parts)) faults.set(what, problem());
  };
  return repeatedly(look, { everyMs: LOOK_MS, after, onFault: (fault) => faults.set('faults', fault) });
}
