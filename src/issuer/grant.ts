import { isDeny } from '../decision/decision.ts';
import type { LeafCertificate } from '../identity/leaf-certificate.ts';
import type { JsonValue } from '../ledger/canonical-json.ts';
import { issueQuestion } from '../policy/question.ts';
import { MAX_STEP_MS } from '../state/clock-floor.ts';
import { isStoreFailure, stateUnavailable } from '../sqlite/store-failure.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { Authority } from '../state/authority.ts';
import type { NamedValues } from '../task/named-values.ts';
import type { Task } from '../task/task.ts';
import { authorizationDetailsFrom } from '../token/authorization-details.ts';
import { claimLimits } from '../token/claim-readers.ts';
import { isProblem } from '../runtime/problem.ts';
import { ancestorsOf, delegationFrom } from './ancestors.ts';
import { clientFrom } from './client.ts';
import { declarationFrom } from './declaration.ts';
import { formFrom } from './form.ts';
import { type Intent, intentFrom } from './intent.ts';
import { isCovered, wideningOf } from './narrowing.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';
import { autonomous, type Client, ofTask, type Origin, originOf } from './origin.ts';
import { bindingOf } from './proof-of-key.ts';
import type { IssuerRequest, IssuerServices } from './services.ts';
import { type TokenRequest, tokenRequestFrom } from './token-request.ts';

/** What may be issued: the intent, on whose behalf, for how long, and who said so. */
export interface Grant extends Client {
  readonly intent: Intent;
  readonly origin: Origin;
  /** What the agent says of itself, which a new task is accepted with. */
  readonly claimed: NamedValues;
  /** Whom the token is made out for; `null` for the client itself. */
  readonly delegate: TokenRequest['delegate'];
  /** Whether a token was exchanged for it, which the answer then says. */
  readonly isExchange: boolean;
  /** Seconds since the Unix epoch, as `iat` and `exp` of the token. */
  readonly issuedAtSeconds: number;
  readonly expiresAtSeconds: number;
  /** The end of the task by the floor of the store, milliseconds since the Unix epoch. */
  readonly deadlineMs: number;
  /** The end of the token by the same clock. */
  readonly tokenEndMs: number;
  /** Ids of the policies that permitted it, sorted. */
  readonly policyIds: readonly string[];
  /**
   * The tasks that the policies were asked about beside that of the token: those it is a part of, the nearest first. With it they are
   * the premises of the write.
   */
  readonly above: readonly Task[];
}

/** How far a request came: what is known of it, and the grant or the refusal it ended in. */
export interface Judged {
  readonly leaf: LeafCertificate | null;
  readonly intent: Intent | null;
  readonly outcome: Grant | OAuthError;
}

/** A certificate that ends sooner is too near its end to bind a token to. */
const MIN_CERTIFICATE_SECONDS = 10;

/** Judges anew each time it is called; a failure has the code `changed`, and means that it is to be called again. */
export type Judge = () => Promise<Judged | StoreFailure>;

/**
 * How a token request is judged: client, form, key, subject token, intent, lifetimes, policy, in this order, and the first that
 * refuses is the answer. The first three are read once, here, since a proof of the key is used up by it.
 */
export function judgeOf(request: IssuerRequest, services: IssuerServices): Judge | Judged {
  const leaf = authenticated(request, services);
  if (isOAuthError(leaf)) return { leaf: null, intent: null, outcome: leaf };
  const refuse = (outcome: OAuthError): Judged => ({ leaf, intent: null, outcome });
  const asked = askedFrom(request, leaf);
  if (isOAuthError(asked)) return refuse(asked);
  const binding = bindingOf(request, leaf, services);
  if (isOAuthError(binding)) return refuse(binding);
  const client = { leaf, binding };
  return async () => {
    const { subject } = asked;
    const origin = subject === null ? autonomous(leaf) : originOf(subject, { request: asked, client }, services);
    if (isOAuthError(origin)) return refuse(origin);
    const above = await tasksAbove(origin, services.authority);
    return isStoreFailure(above) ? refuse(unreadable(above)) : judge({ client, origin, asked, above }, services);
  };
}

/** The tasks above that of a token, the nearest first; none where its task is declared itself. */
async function tasksAbove({ place }: Origin, authority: Authority): Promise<readonly Task[] | StoreFailure> {
  if (place.kind === 'new-task') return [];
  if (place.kind === 'same-task') return ancestorsOf(place.task, authority);
  const { task } = place.parent;
  const ancestors = await ancestorsOf(task, authority);
  return isStoreFailure(ancestors) ? ancestors : [task, ...ancestors].slice(0, claimLimits.maxActors);
}

const unreadable = (failure: StoreFailure): OAuthError =>
  oauthError('temporarily_unavailable', 'the state of the task is not available', stateUnavailable(failure));

/** Judges whether a task goes on with a further token of all its authority: the intent and the policies anew. */
export async function grantAgain(task: Task, client: Client, services: IssuerServices): Promise<Judged> {
  const refuse = (outcome: OAuthError): Judged => ({ leaf: client.leaf, intent: null, outcome });
  const above = await ancestorsOf(task, services.authority);
  if (isStoreFailure(above)) return refuse(unreadable(above));
  const origin = originOfTask(task, above);
  return isOAuthError(origin) ? refuse(origin) : judge({ client, origin, asked: nothing, above }, services);
}

const nothing: TokenRequest = {
  subject: null,
  resource: null,
  details: null,
  scope: null,
  context: null,
  delegate: null,
};

function originOfTask(task: Task, above: readonly Task[]): Origin | OAuthError {
  const json: unknown = JSON.parse(task.detailsJson);
  const values = authorizationDetailsFrom(json);
  return isProblem(values)
    ? oauthError('invalid_authorization_details', `the authorization_details of the task ${values.problem}`)
    : // They were read as entries just now.
      ofTask(task, actorsOf(task, above), { values, json: json as readonly JsonValue[] });
}

/** Who acts in a task for its subject, outermost first: its agent, and those that handed it on. */
function actorsOf(task: Task, above: readonly Task[]): readonly string[] {
  const agents = [task, ...above].map(({ agent }) => agent);
  const subject = agents.findIndex((agent) => agent === task.subject);
  return agents.slice(0, subject === -1 ? claimLimits.maxActors : subject).slice(0, claimLimits.maxActors);
}

/** A request with all that it rests on. */
interface Case {
  readonly client: Client;
  readonly origin: Origin;
  readonly asked: TokenRequest;
  /** The tasks above that of the token, the nearest first. */
  readonly above: readonly Task[];
}

async function judge(of: Case, services: IssuerServices): Promise<Judged> {
  const { client, origin, asked, above } = of;
  const { leaf } = client;
  const intent = declared(of, services);
  if (isOAuthError(intent)) return { leaf, intent: null, outcome: intent };
  const lifetime = lifetimeOf(leaf, { intent, origin }, services);
  if (isOAuthError(lifetime)) return { leaf, intent, outcome: lifetime };
  const policyIds = await permitted(of, { intent, lifetime }, services);
  if (isOAuthError(policyIds)) return { leaf, intent, outcome: policyIds };
  const { context, delegate, subject } = asked;
  const grant = { ...client, intent, origin, claimed: context ?? {}, delegate, isExchange: subject !== null, above };
  return { leaf, intent, outcome: { ...grant, ...lifetime, policyIds } };
}

function authenticated(request: IssuerRequest, services: IssuerServices): LeafCertificate | OAuthError {
  const nowMs = services.ports.nowMs();
  const leaf = clientFrom(request.certificate, services.settings.trustDomains, nowMs);
  if (isDeny(leaf)) return oauthError('invalid_client', leaf.detail, leaf);
  return leaf.notAfterMs - nowMs >= MIN_CERTIFICATE_SECONDS * 1_000
    ? leaf
    : oauthError('invalid_client', `the client certificate ends in less than ${MIN_CERTIFICATE_SECONDS} s`);
}

function askedFrom(request: IssuerRequest, leaf: LeafCertificate): TokenRequest | OAuthError {
  if (request.hasAuthorization) {
    return oauthError(
      'invalid_request',
      'an authorization header is a second client authentication beside the certificate',
    );
  }
  const form = formFrom(request.body, request.contentType);
  return isOAuthError(form) ? form : tokenRequestFrom(form, leaf.id);
}

/** The intent, within what the origin leaves; that of a task stays the task's, whatever part of it a token carries. */
function declared({ client, origin, asked }: Case, services: IssuerServices): Intent | OAuthError {
  const declaration = declarationFrom(asked, origin);
  if (isOAuthError(declaration)) return declaration;
  const { policies } = services;
  if (isDeny(policies)) return oauthError('temporarily_unavailable', 'no policies are loaded', policies);
  const intent = intentFrom(declaration, policies.catalog, { agent: client.leaf.id, issuer: services.settings.url });
  if (isOAuthError(intent)) return intent;
  const problem = originProblem(intent, origin);
  if (problem !== null) return problem;
  if (origin.place.kind !== 'same-task') return intent;
  const { purpose, intentHash } = origin.place.task;
  return intent.purpose === '' || intent.purpose === purpose
    ? { ...intent, purpose, hash: intentHash }
    : oauthError('invalid_authorization_details', 'the purpose of a task does not change');
}

function originProblem(intent: Intent, { resources, scope, within }: Origin): OAuthError | null {
  if (resources !== null && !resources.includes(intent.server.audience)) {
    return oauthError('invalid_target', 'the subject_token is for another resource');
  }
  const wider = scope === null ? undefined : intent.actions.find((action) => !isCovered(action.id, scope));
  if (wider !== undefined) {
    return oauthError('invalid_scope', `the action ${wider.id} is not in the scope of the subject_token`);
  }
  const widening = within === null ? null : wideningOf(intent.authority, within);
  return widening === null ? null : oauthError('invalid_authorization_details', widening);
}

type Lifetime = Pick<Grant, 'issuedAtSeconds' | 'expiresAtSeconds' | 'deadlineMs' | 'tokenEndMs'>;

/**
 * The task lives to the end of its intent, else for the default time, never longer than the longest and than what it comes
 * from; the token never beyond its own time, the task, the subject token or the certificate of its client. A task begins by the
 * floor, which no setting of the clock moves at once, and its token says the time by the wall clock that others have too: where
 * that is so far ahead that a new task would be over, none is issued until they agree.
 */
function lifetimeOf(
  leaf: LeafCertificate,
  { intent, origin }: { readonly intent: Intent; readonly origin: Origin },
  services: IssuerServices,
): Lifetime | OAuthError {
  const { tokenSeconds, taskSeconds, maxTaskSeconds } = services.settings;
  const { wallMs, floorMs: startMs } = services.authority.clocks();
  const ownEndMs = origin.place.kind === 'same-task' ? Infinity : startMs + taskSeconds * 1_000;
  const endMs = Math.min(intent.notAfterMs ?? ownEndMs, origin.deadlineMs);
  const deadlineMs =
    origin.place.kind === 'same-task'
      ? origin.place.task.deadlineMs
      : Math.min(endMs, startMs + maxTaskSeconds * 1_000);
  const issuedAtSeconds = Math.floor(wallMs / 1_000);
  const expiresAtSeconds = Math.min(
    issuedAtSeconds + tokenSeconds,
    Math.floor(Math.min(endMs, deadlineMs) / 1_000),
    Math.floor(leaf.notAfterMs / 1_000),
    origin.expiresAtSeconds,
  );
  if (deadlineMs > startMs && expiresAtSeconds > issuedAtSeconds) {
    const tokenEndMs = startMs + expiresAtSeconds * 1_000 - wallMs;
    return { issuedAtSeconds, expiresAtSeconds, deadlineMs, tokenEndMs };
  }
  if (wallMs - startMs > MAX_STEP_MS && deadlineMs > startMs) {
    return oauthError('temporarily_unavailable', 'the clock of the issuer is being confirmed');
  }
  return intent.notAfterMs !== null && intent.notAfterMs <= startMs
    ? oauthError('invalid_authorization_details', 'not_after has passed')
    : oauthError('invalid_request', 'there is less than a second left for a token');
}

/**
 * The ids of the policies that permit every action of the intent under all its constraints: one decision each, each in a turn of its
 * own, all or nothing.
 */
async function permitted(
  { origin: { actors, place, subject, subjectAttributes }, asked, above }: Case,
  { intent, lifetime }: { readonly intent: Intent; readonly lifetime: Lifetime },
  { policies, nextTurn }: IssuerServices,
): Promise<readonly string[] | OAuthError> {
  if (isDeny(policies)) return oauthError('temporarily_unavailable', 'no policies are loaded', policies);
  const policyIds = new Set<string>();
  const actions = intent.actions.map((action) => action.id);
  const delegation = delegationFrom(above);
  for (const { action, constraints } of intent.asked) {
    await nextTurn();
    const decision = policies.grant(
      issueQuestion(
        {
          agent: intent.agent,
          server: intent.server,
          purpose: intent.purpose,
          actions,
          requested: { action: action.id, risk: action.risk, constraints },
          ttlSeconds: lifetime.expiresAtSeconds - lifetime.issuedAtSeconds,
          subject,
          subjectAttributes,
          actors,
          // Nobody can have attested anything of a task that is not there yet.
          claimed: place.kind === 'same-task' ? place.task.claimed : (asked.context ?? {}),
          attested: place.kind === 'same-task' ? place.task.attested : [],
          risk: place.kind === 'same-task' ? place.task.risk : 'low',
          delegation,
          nowMs: lifetime.issuedAtSeconds * 1_000,
        },
        policies.catalog,
      ),
    );
    if (isDeny(decision)) {
      return decision.reason === 'policy.forbidden' || decision.reason === 'policy.not-permitted'
        ? oauthError('invalid_authorization_details', `the action ${action.id} is not granted to this client`, decision)
        : oauthError('temporarily_unavailable', 'the grant could not be decided', decision);
    }
    for (const id of decision.policyIds) policyIds.add(id);
  }
  return [...policyIds].toSorted();
}
