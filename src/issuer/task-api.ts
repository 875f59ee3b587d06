import { isDeny } from '../decision/decision.ts';
import type { LeafCertificate } from '../identity/leaf-certificate.ts';
import { timelineFrom } from '../ledger/timeline.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Premises } from '../state/premises.ts';
import { causeOf } from '../task/cause.ts';
import { isOpen, resumeConflict, stateAt, type Task, type TaskConflict } from '../task/task.ts';
import { taskJson } from '../task/task-json.ts';
import { clientFrom } from './client.ts';
import { isChanged } from './decide-anew.ts';
import { grantAgain, type Judged } from './grant.ts';
import { answerWithToken } from './issue.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';
import { bindingOf } from './proof-of-key.ts';
import { errorReply, jsonReply, type Reply } from './reply.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import { type SpanAttributes, UNFINISHED } from './tracer.ts';

/** Records of one timeline at most; `truncated` says that there are more. */
const MAX_TIMELINE = 999;

/** `GET /tasks/{id}`: the task as it stands now, for its own agent and for operators. */
export async function answerTask(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const held = await taskFor(request, services);
  return isOAuthError(held) ? errorReply(held) : jsonReply(200, taskJson(held.task, services.authority.nowMs()));
}

/** `GET /tasks/{id}/timeline`: what happened in the task, in the order of the ledger, for its own agent and for operators. */
export async function answerTimeline(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const held = await taskFor(request, services);
  if (isOAuthError(held)) return errorReply(held);
  const records = await services.recordsOf(held.task.id, MAX_TIMELINE + 1);
  if (isStoreFailure(records)) return errorReply(unavailable(records));
  return jsonReply(200, {
    task: taskJson(held.task, services.authority.nowMs()),
    records: timelineFrom(records.slice(0, MAX_TIMELINE)),
    truncated: records.length > MAX_TIMELINE,
  });
}

/**
 * `POST /tasks/{id}/complete`, `…/cancel` and `…/suspend`: for its own agent and, all but the first, for operators; on disk
 * before it is acknowledged, for the task and all its parts. The same again is acknowledged again, anything else on a task
 * that has ended is a 409 with the state that holds.
 */
export const answerEvent =
  (kind: 'complete' | 'cancel' | 'suspend') =>
  async (request: IssuerRequest, services: IssuerServices): Promise<Reply> => {
    const name = kind === 'suspend' ? 'task.suspend' : 'task.end';
    const span = services.tracer.start(name, { 'remit.task.id': request.taskId }, request.traceparent);
    let attributes: SpanAttributes = UNFINISHED;
    try {
      const held = await taskFor(request, services);
      const changed = isOAuthError(held) ? held : await happen(held, kind, services);
      attributes = attributesOf(changed);
      return isOAuthError(changed)
        ? errorReply(changed)
        : jsonReply(200, taskJson(changed, services.authority.nowMs()));
    } finally {
      span.end(attributes);
    }
  };

/**
 * `POST /tasks/{id}/resume`: a suspended task goes on, and every token of before is dead. Its own agent, where it was itself
 * who suspended it, is answered with a new token, as `…/token` is; the policies are asked anew first, and where they refuse
 * the task stays suspended. An operator may resume any task and is answered with the task, since a token is its agent's.
 */
export async function answerResume(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const held = await taskFor(request, services);
  if (isOAuthError(held)) return errorReply(held);
  return held.isAgent ? resumeByAgent(request, services) : resumeByOperator(held, request, services);
}

async function resumeByOperator(held: Held, request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const span = services.tracer.start('task.resume', { 'remit.task.id': request.taskId }, request.traceparent);
  let attributes: SpanAttributes = UNFINISHED;
  try {
    const resumed = await happen(held, 'resume', services);
    attributes = attributesOf(resumed);
    return isOAuthError(resumed) ? errorReply(resumed) : jsonReply(200, taskJson(resumed, services.authority.nowMs()));
  } finally {
    span.end(attributes);
  }
}

const resumeByAgent = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  again(request, services, (held) => {
    const state = stateAt(held.task, services.authority.nowMs());
    if (!isOpen(state)) return endedAlready(state);
    const conflict = resumeConflict(held.task, causeOf('agent.resumed'));
    if (conflict !== null) return conflictError(conflict);
    return (decidedBy) => tryEvent(held, 'resume', { services, decidedBy });
  });

/**
 * `POST /tasks/{id}/token`: a further token of an active task for its own agent, with all of the task's authority, bound to
 * the key presented now; the policies are asked anew. This is how an agent goes on after its token has run out, after its
 * certificate was rotated, and after an operator has resumed the task.
 */
export const answerFurtherToken = (request: IssuerRequest, services: IssuerServices): Promise<Reply> =>
  again(request, services, ({ task }) => {
    const state = stateAt(task, services.authority.nowMs());
    if (state === 'suspended') return oauthError('task_suspended', 'the task is suspended');
    return state === 'active' ? () => Promise.resolve(task) : endedAlready(state);
  });

/**
 * What is left to do once the policies have granted the token, by what they were asked about: gives the task that it is for. A
 * failure has the code `changed`.
 */
type Step = (decidedBy: Premises) => Promise<Task | OAuthError | StoreFailure>;

/** A further token of a task, where `admit` lets its agent go on. What is admitted is checked with each write once more. */
const again = (
  request: IssuerRequest,
  services: IssuerServices,
  admit: (held: Held) => Step | OAuthError,
): Promise<Reply> =>
  answerWithToken(
    () => {
      const leaf = clientOf(request, services);
      if (isOAuthError(leaf)) return { leaf: null, intent: null, outcome: leaf };
      const refuse = (outcome: OAuthError): Judged => ({ leaf, intent: null, outcome });
      if (request.body.length > 0) return refuse(oauthError('invalid_request', 'this path takes no body'));
      const binding = bindingOf(request, leaf, services);
      if (isOAuthError(binding)) return refuse(binding);
      return async () => {
        const held = await taskFor(request, services);
        if (isOAuthError(held)) return refuse(held);
        if (!held.isAgent) return refuse(notFound());
        const step = admit(held);
        if (isOAuthError(step)) return refuse(step);
        const judged = await grantAgain(held.task, { leaf, binding }, services);
        if (isOAuthError(judged.outcome)) return judged;
        const grant = judged.outcome;
        const task = await step({ tasks: [held.task, ...grant.above] });
        if (isStoreFailure(task)) return task;
        if (isOAuthError(task)) return { ...judged, outcome: task };
        const origin = { ...grant.origin, place: { kind: 'same-task', task, from: null } as const };
        return { ...judged, outcome: { ...grant, origin } };
      };
    },
    request,
    services,
  );

/** A task as one of those who may see it: its agent, or an operator. */
interface Held {
  readonly task: Task;
  readonly client: LeafCertificate;
  readonly isAgent: boolean;
}

function clientOf(request: IssuerRequest, { ports, settings }: IssuerServices): LeafCertificate | OAuthError {
  const leaf = clientFrom(request.certificate, settings.trustDomains, ports.nowMs());
  return isDeny(leaf) ? oauthError('invalid_client', leaf.detail, leaf) : leaf;
}

/** A task of another agent is not found, so that nobody learns which ids exist. */
async function taskFor(request: IssuerRequest, services: IssuerServices): Promise<Held | OAuthError> {
  const client = clientOf(request, services);
  if (isOAuthError(client)) return client;
  const task = await services.authority.taskOf(services.settings.url, request.taskId);
  if (isStoreFailure(task)) return unavailable(task);
  const isAgent = task?.agent === client.id;
  return task !== undefined && (isAgent || services.settings.operators.has(client.id))
    ? { task, client, isAgent }
    : notFound();
}

const notFound = (): OAuthError => oauthError('not_found', 'this client has no task with this id');

const endedAlready = (state: Task['state']): OAuthError => oauthError('task_ended', `the task is already ${state}`);

const verbs = {
  complete: 'completed',
  cancel: 'cancelled',
  suspend: 'suspended',
  resume: 'resumed',
} as const;

async function happen(held: Held, kind: keyof typeof verbs, services: IssuerServices): Promise<Task | OAuthError> {
  const happened = await tryEvent(held, kind, { services });
  return isStoreFailure(happened) ? unavailable(happened) : happened;
}

/** The task after the event. A failure has the code `changed`: what it was decided by, if anything, no longer holds. */
async function tryEvent(
  { task, client, isAgent }: Held,
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
  if (isStoreFailure(result)) return isChanged(result) ? result : unavailable(result);
  if (result === undefined) return notFound();
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

const unavailable = (failure: StoreFailure): OAuthError =>
  failure.code === 'refused'
    ? oauthError('invalid_request', failure.detail)
    : oauthError('temporarily_unavailable', 'the state of the task is not available');
