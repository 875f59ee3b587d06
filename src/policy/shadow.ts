import { Engine } from './engine.ts';
import type { EngineRules, Keep } from './engine.ts';
import type { PolicyEntry } from './policy-file.ts';
import type { Question } from './question.ts';

/** The policies in shadow that match a question, each by itself; ids sorted. */
export interface ShadowAnswer {
  /** Those that would deny: `forbid`s that match, and any policy that errs. */
  readonly denies: readonly string[];
  /** `permit`s that match. */
  readonly permits: readonly string[];
}

const NONE: ShadowAnswer = { denies: [], permits: [] };

/**
 * What the policies in shadow would do. Permits and forbids are asked apart, in engines of their own, since Cedar names no
 * permit where a forbid matches; the engine of the policies in force has none of them. Answers are kept as those of the policies
 * in force are, in caches of their own, so that a trial costs a check next to nothing.
 */
export function shadowOf(
  policies: readonly PolicyEntry[],
  rules: Omit<EngineRules, 'policies'>,
): (question: Question, keep: Keep) => ShadowAnswer {
  const engines = (['permit', 'forbid'] as const).flatMap((effect) => {
    const own = policies.filter((policy) => policy.shadow && policy.effect === effect);
    return own.length === 0
      ? []
      : [new Engine({ ...rules, generation: `${rules.generation} ${effect}s in shadow`, policies: own }).warm()];
  });
  if (engines.length === 0) return () => NONE;
  return (question, keep) => {
    const answers = engines.map((engine) => engine.ask(question, keep));
    return {
      denies: answers
        .flatMap((answer) => (answer.kind === 'forbidden' || answer.kind === 'error' ? answer.policyIds : []))
        .toSorted(),
      permits: answers.flatMap((answer) => (answer.kind === 'permitted' ? answer.policyIds : [])),
    };
  };
}
