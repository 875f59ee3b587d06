import { isDeny } from '../../decision/decision.ts';
import { DENIAL_CEILING_MS, RISK_CEILING_MS } from '../../policy/answers/cache.ts';
import type { CacheResult } from '../../policy/answers/cache.ts';
import type { PolicySet } from '../../policy/loading/load.ts';
import type { Question } from '../../policy/question.ts';
import type { Rehearsal } from './rehearse.ts';

/** What becomes of an answer of the policies. */
export type Reuse =
  | {
      readonly kind: 'kept';
      /** How long at most. Token and task may end before that, and so does a time that a policy compares the clock with. */
      readonly forMs: number;
      /** What it is kept by, beside agent, action and target. */
      readonly keyReads: readonly string[];
    }
  | { readonly kind: 'not-kept'; readonly because: string };

/**
 * Whether an equal call is given the same answer again without asking the policies, by the engine's own word: it is asked twice.
 * `null` where the policies were not asked.
 */
export function allowedReuse(
  { decision, question, target }: Rehearsal,
  { policies, nowMs }: { readonly policies: Pick<PolicySet, 'ask' | 'keyReads'>; readonly nowMs: number },
): Reuse | null {
  if (question === null || target === null) return null;
  if (target.isIssue) return notKept('the policies are asked anew about every token');
  const keyReads = policies.keyReads(question);
  if (keyReads === null) return notKept('no policy in force can match, so none is asked');
  const ceilingMs = RISK_CEILING_MS[target.action.risk];
  const forMs = isDeny(decision) ? Math.min(ceilingMs, DENIAL_CEILING_MS) : ceilingMs;
  const result = secondResult(policies, question, { nowMs, untilMs: nowMs + forMs });
  return result === 'hit' ? { kind: 'kept', forMs, keyReads } : notKept(becauseOf[result]);
}

/** Why a question that was asked before is asked again. */
const becauseOf: Readonly<Record<Exclude<CacheResult, 'hit'>, string>> = {
  miss: 'a policy could not be evaluated, and an error is never kept',
  bypass: 'the call has a value that the engine may refuse, so it is asked each time',
};

const notKept = (because: string): Reuse => ({ kind: 'not-kept', because });

/** What becomes of a question at the cache when it is asked for the second time. */
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
