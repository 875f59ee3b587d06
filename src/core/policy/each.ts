import { Engine } from './engine.ts';
import type { EngineRules, Keep } from './engine.ts';
import { SlicePool } from './pool.ts';
import type { PolicyEntry } from './loading/policy-file.ts';
import type { Question } from './question.ts';

/** The results of separately evaluated policies; ids sorted. */
export interface EachAnswer {
  /** `permit`s that match. */
  readonly permits: readonly string[];
  /** `forbid`s that match. */
  readonly forbids: readonly string[];
  /** Policies that failed. Nothing is known then about the others of the same effect. */
  readonly errors: readonly string[];
}

/** Policies that are evaluated separately. */
export interface Each {
  /** Whether the scope of any policy can match. Never throws. */
  readonly canMatch: (question: Question) => boolean;
  /** Evaluates each policy. Never throws. */
  readonly ask: (question: Question, keep?: Keep) => EachAnswer;
}

const NONE: EachAnswer = { permits: [], forbids: [], errors: [] };

/**
 * Evaluates policies separately. Permits and forbids use engines of their own, because Cedar names no permit if a forbid matches.
 * With `keep` answers are cached, in caches of their own, so that a trial costs a check almost nothing.
 *
 * @param rules its `generation` must be unique to these policies
 * @param pool an instance of Cedar to share; default a new instance
 */
export function eachOf(
  policies: readonly PolicyEntry[],
  rules: Omit<EngineRules, 'policies'>,
  pool = new SlicePool(),
): Each {
  const engines = (['permit', 'forbid'] as const).flatMap((effect) => {
    const own = policies.filter((policy) => policy.effect === effect);
    return own.length === 0
      ? []
      : [new Engine({ ...rules, generation: `${rules.generation} ${effect}s`, policies: own }, { pool }).warm()];
  });
  return {
    canMatch: (question) => engines.some((engine) => engine.members(question).length > 0),
    ask: (question, keep) => {
      if (engines.length === 0) return NONE;
      const answers = engines.map((engine) => engine.ask(question, keep));
      const idsOf = (kind: 'permitted' | 'forbidden' | 'error'): readonly string[] =>
        answers.flatMap((answer) => (answer.kind === kind ? answer.policyIds : [])).toSorted();
      return { permits: idsOf('permitted'), forbids: idsOf('forbidden'), errors: idsOf('error') };
    },
  };
}
