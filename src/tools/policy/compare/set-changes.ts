import { cedarTokens } from '../../../core/policy/cedar-text.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';

/** Changes of one kind of things, by name, sorted. */
export interface PolicySetChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** The differences between two policy sets. */
export interface SetChanges {
  /** By `@id`, ignoring white space and comments. */
  readonly policies: PolicySetChanges;
  /** Actions of the catalogs. */
  readonly actions: PolicySetChanges;
  /** Such as `Remit::Agent::"spiffe://acme.test/a"`. */
  readonly entities: PolicySetChanges;
  /** Entries of `enforcement.yaml`, by id. */
  readonly observed: PolicySetChanges;
  /** Entries of `limits.yaml`, by id. */
  readonly limits: PolicySetChanges;
}

/** The differences from one policy set to another. */
export const setChanges = (from: PolicySet, to: PolicySet): SetChanges => ({
  policies: changesIn(policyTexts(from), policyTexts(to)),
  actions: changesIn(actionTexts(from), actionTexts(to)),
  entities: changesIn(entityTexts(from), entityTexts(to)),
  observed: changesIn(placedTexts(from.observed), placedTexts(to.observed)),
  limits: changesIn(placedTexts(from.limits), placedTexts(to.limits)),
});

function changesIn(from: ReadonlyMap<string, string>, to: ReadonlyMap<string, string>): PolicySetChanges {
  const [before, after] = [[...from.keys()].toSorted(), [...to.keys()].toSorted()];
  return {
    added: after.filter((name) => !from.has(name)),
    removed: before.filter((name) => !to.has(name)),
    changed: before.filter((name) => to.has(name) && from.get(name) !== to.get(name)),
  };
}

/** The policies of a set by id, with their tokens as text. */
const policyTexts = ({ policies }: PolicySet): ReadonlyMap<string, string> =>
  new Map(policies.map((policy) => [policy.id, wordsOf(policy)]));

const wordsOf = ({ text }: PolicyEntry): string =>
  cedarTokens(text)
    .map((token) => token.text)
    .join(' ');

const actionTexts = ({ catalog }: PolicySet): ReadonlyMap<string, string> =>
  new Map(Array.from(catalog.actions.values(), (action) => [action.id, JSON.stringify(action, plainPart)]));

/** The catalog's entry for an action with its server; the message shape is left out, since it follows from the arguments. */
const plainPart = (name: string, value: unknown): unknown => {
  if (name === 'message') return undefined;
  return value instanceof Set || value instanceof Map ? [...value] : value;
};

const entityTexts = ({ facts }: PolicySet): ReadonlyMap<string, string> =>
  new Map(
    Array.from(facts.entities.values(), ({ uid, ...rest }) => [
      `${uid.type}::${JSON.stringify(uid.id)}`,
      JSON.stringify(rest),
    ]),
  );

/** Entries of a file by id, without their places in it. */
const placedTexts = (entries: PolicySet['observed'] | PolicySet['limits']): ReadonlyMap<string, string> =>
  new Map(entries.map(({ id, place: _place, ...rest }) => [id, JSON.stringify(rest)]));
