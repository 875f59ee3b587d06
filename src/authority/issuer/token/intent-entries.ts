import { isAmountBound } from '../../../core/action/budget/amount-bound.ts';
import type { Catalog, CatalogAction, Server } from '../../../core/action/catalog/catalog.ts';
import { nearestId } from '../../../core/action/catalog/nearest.ts';
import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { type AuthorizationDetail, authorizationDetailsLimits } from '../../../core/token/authorization-details.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import type { AskedDetails } from './token-request.ts';

/** An entry of an intent, resolved by the catalog. */
export interface IntentEntry {
  /** At least one. */
  readonly actions: readonly CatalogAction[];
  /** As sent, with the ids of `actions`, and with `max_amount` only if it bounds them. */
  readonly detail: AuthorizationDetail;
  /** `detail` as JSON. */
  readonly json: JsonValue;
}

/** Most actions of an intent: bounds the policy decisions of a request. */
export const MAX_INTENT_ACTIONS = 64;

/** The refusal of an intent with too many actions, or too many constraints on them. */
export const tooManyActions = (): OAuthError =>
  refused(`an intent has at most ${MAX_INTENT_ACTIONS} actions, each counted once for each of its constraints`);

/**
 * The entries of an intent. Families (`payments.*`) become their actions. An entry with `max_amount` becomes two if some of its actions have
 * the argument and some do not: the first with those it bounds, the second with the others, without it. So a token names the bounded actions,
 * whatever becomes of the catalog. Calls and uses are counted for the task, so both share them.
 *
 * @returns `invalid_authorization_details` for an action that the server does not have, a `max_amount` whose argument no action of the entry
 *   has or cannot be summed (`isAmountBound`), and more than 64 actions or 32 entries
 */
export function intentEntries(
  { values, json }: AskedDetails,
  catalog: Catalog,
  server: Server,
): readonly IntentEntry[] | OAuthError {
  if (values.reduce((count, detail) => count + detail.actions.length, 0) > MAX_INTENT_ACTIONS) return tooManyActions();
  const entries: IntentEntry[] = [];
  for (const [at, detail] of values.entries()) {
    if (detail.locations.some((location) => location !== server.audience)) {
      return refused('every location must be the requested resource');
    }
    const actions = namedActions(detail, catalog, server);
    if (isOAuthError(actions)) return actions;
    const parts = byAmount({ actions, detail, json: json[at] ?? null });
    if (isOAuthError(parts)) return parts;
    entries.push(...parts);
  }
  const { maxEntries } = authorizationDetailsLimits;
  return entries.length <= maxEntries
    ? entries
    : refused(
        `an intent has at most ${maxEntries} entries, and another for each with actions that its max_amount does not bound`,
      );
}

const refused = (description: string): OAuthError => oauthError('invalid_authorization_details', description);

function namedActions(
  detail: AuthorizationDetail,
  catalog: Catalog,
  server: Server,
): readonly CatalogAction[] | OAuthError {
  const actions = new Set<CatalogAction>();
  for (const asked of detail.actions) {
    const matching = namedBy(asked, catalog, server);
    if (matching.length === 0)
      return refused(`the resource has no action ${asked}${didYouMean(asked, catalog, server)}`);
    for (const action of matching) actions.add(action);
  }
  return [...actions];
}

/**
 * The actions of a server that an id or a family names. `payments.*` covers ids that begin with `payments.`; `*` alone covers nothing. Same
 * rule as `action/intent-scope`.
 */
export function namedBy(asked: string, { actions }: Catalog, server: Server): readonly CatalogAction[] {
  const action = actions.get(asked);
  if (action !== undefined) return action.server === server ? [action] : [];
  if (asked.length <= 2 || !asked.endsWith('.*')) return [];
  return [...actions.values()].filter((one) => one.server === server && one.id.startsWith(asked.slice(0, -1)));
}

/** The action of a server whose id is nearest; `null` if none is near. */
export const nearestAction = (asked: string, { actions }: Catalog, server: Server): string | null =>
  nearestId(
    asked,
    Array.from(actions.values()).flatMap((one) => (one.server === server ? [one.id] : [])),
  );

function didYouMean(asked: string, catalog: Catalog, server: Server): string {
  const near = nearestAction(asked, catalog, server);
  return near === null ? '' : `; did you mean ${near}?`;
}

function byAmount(entry: IntentEntry): readonly IntentEntry[] | OAuthError {
  const { actions, detail } = entry;
  const { maxAmount } = detail.constraints;
  if (maxAmount === null) return [withActions(entry, actions)];
  const bounded: CatalogAction[] = [];
  const others: CatalogAction[] = [];
  for (const action of actions) {
    const isBound = isAmountBound(action, maxAmount);
    if (isProblem(isBound)) return refused(isBound.problem);
    (isBound ? bounded : others).push(action);
  }
  if (bounded.length === 0) {
    return refused(
      `no action of the entry has the argument ${maxAmount.argument} of max_amount: ${detail.actions.join(', ')}`,
    );
  }
  if (others.length === 0) return [withActions(entry, bounded)];
  return [withActions(entry, bounded), withoutAmount(withActions(entry, others))];
}

function withActions({ detail, json }: IntentEntry, actions: readonly CatalogAction[]): IntentEntry {
  const ids = actions.map(({ id }) => id);
  return { actions, detail: { ...detail, actions: ids }, json: { ...objectOf(json), actions: ids } };
}

function withoutAmount({ actions, detail, json }: IntentEntry): IntentEntry {
  const { constraints, ...members } = objectOf(json);
  const { max_amount: _, ...others } = objectOf(constraints ?? {});
  return {
    actions,
    detail: { ...detail, constraints: { ...detail.constraints, maxAmount: null } },
    json: Object.keys(others).length === 0 ? members : { ...members, constraints: others },
  };
}

/** Safe: `authorizationDetailsFrom` refuses entries and constraints that are not objects. */
const objectOf = (json: JsonValue): { readonly [name: string]: JsonValue } =>
  json as { readonly [name: string]: JsonValue };
