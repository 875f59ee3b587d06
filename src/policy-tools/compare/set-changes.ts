import { cedarTokens } from '../../policy/cedar-text.ts';
import type { PolicySet } from '../../policy/loading/load.ts';
import type { PolicyEntry } from '../../policy/loading/policy-file.ts';

/** What became of the things of one kind, by their names, sorted. */
export interface Changes {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** What differs between two policy sets. */
export interface SetChanges {
  /** By `@id`; blanks and comments change nothing. */
  readonly policies: Changes;
  /** Actions of the catalogs. */
  readonly actions: Changes;
  /** Such as `Remit::Agent::"spiffe://acme.test/a"`. */
  readonly entities: Changes;
}

/** What differs from one policy set to another. */
export const setChanges = (from: PolicySet, to: PolicySet): SetChanges => ({
  policies: changesIn(policyTexts(from), policyTexts(to)),
  actions: changesIn(actionTexts(from), actionTexts(to)),
  entities: changesIn(entityTexts(from), entityTexts(to)),
});

function changesIn(from: ReadonlyMap<string, string>, to: ReadonlyMap<string, string>): Changes {
  const [before, after] = [[...from.keys()].toSorted(), [...to.keys()].toSorted()];
  return {
    added: after.filter((name) => !from.has(name)),
    removed: before.filter((name) => !to.has(name)),
    changed: before.filter((name) => to.has(name) && from.get(name) !== to.get(name)),
  };
}

/** The policies of a set by id, each as what its text says. */
const policyTexts = ({ policies }: PolicySet): ReadonlyMap<string, string> =>
  new Map(policies.map((policy) => [policy.id, wordsOf(policy)]));

const wordsOf = ({ text }: PolicyEntry): string =>
  cedarTokens(text)
    .map((token) => token.text)
    .join(' ');

const actionTexts = ({ catalog }: PolicySet): ReadonlyMap<string, string> =>
  new Map(Array.from(catalog.actions.values(), (action) => [action.id, JSON.stringify(action, plainPart)]));

/** What the catalog says of an action, its server included; the shape of a message follows from its arguments. */
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
