import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { stateAt } from '../../../core/task/task.ts';
import type { Task } from '../../../core/task/task.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { IssuerServices } from '../services.ts';

const PREFIX = 'remit-refresh-';

/**
 * The refresh token of a task: a name of the task, no secret. It is worth something to the task's agent alone, which authenticates by its
 * certificate; so it needs no state of its own, survives a renewed certificate, is not rotated, and is dead with its task.
 *
 * @see RFC 8705 section 7.1, RFC 9700 section 2.2.2
 */
export const refreshTokenOf = (taskId: string): string => PREFIX + taskId;

/** The id of the task that a refresh token names; `null` for any other text. */
export function refreshedTaskId(text: string): string | null {
  const id = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '';
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id) ? id : null;
}

/**
 * The active task of a refresh token that its own agent presents; else `invalid_grant`, with the same words for an unknown task and for a
 * task of another agent. Each call reads the state again; the write that follows names the task as its premise.
 */
export async function refreshedTask(
  refreshToken: string,
  { id: agent }: LeafCertificate,
  { authority, settings }: IssuerServices,
): Promise<Task | OAuthError | StoreFailure> {
  const id = refreshedTaskId(refreshToken);
  const task = id === null ? undefined : await authority.taskOf(settings.url, id);
  if (isStoreFailure(task)) return task;
  if (task?.agent !== agent) return oauthError('invalid_grant', 'the refresh_token is not one of this client');
  const state = stateAt(task, authority.nowMs());
  return state === 'active' ? task : oauthError('invalid_grant', `the task of the refresh_token is ${state}`);
}
