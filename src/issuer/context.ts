import { isDeny } from '../decision/decision.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { isStoreFailure } from '../store/store-failure.ts';
import type { StoreFailure } from '../store/store-failure.ts';
import { causeOf } from '../task/cause.ts';
import { changedNames, contextEffects, type TaskContext, taskContextFrom } from '../task/context-change.ts';
import { stateAt, type Task, type TaskEvent } from '../task/task.ts';
import { taskJson } from '../task/task-json.ts';
import { isProblem, membersFrom } from '../token/members.ts';
import { strictJsonFrom } from '../token/strict-json.ts';
import { askAgain, isRefusal } from './ask-again.ts';
import { clientFrom } from './client.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import type { SpanAttributes } from './tracer.ts';

/**
 * `PUT /tasks/{id}/context`: the values that hold now, all of them, for the task's own agent and for the workloads the
 * operator lets write contexts. What changed, a new and a missing name too, has the effect that the task was accepted with:
 * the hardest of them, where asking the policies again comes to keeping the task or revoking it. The new context and its
 * effect are on disk, in one transaction, before the answer: the task in the state that holds now.
 */
export function answerContext(request: IssuerRequest, services: IssuerServices): Reply {
  const span = services.tracer.start('task.context', { 'remit.task.id': request.taskId }, request.traceparent);
  let attributes: SpanAttributes = { 'remit.reason': 'internal' };
  try {
    const task = changedTask(request, services);
    attributes = isOAuthError(task)
      ? { 'error.type': task.error, 'http.response.status_code': task.status }
      : {
          'remit.task.state': task.state,
          ...(task.cause === null ? {} : { 'remit.cause': task.cause.code }),
          'remit.agent': task.agent,
          'http.response.status_code': 200,
        };
    return isOAuthError(task) ? errorReply(task) : jsonReply(200, taskJson(task, services.store.nowMs()));
  } finally {
    span.end(attributes);
  }
}

function changedTask(request: IssuerRequest, services: IssuerServices): Task | OAuthError {
  const client = clientFrom(request.certificate, services.settings.trustDomains, services.ports.nowMs());
  if (isDeny(client)) return oauthError('invalid_client', client.detail, client);
  const task = writableTask(request.taskId, client.id, services);
  if (isOAuthError(task)) return task;
  const context = contextFrom(request);
  return isOAuthError(context) ? context : change(task, { context, by: client.id }, services);
}

/** A task of another agent is not found, so that nobody learns which ids exist. */
function writableTask(id: string, client: SpiffeId, { settings, store }: IssuerServices): Task | OAuthError {
  const task = store.taskOf(settings.url, id);
  if (isStoreFailure(task)) return unavailable(task);
  const mayWrite = task?.agent === client || settings.contextWriters?.has(client) === true;
  return task !== undefined && mayWrite ? task : notFound();
}

const CONTENT_TYPE = /^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i;

/** Longest body read, in bytes. */
const MAX_BODY_BYTES = 16_384;

function contextFrom({ body, contentType }: IssuerRequest): TaskContext | OAuthError {
  if (!CONTENT_TYPE.test(contentType?.trim() ?? '')) {
    return oauthError('invalid_request', 'the content-type must be application/json');
  }
  if (body.length > MAX_BODY_BYTES)
    return oauthError('invalid_request', `the body is larger than ${MAX_BODY_BYTES} bytes`);
  const json = strictJsonFrom(body);
  if (isProblem(json)) return oauthError('invalid_request', `the body ${json.problem}`);
  const read = membersFrom(json.value, { context: taskContextFrom }, { noun: 'member', others: 'refused' });
  return isProblem(read) ? oauthError('invalid_request', `the body ${read.problem}`) : read.context.values;
}

interface Change {
  readonly context: TaskContext;
  readonly by: SpiffeId;
}

function change(task: Task, { context, by }: Change, services: IssuerServices): Task | OAuthError {
  const state = stateAt(task, services.store.nowMs());
  if (state !== 'active' && state !== 'suspended') return ended(state);
  const names = changedNames(task.context, context);
  if (names.length === 0) return task;
  const event = eventOf(task, { context, names }, services);
  const result = services.store.setContext(task, context, by, event);
  if (isStoreFailure(result)) return unavailable(result);
  if (result === undefined) return notFound();
  return 'problem' in result ? ended(result.state) : result;
}

type Hard = TaskEvent & { readonly kind: 'suspend' | 'revoke' };

/** What the change does to the task, the hardest first; `undefined` where the task goes on. */
function eventOf(
  task: Task,
  { context, names }: { readonly context: TaskContext; readonly names: readonly string[] },
  services: IssuerServices,
): Hard | undefined {
  const effects = contextEffects(task, names);
  const note = `the context changed: ${names.join(', ')}`;
  const cause = causeOf('context.changed', note);
  if (effects.has('revoke')) return { kind: 'revoke', cause };
  const refusal = effects.has('ask') ? askAgain({ ...task, context }, services) : null;
  if (refusal !== null && isRefusal(refusal)) {
    return { kind: 'revoke', cause: causeOf('context.changed', `${note}: the policies no longer grant the task`) };
  }
  if (refusal !== null)
    return { kind: 'suspend', cause: causeOf('context.changed', `${note}: the policies could not be asked`) };
  return effects.has('suspend') ? { kind: 'suspend', cause } : undefined;
}

const notFound = (): OAuthError => oauthError('not_found', 'this client has no task with this id');

const ended = (state: Task['state']): OAuthError => oauthError('task_ended', `the task is already ${state}`);

const unavailable = (failure: StoreFailure): OAuthError =>
  failure.code === 'refused'
    ? oauthError('invalid_request', failure.detail)
    : oauthError('temporarily_unavailable', 'the state of the task is not available');
