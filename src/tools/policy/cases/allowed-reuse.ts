import { isDeny } from '../../../core/decision/decision.ts';
import { DENIAL_CEILING_MS, RISK_CEILING_MS } from '../../../core/policy/answers/cache.ts';
import type { CacheResult } from '../../../core/policy/answers/cache.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { Question } from '../../../core/policy/question.ts';
import type { Rehearsal } from './rehearse.ts';

/** Whether an answer of the policies is cached. */
export type Reuse =
  | {
      readonly kind: 'kept';
      /** Longest lifetime. Task, token, or a time that a policy compares the clock with may end it earlier. */
      readonly forMs: number;
      /** What the cache key contains besides agent, action and target. */
      readonly keyReads: readonly string[];
    }
  | { readonly kind: 'not-kept'; readonly because: string };

/** Whether an equal call gets a cached answer, determined by asking the engine twice. `null` if no policies were asked. */
export function allowedReuse(
  { decision, question, target }: Pick<Rehearsal, 'decision' | 'question' | 'target'>,
  { policies, nowMs }: { readonly policies: Pick<PolicySet, 'ask' | 'keyReads'>; readonly nowMs: number },
): Reuse | null {
  if (question === null || target === null) return null;
  if (target.isIssue) return notKept('the policies are asked again for every token');
  const keyReads = policies.keyReads(question);
  if (keyReads === null) return notKept('no policy in force can match, so none is asked');
  const ceilingMs = RISK_CEILING_MS[target.action.risk];
  const forMs = isDeny(decision) ? Math.min(ceilingMs, DENIAL_CEILING_MS) : ceilingMs;
  const result = secondResult(policies, question, { nowMs, untilMs: nowMs + forMs });
  return result === 'hit' ? { kind: 'kept', forMs, keyReads } : notKept(becauseOf[result]);
}

/** Why the second question is not answered from the cache. */
const becauseOf: Readonly<Record<Exclude<CacheResult, 'hit'>, string>> = {
  miss: 'a policy could not be evaluated, and errors are never cached',
  bypass: 'the call has a value that the engine may refuse, so the answer is not cached',
};

const notKept = (because: string): Reuse => ({ kind: 'not-kept', because });

/** The cache result of the second question. */
function secondResult(
  policies: Pick<PolicySet, 'ask'>,
  question: Question,
  when: { readonly nowMs: number; readonly untilMs: number },
): CacheResult {
  let last: CacheResult = 'bypass';
  const onCache = (result: CacheResult): void => {
    last = result;
  };
  for (let time = 0; time < 2; time += 1) policies.ask(question, { ...when, onCache });
  return last;
}
