import type { Finding } from '../action/finding.ts';
import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { Ports } from '../runtime/ports.ts';
import { messageOfFault } from '../runtime/repeatedly.ts';
import type { PolicySet } from './loading/load.ts';

/** Loads the set anew: whole, or every finding. */
export type LoadPolicySet = () => Promise<PolicySet | { readonly findings: readonly Finding[] }>;

/** What a set in force is judged by. */
export interface PolicyAge {
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs'>;
  /** How long a set may be in force without its source having agreed; `null` for ever. */
  readonly maxAgeMs: number | null;
}

/**
 * The policy set in force. A reload that comes to findings leaves the last good set in force; before the first good one
 * every question is denied with `policy.unavailable`, after its expiry with `policy.expired`, and with `policy.stale` where
 * its source has not agreed for longer than it may. Reloads run one after the other; a set is swapped whole, between two
 * questions, and an equal one is not swapped at all.
 */
export class PolicyInForce {
  readonly #load: LoadPolicySet;
  readonly #age: PolicyAge;
  #set: PolicySet | null = null;
  #generation = 0;
  #confirmedAtMs = 0;
  #loading: Promise<readonly Finding[]> = Promise.resolve([]);

  constructor(load: LoadPolicySet, age: PolicyAge) {
    this.#load = load;
    this.#age = age;
  }

  /** How often a set was swapped in: 0 before the first. */
  get generation(): number {
    return this.#generation;
  }

  /** Since the source last agreed with the set in force; `null` before the first. */
  get unconfirmedMs(): number | null {
    return this.#set === null ? null : this.#age.ports.monotonicMs() - this.#confirmedAtMs;
  }

  /** The set in force at this moment. */
  get(): PolicySet | Deny {
    const set = this.#set;
    if (set === null) return deny('policy.unavailable', 'no policy set is loaded');
    if (set.expiresAtMs !== null && this.#age.ports.nowMs() >= set.expiresAtMs) {
      return deny('policy.expired', `the policy set expired at ${new Date(set.expiresAtMs).toISOString()}`);
    }
    const { maxAgeMs, ports } = this.#age;
    if (maxAgeMs !== null && ports.monotonicMs() - this.#confirmedAtMs > maxAgeMs) {
      return deny('policy.stale', `the source of the policies has not agreed for ${maxAgeMs / 1000} s`);
    }
    return set;
  }

  /** Notes that the source was asked and still has the set in force. */
  confirm(): void {
    this.#confirmedAtMs = this.#age.ports.monotonicMs();
  }

  /**
   * Loads and swaps; the findings that stood in the way, none when the set is in force. Never rejects: a load that throws is a
   * finding as well, so that the one after it is made.
   */
  reload(): Promise<readonly Finding[]> {
    this.#loading = this.#loading.then(() => this.#reloaded()).catch(thrownFinding);
    return this.#loading;
  }

  async #reloaded(): Promise<readonly Finding[]> {
    // What is read is at least as new as this.
    const beganMs = this.#age.ports.monotonicMs();
    const loaded = await this.#load();
    if ('findings' in loaded) return loaded.findings;
    this.#confirmedAtMs = beganMs;
    // An equal set is kept with what is cached by it.
    if (loaded.hash === this.#set?.hash && loaded.expiresAtMs === this.#set.expiresAtMs) return [];
    this.#generation += 1;
    this.#set = { ...loaded, generation: this.#generation };
    return [];
  }
}

const thrownFinding = (error: unknown): readonly Finding[] => [
  { file: 'policies', line: 1, column: 1, message: `the load failed: ${messageOfFault(error)}`, help: null },
];
