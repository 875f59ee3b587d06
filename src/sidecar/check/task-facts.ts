import type { CheckServices } from './services.ts';
import type { CallReading } from './read.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { deny, isDeny, ofRemit } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import { jtiDigestOf } from '../../core/token/jti-digest.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { stateUnavailable } from '../../core/decision/unavailable.ts';
import type { Clocks } from '../../core/runtime/ports.ts';
import { noHistory } from '../../core/task/history.ts';
import { taskPermits } from '../../core/task/task.ts';
import { bindingProblem } from '../../core/token/proof/binding.ts';
import type { TaskToken } from '../../core/token/claims.ts';
import type { Credential } from '../../core/token/credential.ts';
import { isExpired } from '../../core/token/verify.ts';

/** A task with a token and its history, all read at the same moment. */
export type TaskFacts = Pick<CallFacts, 'task' | 'issued' | 'history'>;

/** The task facts of a call without a task token. */
export const noTask: TaskFacts = { task: undefined, issued: undefined, history: noHistory };

/** Looks at the task of a token once and returns its current state. */
export function taskFactsOf({ states }: Pick<CheckServices, 'states'>, token: TaskToken): TaskFacts {
  const state = states.of({ issuer: token.issuer, id: token.taskId }, jtiDigestOf(token.tokenId));
  if (isStoreFailure(state)) return { ...noTask, task: stateUnavailable(state) };
  return state ?? noTask;
}

/** Asks an authority for the task of a credential if it is not known here. `null` if there is nothing to wait for. */
export function openTask({ states }: Pick<CheckServices, 'states'>, { credential }: CallReading): Promise<void> | null {
  const token = isDeny(credential) ? (isExpired(credential) ? credential.expired : null) : credential;
  if (token === null || token.kind !== 'task-token') return null;
  return states.open({ issuer: token.issuer, id: token.taskId }, jtiDigestOf(token.tokenId));
}

/** The reason why a verified token may no longer be used: its key was revoked, or its task does not permit it; `null` if it may. */
export function currentProblem(services: Pick<CheckServices, 'states' | 'keys'>, token: TaskToken): Deny | null {
  if (!services.keys.isHeld(token.issuer, token.keyId)) {
    return ofRemit(deny('token.signature', 'the key of the token was revoked while the use was decided'));
  }
  const standing = services.states.standing({ issuer: token.issuer, id: token.taskId }, jtiDigestOf(token.tokenId));
  if (isStoreFailure(standing)) return stateUnavailable(standing);
  const { task, issued } = standing ?? noTask;
  const live = isDeny(task) ? task : taskPermits(task, token, issued, services.states.clocks());
  return isDeny(live) ? live : null;
}

/** States into which somebody put a task to stop it, as opposed to an expected end. */
const stopped: ReadonlySet<string> = new Set(['task.suspended', 'task.cancelled', 'task.revoked']);

/**
 * The credential of a call. If the token has expired and its task was stopped, the reason is "stopped" and not "expired": a client
 * answers `token.expired` with a new declaration, which would circumvent the stop. A caller to whom the token is not bound
 * learns nothing about the task.
 */
export function credentialNow(
  services: Pick<CheckServices, 'states' | 'binding'>,
  reading: CallReading,
  clocks: Clocks,
): Credential | Deny {
  const { credential, caller, presented } = reading;
  if (!isDeny(credential) || !isExpired(credential)) return credential;
  const { expired, ...over } = credential;
  const { proof, scheme } = presented;
  if (isDeny(caller) || isDeny(proof)) return over;
  if (bindingProblem(expired, { caller, proof, scheme }, services.binding) !== null) return over;
  const { task, issued } = taskFactsOf(services, expired);
  const live = isDeny(task) ? task : taskPermits(task, expired, issued, clocks);
  return isDeny(live) && stopped.has(live.reason)
    ? deny(live.reason, `${live.detail}; the token of task \`${expired.taskId}\` has expired`)
    : over;
}
