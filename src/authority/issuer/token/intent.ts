import { createHash } from 'node:crypto';
import type { Catalog, CatalogAction, Server } from '../../../core/action/catalog/catalog.ts';
import { nearestId } from '../../../core/action/catalog/nearest.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { canonicalJson } from '../../../core/ledger/canonical-json.ts';
import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import type { AuthorizationDetail, Constraints } from '../../../core/token/authorization-details.ts';
import { type IntentEntry, intentEntries, MAX_INTENT_ACTIONS, tooManyActions } from './intent-entries.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import type { AskedDetails } from './token-request.ts';

/** A complete request: resource, details and scope. */
export interface Declaration {
  readonly resource: string;
  readonly details: AskedDetails;
  /** `null` if none was requested. */
  readonly scope: readonly string[] | null;
}

/** The declared intent of an agent, resolved to actions of the catalog. */
export interface Intent {
  readonly agent: SpiffeId;
  readonly server: Server;
  /** `''` if not given. */
  readonly purpose: string;
  /** All its actions without duplicates, in the order of the catalog. */
  readonly actions: readonly CatalogAction[];
  /** The questions for the policies: each action with the constraints of each of its entries; at most 64. */
  readonly asked: readonly AskedAction[];
  /** The granted `authorization_details`: as sent, resolved by `intentEntries`. */
  readonly details: readonly JsonValue[];
  /** `details`, parsed. */
  readonly authority: readonly AuthorizationDetail[];
  /** `sha-256:` and the base64url SHA-256 of the canonical JSON of issuer, agent and details. */
  readonly hash: string;
  /** The latest end of its entries, in milliseconds since the Unix epoch; `null` if any entry has no end. */
  readonly notAfterMs: number | null;
}

/** An action of an intent with the constraints of an entry. */
export interface AskedAction {
  readonly action: CatalogAction;
  readonly constraints: Constraints;
}

/**
 * Resolves a request by the catalog: the resource must be the audience of a server and the only location of every entry, every
 * action must belong to that server, and all entries must have the same purpose.
 *
 * @returns `invalid_target`, `invalid_scope` or `invalid_authorization_details`
 */
export function intentFrom(
  request: Declaration,
  catalog: Catalog,
  by: { readonly agent: SpiffeId; readonly issuer: string },
): Intent | OAuthError {
  const server = catalog.serversByAudience.get(request.resource);
  if (server === undefined) return unknownResource(request.resource, catalog);
  const purpose = purposeOf(request);
  if (isOAuthError(purpose)) return purpose;
  const entries = intentEntries(request.details, catalog, server);
  if (isOAuthError(entries)) return entries;
  const granted = new Set(entries.flatMap((entry) => entry.actions));
  const actions = [...catalog.actions.values()].filter((action) => granted.has(action));
  const asked = askedActions(entries);
  if (asked.length > MAX_INTENT_ACTIONS) return tooManyActions();
  const scopeProblem = problemOfScope(request.scope, actions);
  if (scopeProblem !== null) return scopeProblem;
  const details = entries.map(({ json }) => json);
  const ends = entries.map(({ detail }) => detail.constraints.notAfterMs);
  return {
    agent: by.agent,
    server,
    purpose,
    actions,
    asked,
    details,
    authority: entries.map(({ detail }) => detail),
    hash: intentHash(by, details),
    notAfterMs: ends.includes(null) ? null : Math.max(...ends.map((end) => end ?? 0)),
  };
}

/** The refusal of a resource that no server has. */
export function unknownResource(resource: string, { audiences }: Catalog): OAuthError {
  const near = nearestId(resource, audiences);
  return oauthError('invalid_target', near === null ? 'unknown resource' : `unknown resource; did you mean ${near}?`);
}

/** Each action once per distinct constraints. */
function askedActions(entries: readonly IntentEntry[]): readonly AskedAction[] {
  const asked = new Map<string, AskedAction>();
  for (const { actions, detail } of entries) {
    const { constraints } = detail;
    const under = JSON.stringify(constraints);
    for (const action of actions) asked.set(`${action.id} ${under}`, { action, constraints });
  }
  return [...asked.values()];
}

function purposeOf({ details }: Declaration): string | OAuthError {
  const purposes = new Set(details.values.map((detail) => detail.purpose).filter((purpose) => purpose !== null));
  const [purpose = '', ...more] = purposes;
  return more.length === 0
    ? purpose
    : oauthError('invalid_authorization_details', 'the entries name several purposes: a task has one');
}

/** A token's scope is the list of its actions, so a request for a different scope is refused. */
function problemOfScope(scope: Declaration['scope'], actions: readonly CatalogAction[]): OAuthError | null {
  if (scope === null) return null;
  const ids = new Set(actions.map((action) => action.id));
  const isSame = new Set(scope).size === ids.size && scope.every((value) => ids.has(value));
  return isSame
    ? null
    : oauthError('invalid_scope', 'the scope must list the actions of authorization_details, or be left out');
}

function intentHash(by: { readonly agent: SpiffeId; readonly issuer: string }, details: readonly JsonValue[]): string {
  const value = { client_id: by.agent, authorization_details: details };
  const text = canonicalJson({ typ: 'remit-intent', iss: by.issuer, value });
  if (typeof text !== 'string')
    throw new Error(`an intent that was strictly read has no canonical form: ${text.problem}`);
  return `sha-256:${createHash('sha256').update(text, 'utf8').digest('base64url')}`;
}
