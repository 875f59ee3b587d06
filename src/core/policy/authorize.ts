import { allowBy } from '../decision/allow.ts';
import { deny } from '../decision/decision.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import { RISK_CEILING_MS } from './answers/cache.ts';
import type { Keep } from './engine.ts';
import type { PolicySet } from './loading/load.ts';
import type { Question } from './question.ts';

/**
 * Decides a question: allowed only if a policy permits, none forbids and none fails. INVARIANT: the only place that permits
 * a call. An empty set denies with `policy.unavailable`. Never throws.
 *
 * @param keep lets the answer come from the cache; without it the engine is called
 */
export function authorize(policies: PolicySet, question: Question, keep?: Keep): Decision {
  if (!policies.ready) return deny('policy.unavailable', 'the policy set is empty');
  const answer = policies.ask(question, keep);
  switch (answer.kind) {
    case 'permitted':
      return allowBy(answer.policyIds);
    case 'forbidden':
      return forbiddenBy(policies, answer.policyIds);
    case 'not-permitted':
      return deny('policy.not-permitted', `no policy permits \`${question.action}\``);
    case 'error':
      return deny('policy.error', answer.detail, { policyIds: answer.policyIds, advice: null });
    default:
      return deny('policy.error', answer satisfies never);
  }
}

/**
 * Decides whether a task is granted an action. The tasks of one service differ seldom in what policies read of them, so the answer is
 * remembered, as briefly as that of a use with high risk.
 *
 * @param nowMs milliseconds since the Unix epoch
 */
export const authorizeGrant = (policies: PolicySet, question: Question, nowMs: number): Decision =>
  authorize(policies, question, { nowMs, untilMs: nowMs + RISK_CEILING_MS.high, onCache: () => undefined });

/** The denial by forbids that match. */
export function forbiddenBy(policies: Pick<PolicySet, 'adviceOf' | 'isAlways'>, policyIds: readonly string[]): Deny {
  const advice = policyIds.map((id) => policies.adviceOf(id)).find((text) => text !== null) ?? null;
  return deny('policy.forbidden', `forbidden by ${policyIds.map((id) => `\`${id}\``).join(', ')}`, {
    policyIds,
    advice,
    ...(policyIds.some((id) => policies.isAlways(id)) ? { isAlways: true } : {}),
  });
}
