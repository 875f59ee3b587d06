import { isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { stateUnavailable } from '../../../core/decision/unavailable.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Authority } from '../../../core/state/authority.ts';
import type { NamedValues } from '../../../core/task/named-values.ts';
import type { Task } from '../../../core/task/task.ts';
import { authorizationDetailsFrom } from '../../../core/token/authorization-details.ts';
import { claimLimits } from '../../../core/token/jose/claim-readers.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { actorsOf, ancestorsOf } from './ancestors.ts';
import { clientFrom } from '../client/client.ts';
import { authorizationProblem } from '../client/client-authentication.ts';
import { declarationFrom } from './declaration.ts';
import { formFrom } from '../form.ts';
import { type Intent, intentFrom } from './intent.ts';
import { type GrantedLifetime, lifetimeOf } from './lifetime.ts';
import { addedBudget, isCovered, wideningOf } from './narrowing.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { autonomous, type Client, ofTask, type Origin, originOf } from './origin.ts';
import { answersOf } from './policy-answers.ts';
import { bindingOf } from './proof-of-key.ts';
import { refreshedTask } from './refresh-token.ts';
import { audienceFrom } from './resource.ts';
import { isScopeAlone, scopeRefusal } from './scope-alone.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';
import { orderRefusal } from './stopped-order.ts';
import { admittedStop, type ReadStop } from './stopped-task.ts';
import { type TokenRequest, tokenRequestFrom } from './token-request.ts';

/** A granted request: intent, origin, lifetimes, and the policies that permitted it. */
export interface Grant extends Client, GrantedLifetime {
  readonly intent: Intent;
  readonly origin: Origin;
  /** Claims of the agent, for a new task. */
  readonly claimed: NamedValues;
  /** The workload that the token is issued for; `null` for the client itself. */
  readonly delegate: TokenRequest['delegate'];
  /** Whether it results from a token exchange, whose response has an additional member. */
  readonly isExchange: boolean;
  /** Ids of the policies that permitted it, sorted. */
  readonly policyIds: readonly string[];
  /** The ancestors of the task, nearest first, about which the policies were asked too. They are premises of the write. */
  readonly above: readonly Task[];
  /** What stopped like tasks of the agent, likewise a premise; `null` for a further token of a task. */
  readonly stop: ReadStop | null;
}

/** The result of a request: the client and intent as far as known, and the grant or the refusal. */
export interface Judged {
  readonly leaf: LeafCertificate | null;
  readonly intent: Intent | null;
  readonly outcome: Grant | OAuthError;
}

/** Minimum remaining lifetime of a certificate that a token is bound to. */
const MIN_CERTIFICATE_SECONDS = 10;

/** Judges a request, reading the state again on each call. A failure with the code `changed` asks for another call. */
export type Judge = () => Promise<Judged | StoreFailure>;

/**
 * Judges a token request: client, form, key, subject token, intent, stops, lifetimes, policies, in this order; the first refusal is
 * final. The first three are judged once, here, because a DPoP proof can be used only once.
 */
export async function judgeOf(request: IssuerRequest, services: IssuerServices): Promise<Judge | Judged> {
  const leaf = authenticated(request, services);
  if (isOAuthError(leaf)) return { leaf: null, intent: null, outcome: leaf };
  const refuse = (outcome: OAuthError): Judged => ({ leaf, intent: null, outcome });
  const asked = askedFrom(request, leaf);
  if (isOAuthError(asked)) return refuse(asked);
  const binding = await bindingOf(request, leaf, services);
  if (isOAuthError(binding)) return refuse(binding);
  const client = { leaf, binding };
  return async () => {
    const { refreshToken, subject } = asked;
    if (refreshToken !== null) {
      const task = await refreshedTask(refreshToken, leaf, services);
      if (isStoreFailure(task)) return refuse(unreadable(task));
      return isOAuthError(task) ? refuse(task) : grantAgain(task, client, services, asked);
    }
    const origin = subject === null ? autonomous(leaf) : await originOf(subject, { request: asked, client }, services);
    if (isOAuthError(origin)) return refuse(origin);
    const above = await tasksAbove(origin, services.authority);
    return isStoreFailure(above) ? refuse(unreadable(above)) : judge({ client, origin, asked, above }, services);
  };
}

/** The ancestors of the token's task, nearest first; none for a new root task. */
async function tasksAbove({ place }: Origin, authority: Authority): Promise<readonly Task[] | StoreFailure> {
  if (place.kind === 'new-task') return [];
  if (place.kind === 'same-task') return ancestorsOf(place.task, authority);
  const { task } = place.parent;
  const ancestors = await ancestorsOf(task, authority);
  return isStoreFailure(ancestors) ? ancestors : [task, ...ancestors].slice(0, claimLimits.maxActors);
}

const unreadable = (failure: StoreFailure): OAuthError =>
  oauthError('temporarily_unavailable', 'the state of the task is not available', stateUnavailable(failure));

/**
 * Judges whether a task gets a further token: intent and policies are judged again.
 *
 * @param asked what of its authority; default all
 */
export async function grantAgain(
  task: Task,
  client: Client,
  services: IssuerServices,
  asked: TokenRequest = nothing,
): Promise<Judged> {
  const refuse = (outcome: OAuthError): Judged => ({ leaf: client.leaf, intent: null, outcome });
  const above = await ancestorsOf(task, services.authority);
  if (isStoreFailure(above)) return refuse(unreadable(above));
  const origin = originOfTask(task, above);
  return isOAuthError(origin) ? refuse(origin) : judge({ client, origin, asked, above }, services);
}

const nothing: TokenRequest = {
  subject: null,
  refreshToken: null,
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
    : // Safe: parsed as entries just now.
      ofTask(task, actorsOf(task, above), { values, json: json as readonly JsonValue[] });
}

/** A request with the facts it is judged by. */
interface Case {
  readonly client: Client;
  readonly origin: Origin;
  readonly asked: TokenRequest;
  /** The ancestors of the token's task, nearest first. */
  readonly above: readonly Task[];
  /** Whether this is the smaller intent that the policies left of a `scope`. */
  readonly isLeft?: boolean;
}

async function judge(of: Case, services: IssuerServices): Promise<Judged> {
  const { client, origin, asked, above } = of;
  const { leaf } = client;
  const intent = declared(of, services);
  if (isOAuthError(intent)) return { leaf, intent: null, outcome: intent };
  const stopped = await orderRefusal({ intent, origin, above }, services);
  if (stopped !== null) return { leaf, intent, outcome: stopped };
  const lifetime = lifetimeOf(leaf, { intent, origin }, services);
  if (isOAuthError(lifetime)) return { leaf, intent, outcome: lifetime };
  const stop = await admittedStop(intent, origin, services);
  if (isOAuthError(stop)) return { leaf, intent, outcome: stop };
  const permission = await permitted(of, { intent, lifetime, stop }, services);
  if (isOAuthError(permission)) return { leaf, intent, outcome: permission };
  const { policyIds, refused } = permission;
  const left = intent.actions.map(({ id }) => id).filter((id) => !refused.has(id));
  if (left.length < intent.actions.length) {
    // The policies see the whole intent, so what is left is asked about once more, all or nothing.
    return judge({ ...of, asked: { ...asked, scope: left }, isLeft: true }, services);
  }
  const { context, delegate, subject } = asked;
  const grant = {
    ...client,
    intent,
    origin,
    claimed: context ?? {},
    delegate,
    isExchange: subject !== null,
    above,
    stop,
  };
  return { leaf, intent, outcome: { ...grant, ...lifetime, policyIds } };
}

/** The client of a request by its certificate, which must live long enough for a token. */
export function authenticated(request: IssuerRequest, services: IssuerServices): LeafCertificate | OAuthError {
  const nowMs = services.ports.nowMs();
  const leaf = clientFrom(request.certificate, services.settings.trustDomains, nowMs);
  if (isDeny(leaf)) return oauthError('invalid_client', leaf.detail, leaf);
  return leaf.notAfterMs - nowMs >= MIN_CERTIFICATE_SECONDS * 1_000
    ? leaf
    : oauthError('invalid_client', `the client certificate ends in less than ${MIN_CERTIFICATE_SECONDS} s`);
}

/** The form of a token request. */
export function askedFrom(request: IssuerRequest, leaf: LeafCertificate): TokenRequest | OAuthError {
  const header = authorizationProblem(request.authorization, leaf.id);
  if (header !== null) return header;
  const form = formFrom(request.body, request.contentType);
  return isOAuthError(form) ? form : tokenRequestFrom(form, leaf.id);
}

/** The intent, which must be within the origin. A token of an existing task keeps the purpose and hash of that task. */
function declared(of: Case, services: IssuerServices): Intent | OAuthError {
  const { client, origin, asked } = of;
  const { policies } = services;
  if (isDeny(policies)) return oauthError('temporarily_unavailable', 'no policies are loaded', policies);
  const resource = audienceFrom(asked.resource, policies.catalog);
  const declaration = declarationFrom({ ...asked, resource }, origin);
  if (isOAuthError(declaration)) return declaration;
  const intent = intentFrom(declaration, policies.catalog, { agent: client.leaf.id, issuer: services.settings.url });
  if (isOAuthError(intent)) return isScopeAlone(asked, origin) ? scopeRefusal(intent) : intent;
  const problem = originProblem(intent, origin);
  if (problem !== null) return problem;
  if (origin.place.kind !== 'same-task') return intent;
  const added = origin.within === null ? null : addedBudget(intent.authority, origin.within);
  if (added !== null) {
    const problem = `the task has no budget of \`${added}\`: a token may lower a limit of its task, and not add a limit`;
    return oauthError('invalid_authorization_details', problem);
  }
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

/** The policy decisions on an intent. */
interface Permission {
  /** The policies that permit, sorted. */
  readonly policyIds: readonly string[];
  /** Actions that they refuse; only of a `scope`, and never all of them. */
  readonly refused: ReadonlySet<string>;
}

/**
 * Asks the policies about all actions of the intent under all their constraints. All or nothing, except for a `scope` alone: it
 * loses the actions that policies refuse.
 */
async function permitted(
  of: Case,
  {
    intent,
    lifetime,
    stop,
  }: { readonly intent: Intent; readonly lifetime: GrantedLifetime; readonly stop: ReadStop | null },
  services: IssuerServices,
): Promise<Permission | OAuthError> {
  const { policies } = services;
  if (isDeny(policies)) return oauthError('temporarily_unavailable', 'no policies are loaded', policies);
  const { origin, asked, above } = of;
  const policyIds = new Set<string>();
  const refused = new Map<string, OAuthError>();
  const claimed = asked.context ?? {};
  const answers = answersOf({ intent, origin, claimed, above, lifetime, stop }, { ...services, policies });
  for await (const { action, decision } of answers) {
    if (!isDeny(decision)) {
      for (const id of decision.policyIds) policyIds.add(id);
      continue;
    }
    if (decision.reason !== 'policy.forbidden' && decision.reason !== 'policy.not-permitted') {
      return oauthError('temporarily_unavailable', 'the grant could not be decided', decision);
    }
    const refusal = oauthError(
      'invalid_authorization_details',
      `the action ${action.id} is not granted to this client`,
      decision,
    );
    if (!isScopeAlone(asked, origin)) return refusal;
    if (of.isLeft === true) return scopeRefusal(refusal);
    refused.set(action.id, refusal);
  }
  const [first] = refused.values();
  return first !== undefined && refused.size === intent.actions.length
    ? scopeRefusal(first)
    : { policyIds: [...policyIds].toSorted(), refused: new Set(refused.keys()) };
}
