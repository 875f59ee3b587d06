import { freshCedar } from '../../../../core/policy/cedar.ts';
import type { Cedar } from '../../../../core/policy/cedar.ts';
import { Engine } from '../../../../core/policy/engine.ts';
import type { EngineAnswer } from '../../../../core/policy/engine.ts';
import type { PolicySet } from '../../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../../core/policy/loading/policy-file.ts';
import { SlicePool } from '../../../../core/policy/pool.ts';
import type { Question } from '../../../../core/policy/question.ts';
import { variationsFor } from '../../explain/solve.ts';
import { agentsWithGroups, changesText, unchanged } from '../../explain/variation.ts';
import type { Variation } from '../../explain/variation.ts';
import type { MutatedPolicy } from './mutated-policies.ts';

/** The question of a case. */
export interface Example {
  readonly name: string;
  readonly question: Question;
}

/** Most changed questions per mutant, and in all. */
const MAX_ASKED = 200;
const MAX_ASKED_IN_ALL = 20_000;

const READS = { everything: true, roots: new Map() };

/**
 * Finds, for a surviving mutant, a case that would detect it, as a clause: a case of its policy with a changed value, for
 * which the engine answers differently with the mutant. `null` if no such change is known.
 *
 * @param examplesOf questions of cases that a policy matches, or can match
 */
export function tellingCases(
  policies: PolicySet,
  examplesOf: (policy: PolicyEntry) => readonly Example[],
): (mutated: MutatedPolicy) => string | null {
  const cedar = freshCedar();
  const pool = new SlicePool();
  const agents = agentsWithGroups(policies.facts.entities);
  let left = MAX_ASKED_IN_ALL;
  return ({ key, of: { policy }, mutant, permit }) => {
    // Shadow policies do not affect the answer.
    if (policy.shadow) return null;
    const own =
      permit === null
        ? []
        : [{ id: policy.id, text: withEffect(policy, permit.text), scope: permit.scope, reads: READS }];
    const others = policies.policies.filter((other) => !other.shadow && other !== policy);
    const rules = { generation: `${policies.hash} ${key}`, policies: [...others, ...own], ...policies.facts };
    const mutation = new Engine(rules, { pool, cache: null });
    const goal = mutant.telling === null ? null : expressionOf(mutant.telling, cedar);
    let asked = 0;
    for (const { name, question } of examplesOf(policy)) {
      const changed =
        goal === null
          ? []
          : [true, false].flatMap((isTrue) =>
              variationsFor([{ expression: goal, isTrue }], unchanged(question), agents),
            );
      for (const variation of [unchanged(question), ...changed]) {
        if ((asked += 1) > MAX_ASKED || (left -= 1) < 0) return null;
        const [before, after] = [policies.ask(variation.question), mutation.ask(variation.question)];
        // A proved policy fails only on questions that cannot occur, such as a context without required members.
        const isReal = before.kind !== 'error' && after.kind !== 'error';
        if (isReal && answerText(before) !== answerText(after)) return clause(name, variation, { before, after });
      }
    }
    return null;
  };
}

const withEffect = ({ effect }: PolicyEntry, permit: string): string => `${effect}${permit.slice('permit'.length)}`;

function expressionOf(text: string, cedar: Pick<Cedar, 'policyToJson'>): unknown {
  // On its own line, so that a comment ends there.
  const read = cedar.policyToJson(`permit (principal, action, resource) when {${text}\n};`);
  return read.type === 'failure' ? null : (read.json.conditions[0]?.body ?? null);
}

function clause(
  name: string,
  variation: Variation,
  { before, after }: { readonly before: EngineAnswer; readonly after: EngineAnswer },
): string {
  const answers = `${answerText(before)}, but ${answerText(after)} with the mutant`;
  // The answer differs, but the case passes: it does not name its policies.
  if (variation.changes.size === 0) return `"${name}", if it named its \`policies\`: ${answers}`;
  return `"${name}" with ${changesText(variation)}: ${answers}`;
}

function answerText(answer: EngineAnswer): string {
  switch (answer.kind) {
    case 'permitted':
      return `allow by ${answer.policyIds.join(', ')}`;
    case 'forbidden':
      return `deny by ${answer.policyIds.join(', ')}`;
    case 'not-permitted':
      return 'deny by no policy';
    case 'error':
      return 'deny by an error';
    default:
      return answer satisfies never;
  }
}
