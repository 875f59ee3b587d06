import { readsContext } from './context-read.ts';
import { eachOf } from '../../../core/policy/each.ts';
import type { EngineAnswer } from '../../../core/policy/engine.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import type { Question } from '../../../core/policy/question.ts';

/** A context value that is not known; the question contains a made-up value. */
export interface UnknownValue {
  /** Names of the path to it, such as `args`, `amount`. */
  readonly path: readonly string[];
  /** In words, such as `argument amount`. */
  readonly name: string;
}

/** Further knowledge about a question. */
export interface Known {
  readonly unknown: readonly UnknownValue[];
  /** Whether a policy is known to have matched this question; `undefined` if not known. */
  readonly matched: (policy: PolicyEntry) => boolean | undefined;
}

/** No answer: policies read unknown values. */
export interface Undecided {
  readonly kind: 'undecided';
  /** Names of the unknown values on which the answer depends. */
  readonly unknown: readonly string[];
}

/**
 * Evaluates the enforced policies for a partially unknown question. Returns the answer that holds for all unknown values, or
 * none. A policy that reads no unknown value is evaluated; a policy that does is either known to have matched or not, or
 * counts as undecided. Errors of such policies are not considered.
 */
export function partialAsker(set: PolicySet): (question: Question, known: Known) => EngineAnswer | Undecided {
  const enforced = set.policies.filter(({ shadow }) => !shadow);
  const each = eachOf(enforced, { ...set.facts, generation: `${set.hash} each` });
  return (question, known) => {
    const { permits, forbids, errors } = each.ask(question);
    const matching = new Set([...permits, ...forbids]);
    const views = set.canMatch(question).map((policy): View => {
      const unknown = known.unknown.filter(({ path }) => readsContext(policy.reads, path)).map(({ name }) => name);
      const matches = unknown.length === 0 ? matching.has(policy.id) : known.matched(policy);
      return { policy, unknown, matches };
    });
    return errors.length === 0 ? answerOf(views) : errorOf(views.filter(({ policy }) => errors.includes(policy.id)));
  };
}

/** A policy's result for a question; `matches` is `undefined` if it depends on unknown values. */
interface View {
  readonly policy: PolicyEntry;
  readonly unknown: readonly string[];
  readonly matches: boolean | undefined;
}

function answerOf(views: readonly View[]): EngineAnswer | Undecided {
  const of = (effect: PolicyEntry['effect'], matches: boolean | undefined): readonly View[] =>
    views.filter((view) => view.policy.effect === effect && view.matches === matches);
  const forbidding = of('forbid', true);
  if (forbidding.length > 0) return { kind: 'forbidden', policyIds: idsOf(forbidding) };
  const perhapsForbidding = of('forbid', undefined);
  if (perhapsForbidding.length > 0) return undecidedBy(perhapsForbidding);
  const permitting = of('permit', true);
  if (permitting.length > 0) return { kind: 'permitted', policyIds: idsOf(permitting) };
  const perhapsPermitting = of('permit', undefined);
  return perhapsPermitting.length > 0 ? undecidedBy(perhapsPermitting) : { kind: 'not-permitted' };
}

/** A policy that fails on made-up values need not fail on the real values. */
function errorOf(erring: readonly View[]): EngineAnswer | Undecided {
  const certain = erring.filter(({ unknown }) => unknown.length === 0);
  return certain.length > 0
    ? { kind: 'error', policyIds: idsOf(certain), detail: 'a policy could not be evaluated' }
    : undecidedBy(erring);
}

const idsOf = (views: readonly View[]): readonly string[] => views.map(({ policy }) => policy.id).toSorted();

const undecidedBy = (views: readonly View[]): Undecided => ({
  kind: 'undecided',
  unknown: [...new Set(views.flatMap(({ unknown }) => unknown))].toSorted(),
});
