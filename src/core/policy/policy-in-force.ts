import type { SourceFinding } from '../action/catalog/finding.ts';
import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { Ports } from '../runtime/ports.ts';
import { messageOfFault } from '../runtime/repeatedly.ts';
import type { PolicySet } from './loading/load.ts';

/** Loads the set: complete, or all findings. */
export type LoadPolicySet = () => Promise<PolicySet | { readonly findings: readonly SourceFinding[] }>;

/** The rules for the age of a set. */
export interface PolicyAge {
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs'>;
  /** How long a set may stay in force without confirmation by its source; `null` for ever. */
  readonly maxAgeMs: number | null;
}

/**
 * The policy set in force. A reload with findings keeps the last good set. Questions are denied with `policy.unavailable`
 * before the first good set, `policy.expired` after its expiry, and `policy.stale` if its source has not confirmed it for
 * `maxAgeMs`. Reloads run one at a time; a set is swapped atomically between two questions, and an equal set is not swapped.
 */
export class PolicyInForce {
  readonly #load: LoadPolicySet;
  readonly #age: PolicyAge;
  #set: PolicySet | null = null;
  #generation = 0;
  #confirmedAtMs = 0;
  #loading: Promise<readonly SourceFinding[]> = Promise.resolve([]);

  constructor(load: LoadPolicySet, age: PolicyAge) {
    this.#load = load;
    this.#age = age;
  }

  /** Number of swaps: 0 before the first set. */
  get generation(): number {
    return this.#generation;
  }

  /** Time since the source last confirmed the set in force; `null` before the first. */
  get unconfirmedMs(): number | null {
    return this.#set === null ? null : this.#age.ports.monotonicMs() - this.#confirmedAtMs;
  }

  /** The set in force now, or a denial. */
  get(): PolicySet | Deny {
    const set = this.#set;
    if (set === null) return deny('policy.unavailable', 'no policy set is loaded');
    if (set.expiresAtMs !== null && this.#age.ports.nowMs() >= set.expiresAtMs) {
      return deny('policy.expired', `the policy set expired at ${new Date(set.expiresAtMs).toISOString()}`);
    }
    const { maxAgeMs, ports } = this.#age;
    if (maxAgeMs !== null && ports.monotonicMs() - this.#confirmedAtMs > maxAgeMs) {
      return deny('policy.stale', `the source of the policies has not confirmed them for ${maxAgeMs / 1000} s`);
    }
    return set;
  }

  /** The last set, even if it has expired or is stale, when it must not permit anything; `null` before the first. */
  get last(): PolicySet | null {
    return this.#set;
  }

  /** Notes that the source was asked and still has the set in force. */
  confirm(): void {
    this.#confirmedAtMs = this.#age.ports.monotonicMs();
  }

  /**
   * Loads and swaps. Returns the findings that prevented it, none if the set is in force. Never rejects: a load that throws
   * becomes a finding, so that the next load still runs.
   */
  reload(): Promise<readonly SourceFinding[]> {
    this.#loading = this.#loading.then(() => this.#reloaded()).catch(thrownFinding);
    return this.#loading;
  }

  async #reloaded(): Promise<readonly SourceFinding[]> {
    // What is read is at least as new as this instant.
    const beganMs = this.#age.ports.monotonicMs();
    const loaded = await this.#load();
    if ('findings' in loaded) return loaded.findings;
    this.#confirmedAtMs = beganMs;
    // Keeping an equal set keeps its cached answers.
    if (loaded.hash === this.#set?.hash && loaded.expiresAtMs === this.#set.expiresAtMs) return [];
    this.#generation += 1;
    this.#set = { ...loaded, generation: this.#generation };
    return [];
  }
}

const thrownFinding = (error: unknown): readonly SourceFinding[] => [
  { file: 'policies', line: 1, column: 1, message: `the load failed: ${messageOfFault(error)}`, help: null },
];
