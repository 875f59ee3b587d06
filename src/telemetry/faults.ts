import { repeatedly } from '../runtime/repeatedly.ts';
import type { After } from '../runtime/timers.ts';
import type { Log } from './log.ts';

/** Tells the log of faults: each once when it begins or its words change, and once when it is over. */
export class Faults {
  readonly #log: Log;
  /** The words of each that lasts, by the part that has it. */
  readonly #lasting = new Map<string, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Takes how a part stands.
   *
   * @param what the part: of a closed set and the configuration, never of a request
   * @param problem in words; `null` where nothing is wrong
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

/** Looks twice a second at how parts stand, each by its name, and tells `faults`; the result ends it. */
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
