import { isDeny } from '../../../core/decision/decision.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { causeOf } from '../../../core/task/cause.ts';
import { contextAfter, contextChanges, type Saying } from '../../../core/task/context-change.ts';
import { type NamedValues, namedValuesFrom } from '../../../core/task/named-values.ts';
import { isOpen, stateAt, type Task } from '../../../core/task/task.ts';
import { taskJson } from '../../../core/task/task-json.ts';
import { spiffeId } from '../../../core/token/jose/claim-readers.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { listOf, members, optional } from '../../../core/runtime/fields.ts';
import { ancestorsOf } from '../token/ancestors.ts';
import { clientFrom } from '../client/client.ts';
import { decidedAnew, isChanged } from '../token/decide-anew.ts';
import { contextEvent } from './context-event.ts';
import { enforcementOf } from './enforcement.ts';
import { jsonBodyFrom } from '../json-body.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { endedAlready, taskNotFound, taskUnavailable } from './readable-task.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { type SpanAttributes, UNFINISHED } from '../tracer.ts';

/**
 * `PUT /tasks/{id}/context` replaces the client's named values. Values of the task's own agent are claims, whatever other role it has. Values
 * of configured context writers and of operators are attested; they are kept beside those of other writers. An operator can also withdraw
 * what others attested.
 *
 * Each changed, added or removed name has the effect that the task was accepted with; the most severe effect applies. The change and its
 * effect are committed in a single transaction before the reply, which shows the resulting task.
 */
export async function answerContext(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const span = services.tracer.start('task.context', { 'remit.task.id': request.taskId }, request.traceparent);
  let attributes: SpanAttributes = UNFINISHED;
  try {
    const task = await changedTask(request, services);
    attributes = isOAuthError(task)
      ? { 'error.type': task.error, 'http.response.status_code': task.status }
      : {
          'remit.task.state': task.state,
          ...(task.cause === null ? {} : { 'remit.cause': task.cause.code }),
          'remit.agent': task.agent,
          'http.response.status_code': 200,
        };
    if (isOAuthError(task)) return errorReply(task);
    const enforced = await enforcementOf({ task, change: 'context' }, request, services);
    // By the clock of the write: a wall clock that is ahead does not hide what was written.
    return jsonReply(200, { ...taskJson(task, services.authority.floorMs()), ...enforced });
  } finally {
    span.end(attributes);
  }
}

async function changedTask(request: IssuerRequest, services: IssuerServices): Promise<Task | OAuthError> {
  const client = clientFrom(request.certificate, services.settings.trustDomains, services.ports.nowMs());
  if (isDeny(client)) return oauthError('invalid_client', client.detail, client);
  const changed = await decidedAnew(async () => {
    const held = await writableTask(request.taskId, client.id, services);
    if (isOAuthError(held)) return held;
    const body = bodyFrom(request);
    if (isOAuthError(body)) return body;
    const saying = sayingOf(held.kind, client.id, body);
    return isOAuthError(saying) ? saying : change(held, saying, services);
  });
  return isStoreFailure(changed) ? taskUnavailable(changed) : changed;
}

/** The role of a client at a task. */
type Speaker = Exclude<Saying['kind'], 'signal'>;

/** A task and the client's role. */
interface Held {
  readonly task: Task;
  readonly kind: Speaker;
  /** Its ancestors, nearest first. */
  readonly above: readonly Task[];
}

/**
 * The task, if the client may write to it. Otherwise it is not found, so that clients cannot probe for ids. A delegating
 * agent acts through its sub-tasks, so it is no more independent than their agents and may not attest values of them.
 */
async function writableTask(
  id: string,
  client: SpiffeId,
  { authority, settings }: IssuerServices,
): Promise<Held | OAuthError> {
  const task = await authority.taskOf(settings.url, id);
  if (isStoreFailure(task)) return taskUnavailable(task);
  const isOperator = settings.operators.has(client);
  const isAgent = task?.agent === client;
  if (task === undefined || !(isAgent || isOperator || settings.contextWriters?.has(client) === true))
    return taskNotFound();
  const above = await ancestorsOf(task, authority);
  if (isStoreFailure(above)) return taskUnavailable(above);
  if (isAgent) return { task, kind: 'agent', above };
  return above.some(({ agent }) => agent === client)
    ? oauthError(
        'access_denied',
        'a workload that delegated the task, or an ancestor of it, cannot attest values of it',
      )
    : { task, kind: isOperator ? 'operator' : 'writer', above };
}

interface Body {
  readonly values: NamedValues;
  /** `null` if it was not sent. */
  readonly withdraw: readonly SpiffeId[] | null;
}

const MAX_WITHDRAW = 64;

const bodyMembers = members({
  context: namedValuesFrom,
  withdraw: optional(listOf(spiffeId, { max: MAX_WITHDRAW })),
});

function bodyFrom(request: IssuerRequest): Body | OAuthError {
  const json = jsonBodyFrom(request);
  if (isOAuthError(json)) return json;
  const read = bodyMembers(json.value);
  return isProblem(read)
    ? oauthError('invalid_request', `the body ${read.problem}`)
    : { values: read.context.values, withdraw: read.withdraw };
}

function sayingOf(kind: Speaker, by: SpiffeId, { values, withdraw }: Body): Saying | OAuthError {
  if (withdraw !== null && kind !== 'operator') {
    return oauthError('access_denied', 'only an operator can withdraw what another workload attested');
  }
  return kind === 'operator' ? { kind, by, values, withdraw: withdraw ?? [] } : { kind, by, values };
}

/** Fails with the code `changed` if the task or an ancestor changed after the decision. */
async function change(
  { task, above }: Held,
  saying: Saying,
  services: IssuerServices,
): Promise<Task | OAuthError | StoreFailure> {
  // INVARIANT: the wall clock decides nothing here: a task that is past its time by it alone is changed, and the write decides the rest.
  const state = stateAt(task, services.authority.floorMs());
  if (!isOpen(task.state)) return endedAlready(task.state);
  const facts = contextAfter(task, saying);
  if (isProblem(facts)) return oauthError('invalid_request', `the task ${facts.problem}`);
  const after = { ...task, ...facts };
  const changes = contextChanges(task, after, saying.kind);
  if (changes.length === 0) return isOpen(state) ? task : endedAlready(state);
  const note = `the context changed: ${[...new Set(changes.map(({ name }) => name))].toSorted().join(', ')}`;
  const event = await contextEvent(after, changes, { above, cause: causeOf('context.changed', note), services });
  const result = await services.authority.setContext(task, saying, event, { tasks: [task, ...above] });
  if (isStoreFailure(result)) return isChanged(result) ? result : taskUnavailable(result);
  if (result === undefined) return taskNotFound();
  return 'problem' in result ? endedAlready(result.state) : result;
}
