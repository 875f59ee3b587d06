import { isDeny } from '../decision/decision.ts';
import { timelineFrom } from '../ledger/timeline.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import type { StoreFailure } from '../store/store-failure.ts';
import type { Task, TaskEvent } from '../task/task.ts';
import { taskJson } from '../task/task-json.ts';
import { clientFrom } from './client.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import type { SpanAttributes } from './tracer.ts';

/** Records of one timeline at most; `truncated` says that there are more. */
const MAX_TIMELINE = 999;

/** `GET /tasks/{id}`: the task as it stands now, for its own agent. */
export function answerTask(request: IssuerRequest, services: IssuerServices): Reply {
  const task = ownTask(request, services);
  return isOAuthError(task) ? errorReply(task) : jsonReply(200, taskJson(task, services.store.nowMs()));
}

/** `GET /tasks/{id}/timeline`: what happened in the task, in the order of the ledger, for its own agent. */
export function answerTimeline(request: IssuerRequest, services: IssuerServices): Reply {
  const task = ownTask(request, services);
  if (isOAuthError(task)) return errorReply(task);
  const records = services.store.recordsOf(task.id, MAX_TIMELINE + 1);
  if (isStoreFailure(records)) return errorReply(unavailable(records));
  return jsonReply(200, {
    task: taskJson(task, services.store.nowMs()),
    records: timelineFrom(records.slice(0, MAX_TIMELINE)),
    truncated: records.length > MAX_TIMELINE,
  });
}

/**
 * `POST /tasks/{id}/complete` and `…/cancel`: ends the task for its own agent; on disk before it is acknowledged. The same
 * end again is acknowledged again, another is a 409 with the state that holds.
 */
export const answerEnd =
  (kind: 'complete' | 'cancel') =>
  (request: IssuerRequest, services: IssuerServices): Reply => {
    const span = services.tracer.start('task.end', { 'remit.task.id': request.taskId }, request.traceparent);
    let attributes: SpanAttributes = { 'remit.reason': 'internal' };
    try {
      const task = ownTask(request, services);
      const ended = isOAuthError(task) ? task : end(task, kind, services);
      attributes = isOAuthError(ended)
        ? { 'error.type': ended.error, 'http.response.status_code': ended.status }
        : { 'remit.task.state': ended.state, 'remit.agent': ended.agent, 'http.response.status_code': 200 };
      return isOAuthError(ended) ? errorReply(ended) : jsonReply(200, taskJson(ended, services.store.nowMs()));
    } finally {
      span.end(attributes);
    }
  };

/** A task of another agent is not found, so that nobody learns which ids exist. */
function ownTask(request: IssuerRequest, services: IssuerServices): Task | OAuthError {
  const leaf = clientFrom(request.certificate, services.settings.trustDomains, services.ports.nowMs());
  if (isDeny(leaf)) return oauthError('invalid_client', leaf.detail, leaf);
  const task = services.store.taskOf(services.settings.url, request.taskId);
  if (isStoreFailure(task)) return unavailable(task);
  return task?.agent === leaf.id ? task : oauthError('not_found', 'this client has no task with this id');
}

const causes: Readonly<Record<'complete' | 'cancel', TaskEvent['cause']>> = {
  complete: 'completed by the agent',
  cancel: 'cancelled by the agent',
};

function end(task: Task, kind: 'complete' | 'cancel', services: IssuerServices): Task | OAuthError {
  const result = services.store.applyTaskEvent(task, { kind, cause: causes[kind] }, task.agent);
  if (isStoreFailure(result)) return unavailable(result);
  if (result === undefined) return oauthError('not_found', 'this client has no task with this id');
  return 'problem' in result ? oauthError('task_ended', `the task is already ${result.state}`) : result.task;
}

const unavailable = (failure: StoreFailure): OAuthError =>
  failure.code === 'refused'
    ? oauthError('invalid_request', failure.detail)
    : oauthError('temporarily_unavailable', 'the state of the task is not available');
