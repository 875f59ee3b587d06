import { isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Task } from '../../../core/task/task.ts';
import { clientFrom } from '../client/client.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';

/** A task and the client that may read it: its agent or an operator. */
export interface ReadableTask {
  readonly task: Task;
  readonly client: LeafCertificate;
  readonly isAgent: boolean;
}

/** The client of a request about a task, by its certificate. */
export function taskClient(request: IssuerRequest, { ports, settings }: IssuerServices): LeafCertificate | OAuthError {
  const leaf = clientFrom(request.certificate, settings.trustDomains, ports.nowMs());
  return isDeny(leaf) ? oauthError('invalid_client', leaf.detail, leaf) : leaf;
}

/** The task of a request, if its client may read it. Otherwise it is not found, so that clients cannot probe for ids. */
export async function readableTask(
  request: IssuerRequest,
  services: IssuerServices,
  taskId: string = request.taskId,
): Promise<ReadableTask | OAuthError> {
  const client = taskClient(request, services);
  if (isOAuthError(client)) return client;
  const task = await services.authority.taskOf(services.settings.url, taskId);
  if (isStoreFailure(task)) return taskUnavailable(task);
  const isAgent = task?.agent === client.id;
  return task !== undefined && (isAgent || services.settings.operators.has(client.id))
    ? { task, client, isAgent }
    : taskNotFound();
}

/** The refusal of a task that the client may not know of, or that does not exist. */
export const taskNotFound = (): OAuthError => oauthError('not_found', 'this client has no task with this id');

/** The refusal if the state cannot be read or written. */
export const taskUnavailable = (failure: StoreFailure): OAuthError =>
  failure.code === 'refused'
    ? oauthError('invalid_request', failure.detail)
    : oauthError('temporarily_unavailable', 'the state of the task is not available');

/** The refusal of a change of a task that has ended. */
export const endedAlready = (state: Task['state']): OAuthError =>
  oauthError('task_ended', `the task is already ${state}`);
