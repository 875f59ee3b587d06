import { routedAction } from '../action/action.ts';
import type { Action } from '../action/http/http.ts';
import { coveringDetail } from '../action/intent-scope.ts';
import { forbiddenSecret } from '../action/secrets/excepted-secret.ts';
import { deny, isDeny } from '../decision/decision.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import { stateUnavailable } from '../decision/unavailable.ts';
import type { Caller } from '../identity/caller.ts';
import { authorize } from '../policy/authorize.ts';
import { RISK_CEILING_MS } from '../policy/answers/cache.ts';
import type { CacheResult } from '../policy/answers/cache.ts';
import type { Keep } from '../policy/engine.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import { useQuestion } from '../policy/use-question.ts';
import type { UseFacts } from '../policy/use-question.ts';
import { bindingProblem } from '../token/proof/binding.ts';
import type { BindingMode } from '../token/proof/binding.ts';
import type { TaskToken } from '../token/claims.ts';
import type { CallFacts } from './facts.ts';
import { stoppedCall, stoppedCredential } from './stopped.ts';
import { workloadIdentity } from '../token/credential.ts';
import type { Credential } from '../token/credential.ts';
import { noHistory } from '../task/history.ts';
import { taskPermits } from '../task/task.ts';
import type { Task } from '../task/task.ts';

/** What a call is decided by. */
export interface Rules {
  readonly binding: BindingMode;
  readonly policies: PolicySet | Deny;
  /** Called with the cache result (hit, miss or bypass) of each policy question; no answer depends on it. */
  readonly onCache?: (result: CacheResult) => void;
}

/**
 * Decides a call by identity, stops, credential, binding, task, action, intent, policy, in the order of the data path. The first stage that
 * refuses gives the answer. Synchronous, pure and total: equal facts and rules give equal decisions.
 */
export function decide(facts: CallFacts, rules: Rules): Decision {
  const { call, caller, credential, action, history, use, reuse, nowMs } = facts;
  if (isDeny(call)) return call;
  if (isDeny(caller)) return caller;
  const stopped = stoppedCall(facts, rules.policies);
  if (stopped !== null) return stopped;
  const secret = staticSecret(facts);
  if (secret !== null) return secret;
  if (isDeny(credential)) return credential;
  const unbound = credential.kind === 'workload-identity' ? null : heldBy(caller, credential, facts, rules);
  if (unbound !== null) return unbound;
  const task = credential.kind === 'task-token' ? liveTask(credential, facts) : null;
  if (isDeny(task)) return task;
  const stoppedFor = stoppedCredential(facts);
  if (stoppedFor !== null) return stoppedFor;
  if (facts.orders.stale !== null) return stateUnavailable(facts.orders.stale);
  if (isDeny(rules.policies)) return rules.policies;
  const refused = refusedCredential(credential, action, rules);
  if (refused !== null) return refused;
  if (isDeny(action)) return action;
  const { binding, policies } = rules;
  const asked = { call, caller, credential, task, history, binding, use, reuse, nowMs };
  const decision = permitted(action, asked, { policies, rules });
  if (isDeny(decision)) return decision;
  for (const reading of action.further ?? []) {
    const also = permitted(reading, asked, { policies, rules });
    if (isDeny(also)) return also;
  }
  return decision;
}

/** Whether intent and policies permit one reading of a call. A call that can be read in several ways needs each of them. */
function permitted(
  action: Action,
  asked: Omit<UseFacts, 'action' | 'task'> & { readonly task: Task | null },
  { policies, rules }: { readonly policies: PolicySet; readonly rules: Rules },
): Decision {
  const { credential, task, nowMs } = asked;
  const covered = credential.kind === 'task-token' ? coveringDetail(credential.details, action, nowMs) : null;
  if (isDeny(covered)) return covered;
  const question = useQuestion({ ...asked, action }, policies.catalog);
  return authorize(policies, question, keepOf({ credential, task, action, nowMs }, rules));
}

/**
 * Why a denied call does not pass although it is only observed: a stop that concerns it, which a stage before it hid, or a forbid with
 * `@always("true")`; `null` if it passes.
 */
export const heldWhileObserved = (facts: CallFacts, rules: Rules): Deny | null =>
  stoppedWhileObserved(facts, rules) ?? alwaysForbidden(facts, rules);

/** The stop that concerns a call, whatever else it is denied for; `null` if there is none. A credential of somebody else says nothing. */
export function stoppedWhileObserved(facts: CallFacts, { binding, policies }: Rules): Deny | null {
  const stopped = stoppedCall(facts, policies);
  const { caller, credential } = facts;
  if (stopped !== null || isDeny(caller) || isDeny(credential) || credential.kind === 'workload-identity')
    return stopped;
  return heldBy(caller, credential, facts, { binding }) === null ? stoppedCredential(facts) : null;
}

/**
 * A forbid with `@always("true")` that a denied call runs into, which `decide` refused before its policies were asked; `null` if there is none. It
 * is asked as for the identity alone, and if the arguments of the call cannot be read, without them. A call without a verified caller or a route has
 * no question.
 */
export function alwaysForbidden(facts: CallFacts, rules: Rules): Deny | null {
  const { call, caller, use, reuse, nowMs } = facts;
  const { binding, policies } = rules;
  if (isDeny(call) || isDeny(caller) || isDeny(policies)) return null;
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
    const decision = authorize(policies, useQuestion({ ...alone, action: reading }, policies.catalog));
    if (isDeny(decision) && decision.isAlways === true) return decision;
  }
  return null;
}

/**
 * Whether the caller of a denied call was verified: its identity, and a credential that belongs to it. A denial of the token itself verifies
 * nobody.
 */
export function isVerified(facts: CallFacts, { reason }: Deny, rules: Pick<Rules, 'binding'>): boolean {
  const { call, caller, credential } = facts;
  if (isDeny(call) || isDeny(caller) || isDeny(credential) || reason.startsWith('token.')) return false;
  if (credential.kind === 'workload-identity') return rules.binding !== 'dpop';
  return heldBy(caller, credential, facts, rules) === null;
}

/** An answer is kept no longer than the token and the task it was given for, nor than the risk of the action allows. */
function keepOf(
  { credential, task, action, nowMs }: { credential: Credential; task: Task | null; action: Action; nowMs: number },
  { onCache = () => {} }: Rules,
): Keep {
  const tokenEndMs = credential.kind === 'workload-identity' ? Infinity : credential.expiresAtSeconds * 1000;
  const untilMs = Math.min(nowMs + RISK_CEILING_MS[action.risk], tokenEndMs, task?.deadlineMs ?? Infinity);
  return { nowMs, untilMs, onCache };
}

/** Checked before the credential, so that a long-lived key sent as a token is denied as a static secret. */
function staticSecret({ secrets, action, nowMs }: CallFacts): Deny | null {
  const secret = forbiddenSecret(secrets, { exceptions: isDeny(action) ? [] : action.staticSecrets, nowMs });
  if (secret === null) return null;
  const { kind, where, name } = secret;
  return deny('token.static-secret', `a long-lived secret (\`${kind}\`) in the ${where} \`${name}\``);
}

function heldBy(
  caller: Caller,
  token: Exclude<Credential, { readonly kind: 'workload-identity' }>,
  { presented: { proof, scheme } }: CallFacts,
  { binding }: Pick<Rules, 'binding'>,
): Deny | null {
  return isDeny(proof) ? proof : bindingProblem(token, { caller, proof, scheme }, binding);
}

const liveTask = (token: TaskToken, { task, issued, nowMs, floorMs }: CallFacts): Task | Deny =>
  isDeny(task) ? task : taskPermits(task, token, issued, { wallMs: nowMs, floorMs });

/**
 * A task token is accepted for every action; another credential only for actions whose catalog entry names it. If a hop terminates TLS,
 * an identity alone is the hop's and is never accepted.
 */
function refusedCredential(credential: Credential, action: Action | Deny, { binding }: Rules): Deny | null {
  const isAccepted = credential.kind === 'task-token' || (!isDeny(action) && action.accepts.has(credential.kind));
  if (credential.kind === 'workload-identity') {
    return isAccepted && binding !== 'dpop' ? null : deny('token.missing', 'no `authorization` header');
  }
  if (isDeny(action)) return action;
  if (!isAccepted) return deny('token.issuer', `the action takes no \`${credential.kind}\``);
  return credential.audience === action.server.audience
    ? null
    : deny('token.audience', 'the token is for another server of the catalog');
}
