import type { TextPlace } from '../../../../core/runtime/text-place.ts';
import type { PolicySet } from '../../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../../core/policy/loading/policy-file.ts';
import { probeOf } from '../../explain/probe.ts';
import type { CutPolicy } from '../../explain/probe.ts';
import { isProblem } from '../../../../core/runtime/problem.ts';
import type { Problem } from '../../../../core/runtime/problem.ts';
import type { Suites } from '../suite-source.ts';
import { mutantAsker } from './asked-mutants.ts';
import type { MutantCheck } from './asked-mutants.ts';
import { caseChecks, cedarChecks, unlistedChecks } from './checks.ts';
import { mutatedPolicies, placeOfMutant } from './mutated-policies.ts';
import type { MutatedPolicy } from './mutated-policies.ts';
import { tellingCases } from './telling-case.ts';
import type { Example } from './telling-case.ts';

/** A mutant that no case detected. */
export interface Survivor extends TextPlace {
  /** The name for `@accept`, if the mutant may survive. */
  readonly mutant: string;
  readonly policy: string;
  readonly file: string;
  /** Just after the change. */
  readonly end: TextPlace;
  /** What was changed, as a clause. */
  readonly what: string;
  /** The changed policy, from its effect on; `null` if it is left out. */
  readonly changed: string | null;
  /** A case that would detect it, as a clause; `null` if none is known. */
  readonly wouldNotice: string | null;
}

/** The result of mutation testing. */
export interface Mutation {
  /** Number of mutants tried. */
  readonly mutants: number;
  /** Mutants with which a case fails, or something unlisted is allowed. */
  readonly noticed: number;
  /** Mutants that validation refuses. */
  readonly unloadable: number;
  readonly survivors: readonly Survivor[];
  /** Survivors named by `@accept`. */
  readonly accepted: readonly Survivor[];
  /** Names in `@accept` that do not survive. */
  readonly uselessAccepts: readonly (Pick<Survivor, 'mutant' | 'policy' | 'file'> & TextPlace)[];
}

/** Options of mutation testing. */
export interface MutationOptions {
  readonly isUnlistedTried: boolean;
  /** Called every 1,000 questions. */
  readonly onProgress: (noticed: number, mutants: number) => void;
}

const PROGRESS_EVERY = 1000;
/** Questions kept per policy, to find a case that would detect a mutant. */
const MAX_EXAMPLES = 8;

/**
 * Mutation testing: changes one thing at a time and reports the changes that no case detects. All suites must pass before. Each
 * question is put to all mutants at once; a case is decided again only if a mutant's result differs from its policy's. A
 * problem if there is too much to try.
 */
export function mutate(
  { cases, cedarTests }: Suites,
  policies: PolicySet,
  { isUnlistedTried, onProgress }: MutationOptions,
): Mutation | Problem {
  const all = probeOf(policies).policies;
  const made = mutatedPolicies(all, policies);
  if (isProblem(made)) return made;
  const unlisted = isUnlistedTried ? unlistedChecks(cases, policies) : [];
  if (isProblem(unlisted)) return unlisted;
  const alive = new Set(made.mutated);
  const examples = new Examples();
  let asked = 0;
  // Cases first: they detect most mutants, so few are left for the many unlisted questions.
  for (const checks of [caseChecks(cases, policies), unlisted, cedarChecks(cedarTests)]) {
    const ask = mutantAsker(all, alive, policies);
    for (const check of checks) {
      const answer = ask(check);
      if (answer !== null) examples.add(check, [...answer.matching.keys()]);
      for (const one of answer?.noticed ?? []) alive.delete(one);
      if ((asked += 1) % PROGRESS_EVERY === 0) onProgress(made.mutated.length - alive.size, made.mutated.length);
    }
  }
  return {
    ...sorted(
      alive,
      tellingCases(policies, (policy) => examples.of(policy)),
    ),
    ...countsOf(made, alive),
    uselessAccepts: uselessAccepts(all, alive),
  };
}

const countsOf = (
  { mutated, unloadable }: { readonly mutated: readonly MutatedPolicy[]; readonly unloadable: number },
  alive: ReadonlySet<MutatedPolicy>,
): Pick<Mutation, 'mutants' | 'noticed' | 'unloadable'> => ({
  mutants: mutated.length,
  noticed: mutated.length - alive.size,
  unloadable,
});

/** Separates accepted survivors from others, in the order of the set. */
function sorted(
  alive: ReadonlySet<MutatedPolicy>,
  wouldNotice: (one: MutatedPolicy) => string | null,
): Pick<Mutation, 'survivors' | 'accepted'> {
  const survivors: Survivor[] = [];
  const accepted: Survivor[] = [];
  for (const one of alive) {
    const { id: policy, file, accepts } = one.of.policy;
    const { id: mutant, what, text: changed } = one.mutant;
    const at = { mutant, policy, file, ...placeOfMutant(one), what, changed };
    if (accepts.includes(mutant)) accepted.push({ ...at, wouldNotice: null });
    else survivors.push({ ...at, wouldNotice: wouldNotice(one) });
  }
  return { survivors, accepted };
}

function uselessAccepts(all: readonly CutPolicy[], alive: ReadonlySet<MutatedPolicy>): Mutation['uselessAccepts'] {
  const surviving = Map.groupBy(alive, ({ of }) => of.policy);
  return all.flatMap(({ policy }) =>
    policy.accepts
      .filter((name) => name.startsWith('mutant-') && !surviving.get(policy)?.some(({ mutant }) => mutant.id === name))
      .map((mutant) => ({ mutant, policy: policy.id, file: policy.file, line: policy.line, column: policy.column })),
  );
}

/** Questions of cases by the policies that match them. */
class Examples {
  readonly #byPolicy = new Map<PolicyEntry, Example[]>();

  add(check: MutantCheck & { readonly name?: string }, matching: readonly PolicyEntry[]): void {
    const { asked, name } = check;
    if (name === undefined || !('question' in asked)) return;
    for (const policy of matching) {
      const known = this.#byPolicy.get(policy) ?? [];
      if (known.length < MAX_EXAMPLES) known.push({ name, question: asked.question });
      this.#byPolicy.set(policy, known);
    }
  }

  of(policy: PolicyEntry): readonly Example[] {
    return this.#byPolicy.get(policy) ?? [];
  }
}
