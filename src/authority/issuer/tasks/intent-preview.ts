import type { Catalog, CatalogAction, Server } from '../../../core/action/catalog/catalog.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import type { LeafCertificate } from '../../../core/identity/leaf-certificate.ts';
import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import type { NamedValues } from '../../../core/task/named-values.ts';
import { intentFrom, unknownResource } from '../token/intent.ts';
import { namedBy, nearestAction } from '../token/intent-entries.ts';
import { type GrantedLifetime, lifetimeOf } from '../token/lifetime.ts';
import type { LifetimeServices } from '../token/lifetime.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import { autonomous } from '../token/origin.ts';
import { answersOf } from '../token/policy-answers.ts';
import { audienceFrom } from '../token/resource.ts';
import type { GrantPolicies, IssuerServices } from '../services.ts';
import { orderRefusal } from '../token/stopped-order.ts';
import type { OrderServices } from '../token/stopped-order.ts';
import { admittedStop } from '../token/stopped-task.ts';
import type { StopServices } from '../token/stopped-task.ts';
import type { AskedDetails } from '../token/token-request.ts';

/** What would become of an action of an intent. */
export interface PreviewedAction {
  /** As named in the intent if it does not exist, else its id. */
  readonly action: string;
  /** Why it would not be granted; `null` if it would. `advice` is the `@reason` of the policy that forbids it. */
  readonly refused: null | {
    readonly reason: Deny['reason'];
    readonly advice: string | null;
    /** The nearest action, if the action does not exist. */
    readonly nearest: string | null;
  };
  /** Why every use of the granted action would be denied; `null` if some use may pass. */
  readonly usesDenied: Deny | null;
}

/** What would become of an intent. */
export interface IntentPreview {
  /** Actions that exist in the order of the catalog, then those that do not. */
  readonly actions: readonly PreviewedAction[];
  /** Why the whole intent would be refused, whatever the policies say; `null` if it would not. */
  readonly refusal: OAuthError | null;
  /** The `authorization_details` of all actions that exist, as they would be granted; empty with a refusal. */
  readonly details: readonly JsonValue[];
  /** `null` with a refusal. */
  readonly lifetime: GrantedLifetime | null;
}

/** What an intent is judged with. */
export interface PreviewServices {
  readonly policies: Pick<GrantPolicies, 'catalog' | 'preview' | 'everyUseDenied'>;
  readonly settings: LifetimeServices['settings'] & StopServices['settings'];
  readonly authority: LifetimeServices['authority'] & StopServices['authority'] & OrderServices['authority'];
  readonly nextTurn: IssuerServices['nextTurn'];
}

/** An intent that an agent would declare for itself. */
export interface PreviewedIntent {
  readonly resource: string | null;
  readonly details: AskedDetails;
  readonly claimed: NamedValues;
}

/**
 * Judges an intent as its issuance would, without any effect: each action is evaluated, while issuance ends at the first refusal. Fails if
 * the policies cannot answer, or the state cannot be read.
 */
export async function intentPreview(
  { resource, details, claimed }: PreviewedIntent,
  leaf: Pick<LeafCertificate, 'id' | 'notAfterMs'>,
  services: PreviewServices,
): Promise<IntentPreview | OAuthError> {
  const { policies, settings } = services;
  const { catalog } = policies;
  const audience = audienceFrom(resource, catalog) ?? '';
  const server = catalog.serversByAudience.get(audience);
  if (server === undefined) return refused(unknownResource(audience, catalog), []);
  const { known, unknown } = sortedOut(details, catalog, server);
  if (known.values.length === 0) return { actions: unknown, refusal: null, details: [], lifetime: null };
  const by = { agent: leaf.id, issuer: settings.url };
  const intent = intentFrom({ resource: audience, details: known, scope: null }, catalog, by);
  if (isOAuthError(intent)) return refused(intent, unknown);
  const origin = autonomous(leaf);
  const stopped = await orderRefusal({ intent, origin, above: [] }, services);
  if (stopped !== null) return failed(stopped) ?? refused(stopped, unknown);
  const lifetime = lifetimeOf(leaf, { intent, origin }, services);
  if (isOAuthError(lifetime)) return failed(lifetime) ?? refused(lifetime, unknown);
  const stop = await admittedStop(intent, origin, services);
  if (isOAuthError(stop)) return failed(stop) ?? refused(stop, unknown);
  const asking = { ...services, policies: { catalog, grant: policies.preview } };
  const refusals = new Map<CatalogAction, Deny>();
  const asked = { intent, origin, claimed, above: [], lifetime, stop };
  for await (const { action, decision } of answersOf(asked, asking)) {
    if (!isDeny(decision)) continue;
    if (decision.reason !== 'policy.forbidden' && decision.reason !== 'policy.not-permitted') {
      return oauthError('temporarily_unavailable', 'the grant could not be decided', decision);
    }
    if (!refusals.has(action)) refusals.set(action, decision);
  }
  const actions: PreviewedAction[] = [];
  for (const action of intent.actions) {
    const refusal = refusals.get(action);
    await services.nextTurn();
    const uses = { agent: leaf.id, purpose: intent.purpose, subject: origin.subject, action };
    actions.push({
      action: action.id,
      refused: refusal === undefined ? null : { reason: refusal.reason, advice: refusal.advice, nearest: null },
      usesDenied: refusal === undefined ? policies.everyUseDenied(uses) : null,
    });
  }
  return { actions: [...actions, ...unknown], refusal: null, details: intent.details, lifetime };
}

/** Whether all of an intent would be granted. */
export const isGranted = ({ actions, refusal }: IntentPreview): boolean =>
  refusal === null && actions.length > 0 && actions.every(({ refused: why }) => why === null);

/** The answer of the endpoint. Members without a value are absent. */
export const previewJson = (preview: IntentPreview): object => ({
  granted: isGranted(preview),
  actions: preview.actions.map(({ action, refused, usesDenied }) =>
    refused === null
      ? { action, granted: true, ...(usesDenied === null ? {} : { uses_denied: usesDeniedJson(usesDenied) }) }
      : {
          action,
          granted: false,
          reason: refused.reason,
          ...(refused.advice === null ? {} : { advice: refused.advice }),
          ...(refused.nearest === null ? {} : { nearest: refused.nearest }),
        },
  ),
  ...(preview.refusal === null
    ? {}
    : { refusal: { error: preview.refusal.error, error_description: preview.refusal.description } }),
  authorization_details: preview.details,
  ...(preview.lifetime === null
    ? {}
    : {
        task_seconds: preview.lifetime.taskSeconds,
        token_seconds: preview.lifetime.expiresAtSeconds - preview.lifetime.issuedAtSeconds,
      }),
});

/** Why every use would be denied, as the endpoint answers it. */
export const usesDeniedJson = ({ reason, advice }: Deny): object => ({
  reason,
  ...(advice === null ? {} : { advice }),
});

const refused = (refusal: OAuthError, actions: readonly PreviewedAction[]): IntentPreview => ({
  actions,
  refusal,
  details: [],
  lifetime: null,
});

/** A refusal that does not depend on the intent. */
const failed = (error: OAuthError): OAuthError | null => (error.error === 'temporarily_unavailable' ? error : null);

/** The entries with the actions that exist, and the names of the others. */
function sortedOut(
  { values, json }: AskedDetails,
  catalog: Catalog,
  server: Server,
): { readonly known: AskedDetails; readonly unknown: readonly PreviewedAction[] } {
  const isKnown = (name: string): boolean => namedBy(name, catalog, server).length > 0;
  const kept = values.map((detail) => ({ ...detail, actions: detail.actions.filter(isKnown) }));
  const isKept = (at: number): boolean => (kept[at]?.actions.length ?? 0) > 0;
  const missing = new Set(values.flatMap(({ actions }) => actions.filter((name) => !isKnown(name))));
  return {
    known: {
      values: kept.filter((_, at) => isKept(at)),
      json: json.filter((_, at) => isKept(at)),
    },
    unknown: Array.from(missing, (action) => ({
      action,
      refused: { reason: 'action.unknown', advice: null, nearest: nearestAction(action, catalog, server) },
      usesDenied: null,
    })),
  };
}
