import { keptFrom, keptPolicies, type KeptPolicies } from '../../core/ledger/log/kept-policies.ts';
import { setHashOf } from '../../core/policy/loading/set-hash.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import type { Problem } from '../../core/runtime/problem.ts';

/** The texts of policy sets by their hashes: those kept beside a ledger, and those of folders that have the very hash. */
export class SetTexts {
  readonly #ledger: string;
  readonly #given: ReadonlyMap<string, PolicySource>;

  /**
   * @param ledger its folder
   * @param given the content of policy folders
   */
  constructor(ledger: string, given: readonly PolicySource[] = []) {
    this.#ledger = ledger;
    this.#given = new Map(given.map((source) => [setHashOf(source), source]));
  }

  /** The text of a set; `null` if it is not here, a problem if what is kept does not have this hash. */
  of(hash: string): KeptPolicies | Problem | null {
    const given = this.#given.get(hash);
    return given === undefined ? keptPolicies(this.#ledger, hash) : keptFrom(given);
  }

  /** The folder that was given with a set of this hash; `null` without one. */
  folderOf(hash: string): string | null {
    return this.#given.get(hash)?.folder ?? null;
  }
}
