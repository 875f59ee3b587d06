import type { TextPlace } from '../../../core/runtime/text-place.ts';
import { placeInPolicy } from '../explain/probe.ts';
import type { CutPolicy, Observation } from '../explain/probe.ts';
import type { PolicyClause } from '../explain/policy-parts.ts';
import { writtenClauses } from '../../../core/policy/loading/policy-end.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';

/** The coverage of one clause. */
export interface ClauseCoverage extends TextPlace {
  readonly kind: 'when' | 'unless';
  /** Cases in which it was reached and held. */
  readonly held: number;
  /** Cases in which it was reached and failed or could not be evaluated. */
  readonly failed: number;
}

/** The coverage of one policy. */
export interface PolicyCoverage extends TextPlace {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly file: string;
  readonly shadow: boolean;
  /** Cases in which it matched. */
  readonly matched: number;
  readonly clauses: readonly ClauseCoverage[];
}

/**
 * Clause coverage of the policies. It counts whether each clause held at least once and failed at least once. Conditions within a clause
 * are not distinguished; `mutation/` does that.
 */
export interface Coverage {
  readonly policies: readonly PolicyCoverage[];
  /** Total points: one per policy, two per clause. */
  readonly points: number;
  /** Covered points: policies that matched, clauses that held, clauses that failed. */
  readonly covered: number;
  /** `covered` of `points` in percent, rounded down; 100 without points. */
  readonly percent: number;
}

/** A clause or policy while counting. */
interface Counting {
  readonly policy: PolicyEntry;
  matched: number;
  readonly clauses: { readonly kind: ClauseCoverage['kind']; readonly offset: number; held: number; failed: number }[];
}

/** Counts coverage, case by case. */
export class CoverageCount {
  readonly #counts = new Map<string, Counting>();

  /** Adds the observations of one question. A policy always has the same pieces. */
  add(observations: readonly Observation[]): void {
    for (const { policy, matches, clauses } of observations) {
      const count = this.#counts.get(policy.id) ?? emptyCount(policy, writtenClauses(policy, clauses));
      this.#counts.set(policy.id, count);
      count.matched += Number(matches);
      for (const [index, clause] of clauses.entries()) {
        const of = count.clauses[index];
        if (of === undefined || !clause.isReached) continue;
        if (clause.standing === 'holds') of.held += 1;
        else of.failed += 1;
      }
    }
  }

  /** The coverage of these policies so far. */
  of(all: readonly CutPolicy[]): Coverage {
    const policies = all.map(({ policy, parts }): PolicyCoverage => {
      const count = this.#counts.get(policy.id) ?? emptyCount(policy, writtenClauses(policy, parts.clauses));
      const { id, effect, file, line, column, shadow } = policy;
      return {
        id,
        effect,
        file,
        line,
        column,
        shadow,
        matched: count.matched,
        clauses: count.clauses.map(({ kind, offset, held, failed }) => {
          const place = placeInPolicy(policy, offset);
          return { kind, held, failed, line: place.line, column: place.column };
        }),
      };
    });
    const points = policies.reduce((sum, policy) => sum + 1 + 2 * policy.clauses.length, 0);
    const covered = policies.reduce((sum, policy) => sum + coveredOf(policy), 0);
    return { policies, points, covered, percent: points === 0 ? 100 : Math.floor((covered * 100) / points) };
  }
}

const emptyCount = (policy: PolicyEntry, clauses: readonly Pick<PolicyClause, 'kind' | 'offset'>[]): Counting => ({
  policy,
  matched: 0,
  clauses: clauses.map(({ kind, offset }) => ({ kind, offset, held: 0, failed: 0 })),
});

const coveredOf = ({ matched, clauses }: PolicyCoverage): number =>
  Number(matched > 0) + clauses.reduce((sum, { held, failed }) => sum + Number(held > 0) + Number(failed > 0), 0);

/** What no case covered of a policy, one clause each: `never matched`, `` `when` at 14:1 never kept it from matching ``. */
export function gapsOf({ matched, clauses }: PolicyCoverage): readonly string[] {
  return [
    ...(matched > 0 ? [] : ['never matched']),
    ...clauses.flatMap(({ kind, line, column, held, failed }) => [
      ...(held > 0 ? [] : [`\`${kind}\` at ${line}:${column} never let it match`]),
      ...(failed > 0 ? [] : [`\`${kind}\` at ${line}:${column} never kept it from matching`]),
    ]),
  ];
}

/** `clause coverage 85 % (12 of 14): 3 of 4 permits, 2 of 2 forbids, 7 of 8 outcomes of clauses` */
export function coverageText({ policies, points, covered, percent }: Coverage): string {
  const of = (effect: PolicyCoverage['effect']): string => {
    const some = policies.filter((policy) => policy.effect === effect);
    return `${some.filter(({ matched }) => matched > 0).length} of ${some.length} ${effect}s`;
  };
  const clauses = policies.flatMap((policy) => policy.clauses);
  const outcomes = clauses.reduce((sum, { held, failed }) => sum + Number(held > 0) + Number(failed > 0), 0);
  return `clause coverage ${percent} % (${covered} of ${points}): ${of('permit')}, ${of('forbid')}, ${outcomes} of ${2 * clauses.length} outcomes of clauses`;
}
