/** Finds the denials that hold even for a call that is only observed, whatever else is wrong with the call. */
import { routedAction } from '../action/action.ts';
import { isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { forbiddenBy } from '../policy/authorize.ts';
import { useQuestion } from '../policy/use-question.ts';
import { noHistory } from '../task/history.ts';
import { workloadIdentity } from '../token/credential.ts';
import { heldBy, liveTask } from './decide.ts';
import type { Rules } from './decide.ts';
import { holdsWhileObserved } from './enforce.ts';
import { taskTokenOf } from './facts.ts';
import type { CallFacts } from './facts.ts';
import { stoppedCall, stoppedCredential } from './stopped.ts';

/**
 * The denial that holds even while the call is only observed, and that `decide` did not reach because it refused the call
 * earlier, such as for a static secret or an unreadable request. It is for a stop, the token, or a forbid with `@always("true")`;
 * `null` if there is none. Pure and total.
 */
export const heldWhileObserved = (facts: CallFacts, rules: Rules): Deny | null =>
  stoppedWhileObserved(facts, rules) ?? refusedToken(facts, rules) ?? alwaysForbidden(facts, rules);

/**
 * The stop that concerns a call, whatever else it is denied for; `null` if there is none. A credential that is not the caller's
 * is ignored.
 */
export function stoppedWhileObserved(facts: CallFacts, { binding, policies }: Rules): Deny | null {
  const stopped = stoppedCall(facts, policies);
  const { caller, credential } = facts;
  if (stopped !== null || isDeny(caller) || isDeny(credential) || credential.kind === 'workload-identity')
    return stopped;
  return heldBy(caller, credential, facts, { binding }) === null ? stoppedCredential(facts) : null;
}

/** Judges the token of a call by itself: its signature and times, its caller, its task. */
function refusedToken(facts: CallFacts, rules: Rules): Deny | null {
  const { credential } = facts;
  if (isDeny(credential)) return holdsWhileObserved(credential) ? credential : null;
  const token = taskTokenOf(facts);
  if (token === null) return null;
  const problems = [unheld(facts, rules), liveTask(token, facts)];
  return problems.find((problem): problem is Deny => isDeny(problem) && holdsWhileObserved(problem)) ?? null;
}

/**
 * Why a token is not its caller's; `null` if it is, or if that is unknown. It is unknown without a verified caller. In a request
 * that could not be read only the binding to the caller is judged, not the proof.
 */
function unheld({ call, caller, seen, credential, presented }: CallFacts, rules: Rules): Deny | null {
  const known = isDeny(caller) ? (seen?.caller ?? caller) : caller;
  if (isDeny(known) || isDeny(credential) || credential.kind === 'workload-identity') return null;
  const problem = heldBy(known, credential, { presented }, rules);
  return isDeny(call) && problem?.reason !== 'token.binding' ? null : problem;
}

/**
 * The denial by a forbid with `@always("true")` that matches a denied call; `null` if none matches, and for a call without a
 * verified caller or a route. The question names no credential but the identity, and no arguments if they cannot be read. Other
 * policies are not evaluated: one that reads what the call lacks would make the whole answer an error.
 */
function alwaysForbidden(facts: CallFacts, rules: Rules): Deny | null {
  const { call, caller, use, reuse, nowMs } = facts;
  const { binding, policies } = rules;
  if (isDeny(call) || isDeny(caller) || isDeny(policies) || policies.alwaysForbids === null) return null;
  const action = isDeny(facts.action) ? routedAction(call, policies.catalog) : facts.action;
  if (isDeny(action)) return null;
  const alone = {
    call,
    caller,
    credential: workloadIdentity,
    task: null,
    history: noHistory,
    binding,
    use,
    reuse,
    nowMs,
  };
  for (const reading of [action, ...(action.further ?? [])]) {
    const policyIds = policies.alwaysForbids(useQuestion({ ...alone, action: reading }, policies.catalog));
    if (policyIds.length > 0) return forbiddenBy(policies, policyIds);
  }
  return null;
}
