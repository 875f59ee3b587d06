import { type Deny, isDeny } from '../decision/decision.ts';
import type { LeafCertificate } from '../identity/leaf-certificate.ts';
import { trustDomainOf } from '../identity/spiffe-id.ts';
import type { JsonValue } from '../ledger/canonical-json.ts';
import { noAttributes } from '../task/subject-attributes.ts';
import type { SubjectAttributes } from '../task/subject-attributes.ts';
import type { Task } from '../task/task.ts';
import { type AuthorizationDetail, authorizationDetailsFrom } from '../token/authorization-details.ts';
import { claimLimits } from '../token/claim-readers.ts';
import type { Confirmation } from '../token/confirmation.ts';
import { isProblem } from '../runtime/problem.ts';
import { isOAuthError, type OAuthError, oauthError } from './oauth-error.ts';
import { isOwn, type LiveToken, liveToken, type OwnToken, ownTokenFrom, type ParentTask } from './own-token.ts';
import type { IssuerServices } from './services.ts';
import { settleStolenCredential } from './stolen-token.ts';
import { type Subject, subjectFrom } from './subject-token.ts';
import { tokenTypes } from './subject-issuer.ts';
import { liveTransactionFrom } from './transaction-subject.ts';
import type { AskedDetails, AskedSubject, TokenRequest } from './token-request.ts';

/** Where the authority of a token comes from, and how far it goes. */
export interface Origin {
  /** The `sub` of the token. */
  readonly subject: string;
  /** What the issuer of the subject token says of it, or said when the task it comes from was accepted. */
  readonly subjectAttributes: SubjectAttributes;
  /** The `act` of the token, outermost first; empty where the subject is the client itself. */
  readonly actors: readonly string[];
  /** Seconds since the Unix epoch; `Infinity` where nothing but the issuer's own rules limits it. */
  readonly expiresAtSeconds: number;
  /** Milliseconds since the Unix epoch, the store's clock; likewise. */
  readonly deadlineMs: number;
  /** Entries that what is granted must stay within; `null` where there is no such limit. */
  readonly within: readonly AuthorizationDetail[] | null;
  /** Actions and families that can be granted; `null` where there is no such limit. */
  readonly scope: readonly string[] | null;
  /** Resources that can be asked for; `null` where there is no such limit. */
  readonly resources: readonly string[] | null;
  /** What is asked for where the client does not say; `null` where it must. */
  readonly inherited: AskedDetails | null;
  readonly place: TokenOrigin;
}

/** The task a token is issued for: a new one, a part of one that another agent was given, or one that lives. */
export type TokenOrigin =
  | { readonly kind: 'new-task' }
  | { readonly kind: 'part'; readonly parent: ParentTask }
  | {
      readonly kind: 'same-task';
      readonly task: Task;
      /** Digest of the `jti` of the token that is exchanged for it; `null` where none is. */
      readonly from: string | null;
    };

/** The client acts for itself. */
export const autonomous = (leaf: LeafCertificate): Origin => ({
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

/** A further token of a task that lives, with all of its authority. */
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

/** Who asks, and with what key. */
export interface Client {
  readonly leaf: LeafCertificate;
  readonly binding: Confirmation;
}

/**
 * What a `subject_token` lets the client do: act for the subject of a configured issuer, have another token of its own task,
 * or have a part of the task of an agent that named it. An unusable one is `invalid_request`, whatever the reason, as RFC 8693
 * has it.
 *
 * The task is looked at here; whether it is still so is checked with the write that the origin leads to (`Grant.above`).
 *
 * @see RFC 8693 sections 2.1, 2.2.2, 4.1 and 4.4
 */
export function originOf(
  asked: AskedSubject,
  { request, client }: { readonly request: TokenRequest; readonly client: Client },
  services: IssuerServices,
): Origin | OAuthError {
  if (asked.type === tokenTypes.transaction) {
    return request.delegate === null
      ? inTransaction(asked, client, services)
      : oauthError('invalid_request', 'delegate needs a subject_token of the client itself');
  }
  if (!isOwn(asked.token, services)) {
    return request.delegate === null
      ? delegated(asked, client, services)
      : oauthError('invalid_request', 'delegate needs a subject_token of the client itself');
  }
  if (asked.type === tokenTypes.idJag) return mistyped();
  const own = ownTokenFrom(asked.token, services);
  if (isDeny(own)) return unusable(own);
  return own.token.clientId === client.leaf.id
    ? exchangedBySelf(own, { request, client }, services)
    : handedOn(own, { request, client }, services);
}

/** The error of a subject token that cannot be used, or of a fault that kept it from being judged. */
export const unusable = (cause: Deny): OAuthError =>
  UNAVAILABLE.has(cause.reason)
    ? oauthError('temporarily_unavailable', 'the subject_token could not be verified', cause)
    : oauthError('invalid_request', `the subject_token cannot be used: ${cause.detail}`, cause);

const UNAVAILABLE: ReadonlySet<string> = new Set([
  'token.keys-unavailable',
  'task.state-unavailable',
  'policy.unavailable',
]);

const mistyped = (): OAuthError =>
  oauthError('invalid_request', 'the subject_token is not of the kind that subject_token_type says');

/** A token of a configured issuer: the client acts for its subject, in a new task. */
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

/** A transaction token: a part of the task of the call it came with, for as long as it lives, to be asked for in so many words. */
function inTransaction(asked: AskedSubject, { leaf }: Client, services: IssuerServices): Origin | OAuthError {
  const live = liveTransactionFrom(asked.token, services);
  if (isDeny(live)) return unusable(live);
  const { transaction, parent } = live;
  const { agent, expiresAtSeconds, scope, subject } = transaction;
  const within = authorizationDetailsFrom(JSON.parse(parent.task.detailsJson));
  if (isProblem(within)) return oauthError('server_error', 'the task of the subject_token could not be read');
  const actors = actorsAfter({ id: subject, actors: subject === agent ? [] : [agent] }, leaf);
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

/** What a client may call each kind of subject token. */
const typesOf: Readonly<Record<'access-token' | 'id-jag' | 'jwt-svid', ReadonlySet<string>>> = {
  'access-token': new Set([tokenTypes.accessToken, tokenTypes.jwt]),
  'id-jag': new Set([tokenTypes.idJag, tokenTypes.jwt]),
  'jwt-svid': new Set([tokenTypes.jwt]),
};

/** The chain of actors with the client before it; a client that is in it already would act for itself through others. */
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

/** What is known of the subject of a task is known of no other. */
const attributesOf = (subject: string, task: Task): SubjectAttributes =>
  subject === task.subject ? task.subjectAttributes : noAttributes;

interface Asking {
  readonly request: TokenRequest;
  readonly client: Client;
}

/**
 * A live token of the client itself: as much or less of the same task, bound to the key presented now. The SPIFFE ID is the
 * same, so a rotated certificate can take over; the old token lives on to its own end.
 */
function exchangedBySelf(own: OwnToken, { request, client }: Asking, services: IssuerServices): Origin | OAuthError {
  if (own.token.delegate !== null) {
    return oauthError('invalid_request', 'the subject_token is made out for another workload');
  }
  if (request.context !== null) {
    return oauthError('invalid_request', 'task_context is given when a task is accepted, and changed at the task');
  }
  const live = liveToken(own, services);
  if (isDeny(live)) return unusable(live);
  const problem = request.delegate === null ? null : delegateProblem(request.delegate, { live, client, services });
  return (
    problem ?? inTask(live, { kind: 'same-task', task: live.task, from: live.issued.jtiDigest }, live.token.actors)
  );
}

/** Whom a part of the task may be handed to: a workload of an accepted domain that is not in the chain already. */
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

/** A token of another agent, which must be made out for this client: holding it is not enough, and a signal of its own. */
function handedOn(own: OwnToken, { request, client }: Asking, services: IssuerServices): Origin | OAuthError {
  if (own.token.delegate !== client.leaf.id) {
    settleStolenCredential(own, client.leaf.id, services);
    return oauthError(
      'invalid_request',
      'the subject_token was issued to another client and is not made out for this one',
    );
  }
  if (request.delegate !== null) {
    return oauthError('invalid_request', 'delegate needs a subject_token of the client itself');
  }
  const live = liveToken(own, services);
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
  // The claim was read as entries when the token was verified.
  inherited: { values: token.details, json: claims['authorization_details'] as readonly JsonValue[] },
  place,
});
