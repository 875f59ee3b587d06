import { type Deny, isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { recordText } from '../../../core/ledger/record.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { taskId } from '../../../core/token/jose/claim-readers.ts';
import { formFrom } from '../form.ts';
import { askedFrom, authenticated } from '../token/grant.ts';
import { intentPreview, type IntentPreview, isGranted, previewJson } from './intent-preview.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { readableTask } from './readable-task.ts';
import { taskPreview, taskPreviewJson } from './task-tools.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { type SpanAttributes, UNFINISHED } from '../tracer.ts';

/**
 * `POST /intents/check`: what a token request for a new task would be granted, what not, and why. It takes the form of a request
 * with `client_credentials`. Nothing is issued or recorded, but the request counts like any other, and its span names the client
 * and what it asked for. A client learns no more than by asking for tokens. For a form with `task` alone, it answers which
 * actions and tools of that task may be used.
 */
export async function answerIntentCheck(request: IssuerRequest, services: IssuerServices): Promise<Reply> {
  const span = services.tracer.start('intent.check', {}, request.traceparent);
  let attributes: SpanAttributes = { 'remit.decision': 'deny', ...UNFINISHED };
  try {
    const leaf = authenticated(request, services);
    const answered = isOAuthError(leaf) ? leaf : await answerOf(request, leaf, services);
    attributes = {
      ...(isOAuthError(leaf) ? {} : { 'remit.agent': leaf.id }),
      ...(isOAuthError(answered) ? refusalAttributes(answered) : answered.attributes),
    };
    return isOAuthError(answered) ? errorReply(answered) : jsonReply(200, answered.json);
  } finally {
    span.end(attributes);
  }
}

interface Answered {
  readonly json: object;
  readonly attributes: SpanAttributes;
}

async function answerOf(
  request: IssuerRequest,
  leaf: LeafCertificate,
  services: IssuerServices,
): Promise<Answered | OAuthError> {
  const named = taskNamedIn(request);
  if (isOAuthError(named)) return named;
  if (named === null) {
    const preview = await previewOf(request, leaf, services);
    return isOAuthError(preview) ? preview : { json: previewJson(preview), attributes: previewAttributes(preview) };
  }
  const { policies } = services;
  if (isDeny(policies)) return noPolicies(policies);
  const readable = await readableTask(request, services, named);
  if (isOAuthError(readable)) return readable;
  const preview = await taskPreview(readable.task, { ...services, policies });
  if (isOAuthError(preview)) return preview;
  const attributes = { 'remit.decision': 'allow', 'remit.task.id': named, 'http.response.status_code': 200 } as const;
  return { json: taskPreviewJson(named, preview), attributes };
}

/** The task that a form names, which then names nothing else; `null` if it names none. */
function taskNamedIn(request: IssuerRequest): string | null | OAuthError {
  const form = formFrom(request.body, request.contentType);
  const named = isOAuthError(form) ? undefined : form.get('task');
  if (isOAuthError(form) || named === undefined) return null;
  const [id, ...more] = named;
  const read = taskId(id);
  if (more.length > 0 || isProblem(read)) return oauthError('invalid_request', 'task must be the id of one task');
  return form.size === 1
    ? read
    : oauthError('invalid_request', 'a task is checked by its id alone: send no other parameter with task');
}

const noPolicies = (cause: Deny): OAuthError => oauthError('temporarily_unavailable', 'no policies are loaded', cause);

async function previewOf(
  request: IssuerRequest,
  leaf: LeafCertificate,
  services: IssuerServices,
): Promise<IntentPreview | OAuthError> {
  const asked = askedFrom(request, leaf);
  if (isOAuthError(asked)) return asked;
  const { subject, refreshToken, resource, details, context } = asked;
  if (subject !== null || refreshToken !== null) {
    return oauthError('invalid_request', 'an intent is checked with the grant_type client_credentials');
  }
  if (details === null) return oauthError('invalid_authorization_details', 'authorization_details is required');
  const { policies } = services;
  if (isDeny(policies)) return noPolicies(policies);
  return intentPreview({ resource, details, claimed: context ?? {} }, leaf, { ...services, policies });
}

const refusalAttributes = ({ error, status, cause, description }: OAuthError): SpanAttributes => ({
  'remit.decision': 'deny',
  'remit.reason': cause?.reason ?? error,
  'remit.detail': recordText(cause?.detail ?? description),
  'http.response.status_code': status,
  'error.type': error,
});

const previewAttributes = (preview: IntentPreview): SpanAttributes => ({
  'remit.decision': isGranted(preview) ? 'allow' : 'deny',
  'remit.intent.actions': preview.actions.map(({ action }) => recordText(action)),
  'http.response.status_code': 200,
});
