import { type Deny, isDeny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import { trustDomainOf } from '../../../core/identity/spiffe-id.ts';
import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import { noAttributes } from '../../../core/task/subject-attributes.ts';
import type { SubjectAttributes } from '../../../core/task/subject-attributes.ts';
import type { Task } from '../../../core/task/task.ts';
import { type AuthorizationDetail, authorizationDetailsFrom } from '../../../core/token/authorization-details.ts';
import { claimLimits } from '../../../core/token/jose/claim-readers.ts';
import type { TaskToken } from '../../../core/token/claims.ts';
import type { Confirmation } from '../../../core/token/proof/confirmation.ts';
import { isExpired } from '../../../core/token/verify.ts';
import { stateUnavailable } from '../../../core/decision/unavailable.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { actorsOf, ancestorsOf } from './ancestors.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import {
  isOwn,
  type LiveToken,
  liveToken,
  type OwnToken,
  ownTokenFrom,
  type ParentTask,
  UNAVAILABLE,
} from './own-token.ts';
import type { IssuerServices } from '../services.ts';
import { settleStolenCredential } from '../revoke/stolen-token.ts';
import { type Subject, subjectFrom } from './subject-token.ts';
import { tokenTypes } from './subject-issuer.ts';
import { liveTransactionFrom } from './transaction-subject.ts';
import type { AskedDetails, AskedSubject, TokenRequest } from './token-request.ts';

/** The origin of a token's authority, and its limits. */
export interface Origin {
  /** The `sub` of the token. */
  readonly subject: string;
  /** Attributes of the subject: from the subject token, or stored with the task that the token comes from. */
  readonly subjectAttributes: SubjectAttributes;
  /** The `act` of the token, outermost first; empty if the subject is the client itself. */
  readonly actors: readonly string[];
  /** Latest expiry, in seconds since the Unix epoch; `Infinity` if only the issuer's own rules limit it. */
  readonly expiresAtSeconds: number;
  /** Latest deadline, in milliseconds since the Unix epoch on the store's clock; `Infinity` likewise. */
  readonly deadlineMs: number;
  /** Entries that the grant must be within; `null` for no such limit. */
  readonly within: readonly AuthorizationDetail[] | null;
  /** Actions and families that can be granted; `null` for no such limit. */
  readonly scope: readonly string[] | null;
  /** Resources that can be requested; `null` for no such limit. */
  readonly resources: readonly string[] | null;
  /** Details for a request without its own; `null` if it must have them. */
  readonly inherited: AskedDetails | null;
  readonly place: TokenOrigin;
}

/** The task of a token: a new root task, a new sub-task of another agent's task, or an existing task. */
export type TokenOrigin =
  | { readonly kind: 'new-task' }
  | { readonly kind: 'part'; readonly parent: ParentTask }
  | {
      readonly kind: 'same-task';
      readonly task: Task;
      /** Digest of the `jti` of the exchanged token; `null` without an exchange. */
      readonly from: string | null;
    };

/** The origin of a client that acts for itself. */
export const autonomous = (leaf: Pick<LeafCertificate, 'id'>): Origin => ({
  subject: leaf.id,
  subjectAttributes: noAttributes,
  actors: [],
  expiresAtSeconds: Infinity,
  deadlineMs: Infinity,
  within: null,
  scope: null,
  resources: null,
  inherited: null,
  place: { kind: 'new-task' },
});

/** The origin of a further token of a task, with all its authority. */
export const ofTask = (task: Task, actors: readonly string[], inherited: AskedDetails): Origin => ({
  subject: task.subject,
  subjectAttributes: task.subjectAttributes,
  actors,
  expiresAtSeconds: Infinity,
  deadlineMs: task.deadlineMs,
  within: inherited.values,
  scope: null,
  resources: null,
  inherited,
  place: { kind: 'same-task', task, from: null },
});

/** The client and the key that the token is bound to. */
export interface Client {
  readonly leaf: LeafCertificate;
  readonly binding: Confirmation;
}

/**
 * The origin that a `subject_token` gives: the subject of a configured issuer, the client's own task (a further token), or a
 * task of an agent that delegates to this client (a sub-task). An unusable token is `invalid_request`, as RFC 8693 requires.
 *
 * The task read here is a premise of the following write, which checks it again (`Grant.above`).
 *
 * @see RFC 8693 sections 2.1, 2.2.2, 4.1 and 4.4
 */
export async function originOf(
  asked: AskedSubject,
  { request, client }: { readonly request: TokenRequest; readonly client: Client },
  services: IssuerServices,
): Promise<Origin | OAuthError> {
  if (asked.type === tokenTypes.transaction) {
    return request.delegate === null
      ? inTransaction(asked, client, services)
      : oauthError('invalid_request', 'delegate requires a subject_token issued to this client');
  }
  if (!isOwn(asked.token, services)) {
    return request.delegate === null
      ? delegated(asked, client, services)
      : oauthError('invalid_request', 'delegate requires a subject_token issued to this client');
  }
  if (asked.type === tokenTypes.idJag) return mistyped();
  const own = ownTokenFrom(asked.token, services);
  if (isDeny(own)) {
    if (isExpired(own) && isAnothers(own.expired, client))
      await settleStolenCredential({ token: own.expired }, client.leaf.id, services);
    return unusable(own);
  }
  return own.token.clientId === client.leaf.id
    ? exchangedBySelf(own, { request, client }, services)
    : handedOn(own, { request, client }, services);
}

/** Whether a token was neither issued nor made out to this client: it has leaked, also when it has expired. */
const isAnothers = ({ clientId, delegate }: TaskToken, { leaf }: Client): boolean =>
  clientId !== leaf.id && delegate !== leaf.id;

/** The error for a subject token that is unusable, or that could not be verified because of a fault. */
export const unusable = (cause: Deny): OAuthError =>
  UNAVAILABLE.has(cause.reason)
    ? oauthError('temporarily_unavailable', 'the subject_token could not be verified', cause)
    : oauthError('invalid_request', `the subject_token cannot be used: ${cause.detail}`, cause);

const mistyped = (): OAuthError => oauthError('invalid_request', 'the subject_token does not match subject_token_type');

/** The origin of a token of a configured issuer: the client acts for its subject, in a new task. */
function delegated(
  asked: AskedSubject,
  { leaf, binding }: Client,
  { policies, ports, settings, subjectKeys }: IssuerServices,
): Origin | OAuthError {
  if (isDeny(policies)) return oauthError('temporarily_unavailable', 'no policies are loaded', policies);
  const subject = subjectFrom(asked.token, {
    issuers: settings.subjectIssuers.filter(({ kind }) => typesOf[kind].has(asked.type)),
    keys: subjectKeys,
    attributeTypes: policies.catalog.subjectAttributes,
    leaf,
    proofThumbprint: binding.kind === 'jkt' ? binding.thumbprint : null,
    nowMs: ports.nowMs(),
  });
  if (isDeny(subject)) return unusable(subject);
  const actors = actorsAfter(subject, leaf);
  return isOAuthError(actors)
    ? actors
    : {
        subject: subject.id,
        subjectAttributes: subject.attributes,
        actors,
        expiresAtSeconds: subject.expiresAtSeconds,
        deadlineMs: subject.expiresAtSeconds * 1_000,
        within: subject.details,
        scope: subject.scope,
        resources: subject.resources,
        inherited: null,
        place: { kind: 'new-task' },
      };
}

/**
 * The origin of a transaction token: a sub-task of the call's task, at most until the token expires. The details are required.
 */
async function inTransaction(
  asked: AskedSubject,
  { leaf }: Client,
  services: IssuerServices,
): Promise<Origin | OAuthError> {
  const live = await liveTransactionFrom(asked.token, services);
  if (isDeny(live)) return unusable(live);
  const { transaction, parent } = live;
  const { expiresAtSeconds, scope, subject } = transaction;
  const above = await ancestorsOf(parent.task, services.authority);
  if (isStoreFailure(above)) return unusable(stateUnavailable(above));
  const within = authorizationDetailsFrom(JSON.parse(parent.task.detailsJson));
  if (isProblem(within)) return oauthError('server_error', 'the task of the subject_token could not be read');
  // The whole chain, so that a stop of any agent in it holds.
  const actors = actorsAfter({ id: subject, actors: actorsOf(parent.task, above) }, leaf);
  if (isOAuthError(actors)) return actors;
  const place = { kind: 'part', parent } as const;
  const { deadlineMs } = parent.task;
  const subjectAttributes = attributesOf(subject, parent.task);
  return {
    subject,
    subjectAttributes,
    actors,
    expiresAtSeconds,
    deadlineMs,
    within,
    scope,
    resources: null,
    inherited: null,
    place,
  };
}

/** Accepted `subject_token_type` values by kind of issuer. */
const typesOf: Readonly<Record<'access-token' | 'id-jag' | 'jwt-svid', ReadonlySet<string>>> = {
  'access-token': new Set([tokenTypes.accessToken, tokenTypes.jwt]),
  'id-jag': new Set([tokenTypes.idJag, tokenTypes.jwt]),
  'jwt-svid': new Set([tokenTypes.jwt]),
};

/** The chain of actors with the client prepended. Refused if the client is already in it, because it would act for itself. */
function actorsAfter(
  { id, actors }: Pick<Subject, 'id' | 'actors'>,
  leaf: LeafCertificate,
): readonly string[] | OAuthError {
  if (id === leaf.id && actors.length === 0) return [];
  if (id === leaf.id || actors.includes(leaf.id)) {
    return oauthError('invalid_request', 'the client is in the chain of actors of the subject_token already');
  }
  return actors.length < claimLimits.maxActors
    ? [leaf.id, ...actors]
    : oauthError('invalid_request', `the chain of actors is longer than ${claimLimits.maxActors}`);
}

/** Attributes stored with a task describe its subject only. */
const attributesOf = (subject: string, task: Task): SubjectAttributes =>
  subject === task.subject ? task.subjectAttributes : noAttributes;

interface Asking {
  readonly request: TokenRequest;
  readonly client: Client;
}

/**
 * The client exchanges its own live token for a token of the same task with equal or less authority, bound to the key presented now. So it
 * can continue after its certificate was rotated. The old token stays valid until it expires.
 */
async function exchangedBySelf(
  own: OwnToken,
  { request, client }: Asking,
  services: IssuerServices,
): Promise<Origin | OAuthError> {
  if (own.token.delegate !== null) {
    return oauthError('invalid_request', 'the subject_token was issued for another workload to exchange');
  }
  if (request.context !== null) {
    return oauthError('invalid_request', 'task_context is given when a task is accepted, and changed at the task');
  }
  const live = await liveToken(own, services);
  if (isDeny(live)) return unusable(live);
  const problem = request.delegate === null ? null : delegateProblem(request.delegate, { live, client, services });
  return (
    problem ?? inTask(live, { kind: 'same-task', task: live.task, from: live.issued.jtiDigest }, live.token.actors)
  );
}

/** Checks a delegate: a workload of an accepted trust domain that is not in the chain of actors. */
function delegateProblem(
  delegate: NonNullable<TokenRequest['delegate']>,
  { live, client, services }: { readonly live: LiveToken; readonly client: Client; readonly services: IssuerServices },
): OAuthError | null {
  const { actors, subject } = live.token;
  if (!services.settings.trustDomains.has(trustDomainOf(delegate))) {
    return oauthError('invalid_request', 'the trust domain of delegate is not accepted');
  }
  if (delegate === client.leaf.id || delegate === subject || actors.includes(delegate)) {
    return oauthError('invalid_request', 'delegate is in the chain of actors already');
  }
  return actors.length < claimLimits.maxActors
    ? null
    : oauthError('invalid_request', `the chain of actors is longer than ${claimLimits.maxActors}`);
}

/** A token of another agent must name this client in `may_act`. Presenting any other is treated as a stolen token. */
async function handedOn(
  own: OwnToken,
  { request, client }: Asking,
  services: IssuerServices,
): Promise<Origin | OAuthError> {
  if (own.token.delegate !== client.leaf.id) {
    await settleStolenCredential(own, client.leaf.id, services);
    return oauthError(
      'invalid_request',
      'the subject_token was issued to another client and does not name this client in may_act',
    );
  }
  if (request.delegate !== null) {
    return oauthError('invalid_request', 'delegate requires a subject_token issued to this client');
  }
  const live = await liveToken(own, services);
  if (isDeny(live)) return unusable(live);
  const actors = actorsAfter({ id: live.token.subject, actors: live.token.actors }, client.leaf);
  return isOAuthError(actors) ? actors : inTask(live, { kind: 'part', parent: live }, actors);
}

const inTask = ({ token, claims, task }: LiveToken, place: TokenOrigin, actors: readonly string[]): Origin => ({
  subject: token.subject,
  subjectAttributes: attributesOf(token.subject, task),
  actors,
  expiresAtSeconds: token.expiresAtSeconds,
  deadlineMs: task.deadlineMs,
  within: token.details,
  scope: null,
  resources: null,
  // Safe: the claim was parsed as entries when the token was verified.
  inherited: { values: token.details, json: claims['authorization_details'] as readonly JsonValue[] },
  place,
});
