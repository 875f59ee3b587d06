import { keysOfConstraint, keysOfEntity } from '../../../core/policy/answers/scope.ts';
import type { Constraint } from '../../../core/policy/answers/scope.ts';
import { cedarTokens } from '../../../core/policy/cedar-text.ts';
import { entityKey } from '../../../core/policy/entities.ts';
import type { EntityUid } from '../../../core/policy/entities.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { policyPartsOf } from '../explain/policy-parts.ts';

/** The enforced policies of a set that can decide about an action; no other can match. */
export function sliceOf(set: PolicySet, action: string): readonly PolicyEntry[] {
  const { catalog, facts } = set;
  const entry = catalog.actions.get(action);
  const isThere = entry === undefined ? () => true : endpointMatcher(entry, facts.entities);
  return aboutAction(set, action).filter(({ scope }) => isThere(scope.resource));
}

/** The enforced policies of a set whose heads have an action, whatever their resources. */
export function aboutAction(
  { policies, facts }: Pick<PolicySet, 'policies' | 'facts'>,
  action: string,
): readonly PolicyEntry[] {
  const groups = (facts.actionGroups.get(action) ?? []).map((group) => uid('Action', group));
  const used = uid('Action', action);
  const isUsed = matcher(used, [used, ...groups].map(entityKey));
  return policies.filter(({ shadow, scope }) => !shadow && isUsed(scope.action));
}

/** Whether the head of a policy can match a request: an action of the catalog at its endpoint, or `issue` at a server. */
export function hasRequest(set: PolicySet, policy: PolicyEntry): boolean {
  const { catalog, facts } = set;
  const alone = { ...set, policies: [policy] };
  const isOfIssue = aboutAction(alone, 'issue').length > 0;
  return (
    [...catalog.actions.keys()].some((action) => sliceOf(alone, action).length > 0) ||
    (isOfIssue &&
      [...catalog.servers.keys()].some((id) => {
        const server = uid('Server', id);
        return matcher(server, lineageOf([server], facts.entities))(policy.scope.resource);
      }))
  );
}

const uid = (type: string, id: string): EntityUid => ({ type: `${NAMESPACE}::${type}`, id });

/** Whether a constraint lets an entity with these ancestors through. */
function matcher(entity: EntityUid, lineage: readonly string[]): (constraint: Constraint) => boolean {
  const keys = new Set(keysOfEntity(entity, lineage));
  return (constraint) => keysOfConstraint(constraint).some((key) => keys.has(key));
}

function endpointMatcher(
  { server, endpoint }: { readonly server: { readonly id: string }; readonly endpoint: string },
  entities: PolicySet['facts']['entities'],
): (constraint: Constraint) => boolean {
  const own = uid('Endpoint', `${server.id}:${endpoint}`);
  return matcher(own, lineageOf([own, uid('Server', server.id)], entities));
}

/** The keys of these entities and of all their ancestors. */
function lineageOf(uids: readonly EntityUid[], entities: PolicySet['facts']['entities']): readonly string[] {
  const found = new Set<string>();
  const pending = [...uids];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const key = entityKey(next);
    if (found.has(key)) continue;
    found.add(key);
    pending.push(...(entities.get(key)?.parents ?? []));
  }
  return [...found];
}

/** The servers of the catalog that the endpoint of an action is in, by the catalog and the entities of the set. */
export function serversAround(
  { server, endpoint }: { readonly server: { readonly id: string }; readonly endpoint: string },
  { catalog, facts }: PolicySet,
): ReadonlySet<string> {
  const around = new Set(
    lineageOf([uid('Endpoint', `${server.id}:${endpoint}`), uid('Server', server.id)], facts.entities),
  );
  return new Set([...catalog.servers.keys()].filter((id) => around.has(entityKey(uid('Server', id)))));
}

/** What a policy decides, as text: without annotations, so that equal texts decide the same. */
export const decidingText = ({ text }: PolicyEntry): string => text.slice(policyPartsOf(text)?.effect.offset ?? 0);

/** The policies of a list whose `decidingText` no policy of another list has. */
export function withoutAlike(policies: readonly PolicyEntry[], others: readonly PolicyEntry[]): readonly PolicyEntry[] {
  const alike = new Set(others.map(decidingText));
  return policies.filter((policy) => !alike.has(decidingText(policy)));
}

/** Policies as the text of a set. */
export const policiesText = (policies: readonly PolicyEntry[]): string => policies.map(({ text }) => text).join('\n');

/** Words and signs of operations that can fail on values of the right types, because a number or an instant is too large. */
const CAN_FAIL: ReadonlySet<string> = new Set('+ - * offset durationSince toDate toTime getTag'.split(' '));

/** Whether evaluating a policy might fail. */
export const mightFail = ({ text }: PolicyEntry): boolean =>
  cedarTokens(text).some((token) => CAN_FAIL.has(token.text));
