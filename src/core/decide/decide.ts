import { allReadings } from '../action/http/http.ts';
import type { Action } from '../action/http/http.ts';
import { coveringDetail } from '../action/intent-scope.ts';
import { forbiddenSecret } from '../action/secrets/excepted-secret.ts';
import { deny, isDeny, ofRemit } from '../decision/decision.ts';
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
import type { Credential } from '../token/credential.ts';
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
 * Decides a call by identity, stops, static secrets, credential, binding, task, action, intent and policy, in this order. The
 * first stage that refuses gives the answer. Synchronous, pure and total: equal facts and rules give equal decisions.
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
  const changed = changedTool(facts);
  if (changed !== null) return changed;
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

/** The denial of a call whose tool, by any of its readings, is not as it was reviewed; `null` if all are. */
function changedTool({ action, orders, nowMs, floorMs }: CallFacts): Deny | null {
  if (isDeny(action)) return null;
  for (const { id } of allReadings(action)) {
    const order = orders.changedTool(id, { wallMs: nowMs, floorMs });
    if (order !== null) return deny('action.changed', `${order.because} (order \`${order.id}\`)`);
  }
  return null;
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

/** Why a token is not its caller's to use; `null` if it is. */
export function heldBy(
  caller: Caller,
  token: Exclude<Credential, { readonly kind: 'workload-identity' }>,
  { presented: { proof, scheme } }: Pick<CallFacts, 'presented'>,
  { binding }: Pick<Rules, 'binding'>,
): Deny | null {
  const refused = isDeny(proof) ? proof : bindingProblem(token, { caller, proof, scheme }, binding);
  return refused !== null && token.kind === 'task-token' ? ofRemit(refused) : refused;
}

/** The task of a verified token, or why it no longer permits the use of that token. */
export const liveTask = (token: TaskToken, { task, issued, nowMs, floorMs }: CallFacts): Task | Deny =>
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
