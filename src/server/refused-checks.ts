import type { RefusalCause } from '../envoy/refusal.ts';
import type { EventRecord } from '../ledger/record.ts';
import type { After } from '../runtime/timers.ts';

/** What refusals are summed up with. */
export interface RefusedChecksServices {
  readonly ledger: { append(record: EventRecord): boolean };
  readonly nowMs: () => number;
  readonly after: After;
}

const EACH_MS = 1_000;
/** Agents of one summary that are named. */
const MAX_NAMED = 16;

/**
 * One record for each second in which the server denied calls without a check: how many, why, and the agents that asked too often.
 * A record for each of them would be the load that it tells of. What cannot be recorded is in the next summary.
 *
 * Lifecycle: `add` for each, `close` once, which records the rest.
 */
export class RefusedChecks {
  readonly #services: RefusedChecksServices;
  #causes = new Map<RefusalCause, number>();
  #agents = new Map<string, number>();
  #cancel: (() => void) | null = null;

  constructor(services: RefusedChecksServices) {
    this.#services = services;
  }

  /** A call was denied without a check. */
  add(cause: RefusalCause): void {
    this.#causes.set(cause, (this.#causes.get(cause) ?? 0) + 1);
    this.#cancel ??= this.#services.after(EACH_MS, this.#record);
  }

  /** An agent asked too often. */
  addAgent(agent: string): void {
    const name = /^spiffe:\/\/[\x21-\x7e]{1,255}$/.test(agent) ? agent : 'unknown';
    const count = this.#agents.get(name);
    if (count !== undefined || this.#agents.size < MAX_NAMED) this.#agents.set(name, (count ?? 0) + 1);
  }

  /** Records what was only counted so far. */
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
