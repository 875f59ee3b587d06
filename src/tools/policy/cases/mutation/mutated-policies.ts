import type { SourceFinding } from '../../../../core/action/catalog/finding.ts';
import { freshCedar } from '../../../../core/policy/cedar.ts';
import type { Cedar } from '../../../../core/policy/cedar.ts';
import { lintedPolicy } from '../../lint/linted-policy.ts';
import { Reach } from '../../lint/reach.ts';
import type { PolicySet } from '../../../../core/policy/loading/load.ts';
import { placeInPolicy } from '../../explain/probe.ts';
import type { CutPolicy } from '../../explain/probe.ts';
import { anyScope, scopeFrom } from '../../../../core/policy/answers/scope.ts';
import type { Scope } from '../../../../core/policy/answers/scope.ts';
import type { Problem } from '../../../../core/runtime/problem.ts';
import { mutantsOf } from './mutants.ts';
import type { Mutant } from './mutants.ts';

/** A mutant that could be loaded instead of its policy. */
export interface MutatedPolicy {
  /** Unique among all mutants. */
  readonly key: string;
  readonly of: CutPolicy;
  readonly mutant: Mutant;
  /** A permit that matches when the mutant does; `null` if the policy is removed. */
  readonly permit: { readonly text: string; readonly scope: Scope } | null;
}

/** Most mutants tried: those of about 10,000 policies. */
export const MAX_MUTANTS = 150_000;
const VALIDATED_AT_ONCE = 2000;

/**
 * The mutants of all policies that are worth a test. Excluded are those that validation refuses (nobody can load them by
 * mistake), and those whose scope covers the same requests as before. A problem if there are more than `MAX_MUTANTS`.
 */
export function mutatedPolicies(
  all: readonly CutPolicy[],
  { catalog, facts, schema }: Pick<PolicySet, 'catalog' | 'facts' | 'schema'>,
): { readonly mutated: readonly MutatedPolicy[]; readonly unloadable: number } | Problem {
  const cedar = freshCedar();
  const reach = new Reach(catalog, [...facts.entities.values()]);
  const mutants = all.flatMap((of) => mutantsOf(of).map((mutant) => ({ of, mutant })));
  if (mutants.length > MAX_MUTANTS) return { problem: `${mutants.length} mutants, more than ${MAX_MUTANTS}` };
  const mutated = mutants.flatMap(({ of, mutant }, index): readonly MutatedPolicy[] => {
    const key = `m${index}`;
    if (mutant.text === null) return [{ key, of, mutant, permit: null }];
    const text = `permit${mutant.text.slice(of.parts.effect.text.length)}`;
    const json = cedar.policyToJson(text);
    if (json.type === 'failure' || isSameReach(of, text, { mutant, reach, cedar })) return [];
    return [{ key, of, mutant, permit: { text, scope: scopeFrom(json.json) } }];
  });
  const refused = refusedOf(mutated, schema, cedar);
  const loadable = mutated.filter(({ key }) => !refused.has(key));
  return { mutated: loadable, unloadable: refused.size };
}

function isSameReach(
  { policy }: CutPolicy,
  text: string,
  { mutant, reach, cedar }: { readonly mutant: Mutant; readonly reach: Reach; readonly cedar: Cedar },
): boolean {
  if (mutant.scope === null || mutant.scope === 'principal') return false;
  const [before, after] = [policy, { ...policy, text }].map((one) => {
    const linted = lintedPolicy(one, cedar);
    return linted === null ? null : reach.of(linted);
  });
  return before?.size === after?.size && [...(before ?? [])].every((request) => after?.has(request));
}

function refusedOf(mutated: readonly MutatedPolicy[], schema: string, cedar: Cedar): ReadonlySet<string> {
  const refused = new Set<string>();
  for (let at = 0; at < mutated.length; at += VALIDATED_AT_ONCE) {
    const some = mutated.slice(at, at + VALIDATED_AT_ONCE);
    const texts = some.flatMap(({ key, permit }) => (permit === null ? [] : [[key, permit.text] as const]));
    const answer = cedar.validate({ schema, policies: { staticPolicies: Object.fromEntries(texts) } });
    const wrong =
      answer.type === 'success' ? answer.validationErrors.map(({ policyId }) => policyId) : some.map(({ key }) => key);
    for (const key of wrong) refused.add(key);
  }
  return refused;
}

/** A policy as a permit that matches when the policy does. */
export const cutPermit = ({ policy, parts }: CutPolicy): { readonly text: string; readonly scope: Scope } => ({
  text: `permit${policy.text.slice(parts.effect.offset + parts.effect.text.length)}`,
  scope: policy.scope ?? anyScope,
});

/** The place of a mutant's change in its policy's file. */
export function placeOfMutant({
  of: { policy },
  mutant,
}: MutatedPolicy): Required<Pick<SourceFinding, 'line' | 'column' | 'end'>> {
  const { line, column } = placeInPolicy(policy, mutant.start);
  return { line, column, end: placeInPolicy(policy, mutant.end) };
}
