import { Engine } from './engine.ts';
import type { EngineRules, Keep } from './engine.ts';
import { SlicePool } from './pool.ts';
import type { PolicyEntry } from './loading/policy-file.ts';
import type { Question } from './question.ts';

/** What policies say of a question, each by itself; ids sorted. */
export interface EachAnswer {
  /** `permit`s that match. */
  readonly permits: readonly string[];
  /** `forbid`s that match. */
  readonly forbids: readonly string[];
  /** Those that err. Nothing is known then of the others of their effect. */
  readonly errors: readonly string[];
}

/** Some policies, each asked by itself. */
export interface Each {
  /** Whether any of them can match, by its scope. Never throws. */
  readonly canMatch: (question: Question) => boolean;
  /** What each says. Never throws. */
  readonly ask: (question: Question, keep?: Keep) => EachAnswer;
}

const NONE: EachAnswer = { permits: [], forbids: [], errors: [] };

/**
 * Asks what each of some policies says by itself. Permits and forbids are asked apart, in engines of their own, since Cedar
 * names no permit where a forbid matches. With `keep` answers are kept as those of the policies in force are, in caches of their
 * own, so that a trial costs a check next to nothing.
 *
 * @param rules its `generation` stands for these policies and no others
 * @param pool an instance of Cedar that others use too; default one of their own
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
