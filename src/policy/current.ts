import type { Finding } from '../action/finding.ts';
import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { PolicySet } from './load.ts';

/** Loads the set anew: whole, or every finding. */
export type LoadPolicySet = () => Promise<PolicySet | { readonly findings: readonly Finding[] }>;

/**
 * The policy set in force. A reload that comes to findings leaves the last good set in force; before the first good one
 * every question is denied with `policy.unavailable`. Reloads run one after the other.
 */
export class CurrentPolicies {
  readonly #load: LoadPolicySet;
  #set: PolicySet | null = null;
  #loading: Promise<readonly Finding[]> = Promise.resolve([]);

  constructor(load: LoadPolicySet) {
    this.#load = load;
  }

  /** The set in force at this moment. */
  get(): PolicySet | Deny {
    return this.#set ?? deny('policy.unavailable', 'no policy set is loaded');
  }

  /** Loads and swaps; the findings that stood in the way, none when the set is in force. Never rejects. */
  reload(): Promise<readonly Finding[]> {
    this.#loading = this.#loading.then(async () => {
      const loaded = await this.#load();
      if ('findings' in loaded) return loaded.findings;
      this.#set = loaded;
      return [];
    });
    return this.#loading;
  }
}
