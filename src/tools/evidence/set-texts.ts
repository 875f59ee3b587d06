import { keptFrom, keptPolicies, type KeptPolicies } from '../../core/ledger/log/kept-policies.ts';
import { setHashOf } from '../../core/policy/loading/set-hash.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';

/** The texts of policy sets by their hashes: those of given folders whose set has that hash, else those kept beside ledgers. */
export class SetTexts {
  readonly #ledgers: readonly string[];
  readonly #given: ReadonlyMap<string, PolicySource>;

  /**
   * @param ledgers their folders
   * @param given the content of policy folders
   */
  constructor(ledgers: readonly string[], given: readonly PolicySource[] = []) {
    this.#ledgers = ledgers;
    this.#given = new Map(given.map((source) => [setHashOf(source), source]));
  }

  /** The text of a set; `null` if it is not here, a problem if what is kept does not have this hash. */
  of(hash: string): KeptPolicies | Problem | null {
    const given = this.#given.get(hash);
    if (given !== undefined) return keptFrom(given);
    let wrong: Problem | null = null;
    for (const ledger of this.#ledgers) {
      const kept = keptPolicies(ledger, hash);
      if (kept !== null && !isProblem(kept)) return kept;
      if (kept !== null) wrong ??= kept;
    }
    return wrong;
  }

  /** The folder that was given with a set of this hash; `null` without one. */
  folderOf(hash: string): string | null {
    return this.#given.get(hash)?.folder ?? null;
  }
}
