import type { HttpCall } from '../action/call.ts';
import type { Action } from '../action/http.ts';
import { coveringDetail } from '../action/intent-scope.ts';
import { forbiddenSecret } from '../action/excepted-secret.ts';
import type { PassingHeader } from '../action/excepted-secret.ts';
import type { StaticSecret } from '../action/static-secret.ts';
import { deny, isDeny } from '../decision/decision.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import type { Caller } from '../identity/caller.ts';
import type { RefusedCaller } from '../identity/refused-caller.ts';
import { authorize } from '../policy/authorize.ts';
import { RISK_CEILING_MS } from '../policy/answers/cache.ts';
import type { CacheResult } from '../policy/answers/cache.ts';
import type { Keep } from '../policy/engine.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import { useQuestion } from '../policy/question.ts';
import type { AuthorizationScheme } from '../token/authorization-header.ts';
import { bindingProblem } from '../token/binding.ts';
import type { BindingMode } from '../token/binding.ts';
import type { TaskToken } from '../token/claims.ts';
import type { Credential } from '../token/credential.ts';
import type { Proof } from '../token/proof.ts';
import type { ReuseClass } from '../token/reuse.ts';
import type { TaskHistory } from '../task/history.ts';
import type { IssuedTokenState } from '../task/issued-token.ts';
import { taskPermits } from '../task/task.ts';
import type { Task } from '../task/task.ts';

/** How the credential reached Remit. */
export interface Presented {
  readonly scheme: AuthorizationScheme;
  /** The verified proof of possession of this call, or why it is none; `null` where none was sent. */
  readonly proof: Proof | null | Deny;
}

/** What is known about one call when it is decided; each stage's result, or the denial it came to. */
export interface Facts {
  readonly call: HttpCall | Deny;
  readonly caller: Caller | Deny;
  /** What a caller that was refused showed of itself, for records alone: no decision reads it. */
  readonly refusedCaller?: RefusedCaller;
  /** The long-lived credentials in the call. */
  readonly secrets: readonly StaticSecret[];
  /** Headers for credentials that hold one of them alone, which may pass: the upstream's, so not what the call is made with. */
  readonly passing: readonly PassingHeader[];
  readonly credential: Credential | Deny;
  readonly presented: Presented;
  /** The task of a task token as it stands now; `undefined` where the store knows none. */
  readonly task: Task | Deny | undefined;
  /** What the store holds of the token itself; `undefined` where it is not one of the task. */
  readonly issued: IssuedTokenState | undefined;
  /** What the task was allowed before this; empty without a task. */
  readonly history: TaskHistory;
  readonly action: Action | Deny;
  /** Which use of its token this is, from 1; 0 without a token. */
  readonly use: number;
  /** What this use is against those that were allowed before; empty without a token. */
  readonly reuse: readonly ReuseClass[];
  /** Wall clock, milliseconds since the Unix epoch: identities and tokens are judged by it. */
  readonly nowMs: number;
  /** The floor of the same instant, in the same unit: the task is judged by the later of the two, the life of its token by it too. */
  readonly floorMs: number;
}

/** The task token of the call; `null` where it has none that was verified. */
export const taskTokenOf = ({ credential }: Pick<Facts, 'credential'>): TaskToken | null =>
  !isDeny(credential) && credential.kind === 'task-token' ? credential : null;

/** What a call is decided by. */
export interface Rules {
  readonly binding: BindingMode;
  readonly policies: PolicySet | Deny;
  /** Told what became of the question at the cache of the policies, where they are asked; no answer depends on it. */
  readonly onCache?: (result: CacheResult) => void;
}

/**
 * Decides one call: identity, credential, binding, task, action, intent, policy, in the order of the data path, and the
 * first that refuses is the answer. Synchronous, pure and total: equal facts and rules give equal decisions.
 */
export function decide(facts: Facts, rules: Rules): Decision {
  const { call, caller, credential, action, history, use, reuse, nowMs } = facts;
  if (isDeny(call)) return call;
  if (isDeny(caller)) return caller;
  const secret = staticSecret(facts);
  if (secret !== null) return secret;
  if (isDeny(credential)) return credential;
  const unbound = credential.kind === 'workload-identity' ? null : heldBy(caller, credential, facts, rules);
  if (unbound !== null) return unbound;
  const task = credential.kind === 'task-token' ? liveTask(credential, facts) : null;
  if (isDeny(task)) return task;
  if (isDeny(rules.policies)) return rules.policies;
  const refused = refusedCredential(credential, action, rules);
  if (refused !== null) return refused;
  if (isDeny(action)) return action;
  const covered = credential.kind === 'task-token' ? coveringDetail(credential.details, action, nowMs) : null;
  if (isDeny(covered)) return covered;
  const { binding, policies } = rules;
  const asked = { call, caller, credential, task, history, action, binding, use, reuse, nowMs };
  return authorize(policies, useQuestion(asked, policies.catalog), keepOf({ credential, task, action, nowMs }, rules));
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

/** Before the credential is judged: a key in the place of a token is named as what it is. */
function staticSecret({ secrets, action, nowMs }: Facts): Deny | null {
  const secret = forbiddenSecret(secrets, { exceptions: isDeny(action) ? [] : action.staticSecrets, nowMs });
  if (secret === null) return null;
  const { kind, where, name } = secret;
  return deny('token.static-secret', `a long-lived secret (\`${kind}\`) in the ${where} \`${name}\``);
}

function heldBy(
  caller: Caller,
  token: Exclude<Credential, { readonly kind: 'workload-identity' }>,
  { presented: { proof, scheme } }: Facts,
  { binding }: Rules,
): Deny | null {
  return isDeny(proof) ? proof : bindingProblem(token, { caller, proof, scheme }, binding);
}

const liveTask = (token: TaskToken, { task, issued, nowMs, floorMs }: Facts): Task | Deny =>
  isDeny(task) ? task : taskPermits(task, token, issued, { wallMs: nowMs, floorMs });

/**
 * A task token is good for every action; another credential for those whose catalog entry names it. Where a hop ends TLS an
 * identity alone is the hop's, and good for nothing.
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
