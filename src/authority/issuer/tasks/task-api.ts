import { timelineFrom } from '../../../core/ledger/timeline.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Premises } from '../../../core/state/writes/premises.ts';
import { causeOf } from '../../../core/task/cause.ts';
import { isOpen, resumeConflict, stateAt, type Task, type TaskConflict } from '../../../core/task/task.ts';
import { taskJson } from '../../../core/task/task-json.ts';
import { isChanged } from '../token/decide-anew.ts';
import { enforcementOf } from './enforcement.ts';
import { grantAgain, type Judged } from '../token/grant.ts';
import { answerWithToken } from '../token/issue.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { bindingOf } from '../token/proof-of-key.ts';
import {
  endedAlready,
  readableTask,
  type ReadableTask,
  taskClient,
  taskNotFound,
  taskUnavailable,
} from './readable-task.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { type SpanAttributes, UNFINISHED } from '../tracer.ts';

/** Most records per timeline; `truncated` tells that there are more. */
const MAX_TIMELINE = 999;

/** `GET /tasks/{id}`: the current task, for its agent and for operators. */
export async function answerTask(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const readable = await readableTask(request, services);
  return isOAuthError(readable)
    ? errorReply(readable)
    : jsonReply(200, taskJson(readable.task, services.authority.nowMs()));
}

/** `GET /tasks/{id}/timeline`: the records of the task in ledger order, for its agent and for operators. */
export async function answerTimeline(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const readable = await readableTask(request, services);
  if (isOAuthError(readable)) return errorReply(readable);
  const records = await services.recordsOf(readable.task.id, MAX_TIMELINE + 1);
  if (isStoreFailure(records)) return errorReply(taskUnavailable(records));
  return jsonReply(200, {
    task: taskJson(readable.task, services.authority.nowMs()),
    records: timelineFrom(records.slice(0, MAX_TIMELINE)),
    truncated: records.length > MAX_TIMELINE,
  });
}

/**
 * `POST /tasks/{id}/complete`, `…/cancel` and `…/suspend`: for the task's agent, and except the first for operators. Applies to
 * the task and all sub-tasks. It is committed before the reply, which also waits for the receipt of the sidecars, unless the
 * request has `?wait=committed`. Repeating the event is acknowledged; another event on an ended task is 409 with the current
 * state.
 */
export const answerEvent =
  (kind: 'complete' | 'cancel' | 'suspend') =>
  async (request: IssuerRequest, services: IssuerServices): Promise<Reply> => {
    const name = kind === 'suspend' ? 'task.suspend' : 'task.end';
    const span = services.tracer.start(name, { 'remit.task.id': request.taskId }, request.traceparent);
    let attributes: SpanAttributes = UNFINISHED;
    try {
      const readable = await readableTask(request, services);
      const changed = isOAuthError(readable) ? readable : await changeTask(readable, kind, services);
      attributes = attributesOf(changed);
      if (isOAuthError(changed)) return errorReply(changed);
      const enforced = await enforcementOf({ task: changed, change: changed.state }, request, services);
      // By the clock of the write: a wall clock that is ahead does not hide what was written.
      return jsonReply(200, { ...taskJson(changed, services.authority.floorMs()), ...enforced });
    } finally {
      span.end(attributes);
    }
  };

/**
 * `POST /tasks/{id}/resume`: resumes a suspended task; all earlier tokens are dead. The agent can resume a task that it suspended
 * itself, and receives a new token as from `…/token`; the policies are asked first, and a refusal leaves the task suspended. An
 * operator can resume any task and receives the task, because tokens are issued to its agent only.
 */
export async function answerResume(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const readable = await readableTask(request, services);
  if (isOAuthError(readable)) return errorReply(readable);
  return readable.isAgent ? resumeByAgent(request, services) : resumeByOperator(readable, request, services);
}

async function resumeByOperator(
  readable: ReadableTask,
  request: IssuerRequest,
  services: IssuerServices,
): Promise<Reply> {
  const span = services.tracer.start('task.resume', { 'remit.task.id': request.taskId }, request.traceparent);
  let attributes: SpanAttributes = UNFINISHED;
  try {
    const resumed = await changeTask(readable, 'resume', services);
    attributes = attributesOf(resumed);
    return isOAuthError(resumed) ? errorReply(resumed) : jsonReply(200, taskJson(resumed, services.authority.nowMs()));
  } finally {
    span.end(attributes);
  }
}

const resumeByAgent = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  answerAgain(request, services, (readable) => {
    const state = stateAt(readable.task, services.authority.nowMs());
    if (!isOpen(state)) return endedAlready(state);
    const conflict = resumeConflict(readable.task, causeOf('agent.resumed'));
    if (conflict !== null) return conflictError(conflict);
    return (decidedBy) => tryEvent(readable, 'resume', { services, decidedBy });
  });

/**
 * `POST /tasks/{id}/token`: a further token of an active task for its agent, with all of the task's authority, bound to the key
 * presented now. The policies are asked again. An agent uses it after its token expired, its certificate was rotated, or an
 * operator resumed the task.
 */
export const answerFurtherToken = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  answerAgain(request, services, ({ task }) => {
    const state = stateAt(task, services.authority.nowMs());
    if (state === 'suspended') return oauthError('task_suspended', 'the task is suspended');
    return state === 'active' ? () => Promise.resolve(task) : endedAlready(state);
  });

/**
 * The step after the policies granted the token; returns the task of the token. Its write checks the premises of the grant and
 * fails with the code `changed` if they no longer hold.
 */
type Step = (decidedBy: Premises) => Promise<Task | OAuthError | StoreFailure>;

/** Issues a further token if `admit` allows it. Each write checks the admission again. */
const answerAgain = (
  request: IssuerRequest,
  services: IssuerServices,
  admit: (readable: ReadableTask) => Step | OAuthError,
): Promise<Reply> =>
  answerWithToken(
    async () => {
      const leaf = taskClient(request, services);
      if (isOAuthError(leaf)) return { leaf: null, intent: null, outcome: leaf };
      const refuse = (outcome: OAuthError): Judged => ({ leaf, intent: null, outcome });
      if (request.body.length > 0) return refuse(oauthError('invalid_request', 'this path accepts no body'));
      const binding = await bindingOf(request, leaf, services);
      if (isOAuthError(binding)) return refuse(binding);
      return async () => {
        const readable = await readableTask(request, services);
        if (isOAuthError(readable)) return refuse(readable);
        if (!readable.isAgent) return refuse(taskNotFound());
        const step = admit(readable);
        if (isOAuthError(step)) return refuse(step);
        const judged = await grantAgain(readable.task, { leaf, binding }, services);
        if (isOAuthError(judged.outcome)) return judged;
        const grant = judged.outcome;
        const task = await step({ tasks: [readable.task, ...grant.above] });
        if (isStoreFailure(task)) return task;
        if (isOAuthError(task)) return { ...judged, outcome: task };
        const origin = { ...grant.origin, place: { kind: 'same-task', task, from: null } as const };
        return { ...judged, outcome: { ...grant, origin } };
      };
    },
    request,
    services,
  );

const verbs = {
  complete: 'completed',
  cancel: 'cancelled',
  suspend: 'suspended',
  resume: 'resumed',
} as const;

async function changeTask(
  readable: ReadableTask,
  kind: keyof typeof verbs,
  services: IssuerServices,
): Promise<Task | OAuthError> {
  const changed = await tryEvent(readable, kind, { services });
  return isStoreFailure(changed) ? taskUnavailable(changed) : changed;
}

/** Applies the event and returns the task. Fails with the code `changed` if the premises no longer hold. */
async function tryEvent(
  { task, client, isAgent }: ReadableTask,
  kind: keyof typeof verbs,
  { services, decidedBy }: { readonly services: IssuerServices; readonly decidedBy?: Premises },
): Promise<Task | OAuthError | StoreFailure> {
  if (kind === 'complete' && !isAgent) {
    return oauthError('access_denied', 'only its own agent can say that a task is complete');
  }
  const result = await services.authority.applyTaskEvent(
    task,
    { kind, cause: causeOf(`${isAgent ? 'agent' : 'operator'}.${verbs[kind]}`) },
    client.id,
    decidedBy,
  );
  if (isStoreFailure(result)) return isChanged(result) ? result : taskUnavailable(result);
  if (result === undefined) return taskNotFound();
  return 'problem' in result ? conflictError(result) : result.task;
}

function conflictError({ problem, state }: TaskConflict): OAuthError {
  switch (problem) {
    case 'ended':
      return endedAlready(state);
    case 'parent':
      return oauthError('task_suspended', `the task it is part of is ${state}`);
    case 'held':
      return oauthError('access_denied', 'the task was not suspended by its agent: an operator must resume it');
    default:
      return problem satisfies never;
  }
}

const attributesOf = (task: Task | OAuthError): SpanAttributes =>
  isOAuthError(task)
    ? { 'error.type': task.error, 'http.response.status_code': task.status }
    : {
        'remit.task.state': task.state,
        ...(task.cause === null ? {} : { 'remit.cause': task.cause.code }),
        'remit.agent': task.agent,
        'http.response.status_code': 200,
      };
