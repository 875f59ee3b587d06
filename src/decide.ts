import type { HttpCall } from './action/call.ts';
import type { Action } from './action/http.ts';
import { outsideIntent } from './action/intent-scope.ts';
import { deny, isDeny } from './decision/decision.ts';
import type { Decision, Deny } from './decision/decision.ts';
import type { Caller } from './identity/caller.ts';
import { authorize } from './policy/authorize.ts';
import type { PolicySet } from './policy/load.ts';
import { useQuestion } from './policy/question.ts';
import { bindingProblem } from './token/binding.ts';
import type { BindingMode } from './token/binding.ts';
import type { TaskToken } from './token/claims.ts';
import type { IssuedTokenState } from './task/issued-token.ts';
import { taskPermits } from './task/task.ts';
import type { Task } from './task/task.ts';

/** What is known about one call when it is decided; each stage's result, or the denial it came to. */
export interface Facts {
  readonly call: HttpCall | Deny;
  readonly caller: Caller | Deny;
  readonly token: TaskToken | Deny;
  /** The task of the token as it stands now; `undefined` where the store knows none. */
  readonly task: Task | Deny | undefined;
  /** What the store holds of the token itself; `undefined` where it is not one of the task. */
  readonly issued: IssuedTokenState | undefined;
  readonly action: Action | Deny;
  /** Which use of its token this is, from 1. */
  readonly use: number;
  /** Wall clock, milliseconds since the Unix epoch: identities and tokens are judged by it. */
  readonly nowMs: number;
  /** The clock of the store, which does not step back, in the same unit: the task is judged by it. */
  readonly taskNowMs: number;
}

/** What a call is decided by. */
export interface Rules {
  readonly binding: BindingMode;
  readonly policies: PolicySet | Deny;
}

/**
 * Decides one call: identity, token, binding, task, action, intent, policy, in the order of the data path, and the first
 * that refuses is the answer. Synchronous, pure and total: equal facts and rules give equal decisions.
 */
export function decide(facts: Facts, rules: Rules): Decision {
  const { call, caller, token, task, issued, action, use, nowMs, taskNowMs } = facts;
  if (isDeny(call)) return call;
  if (isDeny(caller)) return caller;
  if (isDeny(token)) return token;
  const unbound = bindingProblem(token, caller, rules.binding);
  if (unbound !== null) return unbound;
  if (isDeny(task)) return task;
  const live = taskPermits(task, token, issued, taskNowMs);
  if (isDeny(live)) return live;
  if (isDeny(rules.policies)) return rules.policies;
  if (isDeny(action)) return action;
  if (token.audience !== action.server.audience)
    return deny('token.audience', 'the token is for another server of the catalog');
  const outside = outsideIntent(token.details, action, nowMs);
  if (outside !== null) return outside;
  return authorize(
    rules.policies,
    useQuestion({ call, caller, token, task: live, action, binding: rules.binding, use, nowMs }),
  );
}
