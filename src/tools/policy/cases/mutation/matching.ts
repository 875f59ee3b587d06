import type { EngineAnswer } from '../../../../core/policy/engine.ts';
import type { PolicyEntry } from '../../../../core/policy/loading/policy-file.ts';
import type { RawAnswer } from '../raw-question.ts';

/** The policies that match a question or fail with an error; others do not affect the answer. */
export type Matching = ReadonlyMap<PolicyEntry, 'holds' | 'errs'>;

/** The engine's answer for these matching policies, and the matching shadow policies. */
export function answerOf(matching: Matching): { readonly answer: EngineAnswer; readonly shadow: readonly string[] } {
  const erring = idsOf(matching, (policy, standing) => !policy.shadow && standing === 'errs');
  const of = (effect: PolicyEntry['effect']): readonly string[] =>
    idsOf(matching, (policy, standing) => !policy.shadow && standing === 'holds' && policy.effect === effect);
  const [permits, forbids] = [of('permit'), of('forbid')];
  const shadow = idsOf(matching, (policy, standing) => policy.shadow && standing === 'holds');
  if (erring.length > 0) {
    return { answer: { kind: 'error', policyIds: erring, detail: 'a policy could not be evaluated' }, shadow };
  }
  if (forbids.length > 0) return { answer: { kind: 'forbidden', policyIds: forbids }, shadow };
  return { answer: permits.length > 0 ? { kind: 'permitted', policyIds: permits } : { kind: 'not-permitted' }, shadow };
}

/** Cedar's own answer, which ignores failing policies. */
export function rawAnswerOf(matching: Matching): Exclude<RawAnswer, { readonly problem: string }> {
  const erring = idsOf(matching, (policy, standing) => !policy.shadow && standing === 'errs');
  const held = new Map([...matching].filter(([, standing]) => standing === 'holds'));
  const { answer } = answerOf(held);
  const policyIds = answer.kind === 'not-permitted' ? [] : answer.policyIds;
  return { decision: answer.kind === 'permitted' ? 'allow' : 'deny', policyIds, erring };
}

const idsOf = (
  matching: Matching,
  isMeant: (policy: PolicyEntry, standing: 'holds' | 'errs') => boolean,
): readonly string[] =>
  Array.from(matching)
    .flatMap(([policy, standing]) => (isMeant(policy, standing) ? [policy.id] : []))
    .sort();
