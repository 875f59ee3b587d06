import { cedarTokens } from '../../../core/policy/cedar-text.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';

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
  /**
   * What the others do not show, by content: the catalog's files, and its time zones and subject attributes, the base schema, descriptor sets, and
   * templates, which need not have links.
   */
  readonly files: PolicySetChanges;
}

/** The differences from one policy set to another. */
export const setChanges = (from: PolicySet, to: PolicySet): SetChanges => ({
  policies: changesIn(policyTexts(from), policyTexts(to)),
  actions: changesIn(actionTexts(from), actionTexts(to)),
  entities: changesIn(entityTexts(from), entityTexts(to)),
  observed: changesIn(placedTexts(from.observed), placedTexts(to.observed)),
  limits: changesIn(placedTexts(from.limits), placedTexts(to.limits)),
  files: changesIn(otherTexts(from), otherTexts(to)),
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

const wordsOf = ({ text }: Pick<PolicyEntry, 'text'>): string =>
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

/** The entries of a map in the order of their names, whatever the order of the files that they are from. */
export const byName = <Value>(values: ReadonlyMap<string, Value>): readonly (readonly [string, Value])[] =>
  [...values].toSorted(([one], [other]) => (one < other ? -1 : 1));

function otherTexts({ source, catalog, templates }: PolicySet): ReadonlyMap<string, string> {
  const { timeZones, subjectAttributes } = catalog;
  return new Map([
    ...[...source.catalogs, source.schema].map(({ name, text }) => [name, text] as const),
    ...Object.entries({ timeZones, subjectAttributes }).map(
      ([name, values]) => [`${name} of the catalog`, JSON.stringify(byName(values))] as const,
    ),
    ...Array.from(source.descriptorSets, ([name, bytes]) => [name, contentOf(bytes)] as const),
    ...templates.map((template) => [`template ${template.id}`, wordsOf(template)] as const),
  ]);
}

/** In a set in force there are no problems. */
const contentOf = (bytes: Uint8Array | Problem): string =>
  isProblem(bytes) ? bytes.problem : Buffer.from(bytes).toString('base64');
