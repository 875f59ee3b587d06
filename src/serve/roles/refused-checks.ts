import type { RefusalCause } from '../../sidecar/envoy/check/refusal.ts';
import type { EventRecord } from '../../core/ledger/record.ts';
import type { After } from '../../core/runtime/timers.ts';

/** Dependencies of the summaries. */
export interface RefusedChecksServices {
  readonly ledger: { append(record: EventRecord): boolean };
  readonly nowMs: () => number;
  readonly after: After;
}

const EACH_MS = 1_000;
/** Most agents named in a summary. */
const MAX_NAMED = 16;

/**
 * Records a summary for each second in which the server denied calls without a check: the counts by cause, and the agents that exceeded
 * their rate. One record per denial would add to the load that causes the denials. A summary that cannot be recorded is merged into the
 * next.
 *
 * Lifecycle: `add` for each denial, `close` once, which records the rest.
 */
export class RefusedChecks {
  readonly #services: RefusedChecksServices;
  #causes = new Map<RefusalCause, number>();
  #agents = new Map<string, number>();
  #cancel: (() => void) | null = null;

  constructor(services: RefusedChecksServices) {
    this.#services = services;
  }

  /** Counts a call that was denied without a check. */
  add(cause: RefusalCause): void {
    this.#causes.set(cause, (this.#causes.get(cause) ?? 0) + 1);
    this.#cancel ??= this.#services.after(EACH_MS, this.#record);
  }

  /** Counts an agent that exceeded its rate. */
  addAgent(agent: string): void {
    const name = /^spiffe:\/\/[\x21-\x7e]{1,255}$/.test(agent) ? agent : 'unknown';
    const count = this.#agents.get(name);
    if (count !== undefined || this.#agents.size < MAX_NAMED) this.#agents.set(name, (count ?? 0) + 1);
  }

  /** Records what is only counted so far. */
  close(): void {
    this.#cancel?.();
    this.#record();
  }

  readonly #record = (): void => {
    this.#cancel = null;
    if (this.#causes.size === 0) return;
    const counts = [...this.#causes.values()];
    const details = {
      count: counts.reduce((sum, count) => sum + count, 0),
      causes: Object.fromEntries(this.#causes),
      agents: Object.fromEntries(this.#agents),
    };
    const record = {
      kind: 'event',
      at: this.#services.nowMs(),
      task: null,
      event: 'refused',
      by: 'remit',
      details,
    } as const;
    if (this.#services.ledger.append({ ...record, cause: null, note: 'calls were denied without a check' })) {
      this.#causes = new Map();
      this.#agents = new Map();
    }
  };
}
