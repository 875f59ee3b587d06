/** Links templates, as files of links say: static policies with the id of the link. */
import type { SourceFinding } from '../../action/catalog/finding.ts';
import { annotationsFrom } from './annotations.ts';
import type { Cedar } from '../cedar.ts';
import { uidFrom } from '../entities.ts';
import type { EntityUid } from '../entities.ts';
import { jsonListFrom } from '../json-list.ts';
import type { PlacedItem } from '../json-list.ts';
import { readingOf } from './policy-file.ts';
import type { PolicyEntry } from './policy-file.ts';
import { withEnd } from './policy-end.ts';
import { linkedJson, linkedText } from './policy-template.ts';
import type { PolicyTemplate, Slot } from './policy-template.ts';
import type { SourceFile } from './source.ts';

/** Most links per folder. */
const MAX_LINKS = 10_000;

/** A link: `{"templateId", "newId", "values"}`, as in Cedar's JSON format of a policy set. */
interface Link {
  readonly templateId: string;
  readonly newId: string;
  /** By slot. */
  readonly values: ReadonlyMap<string, EntityUid>;
}

/**
 * Links templates. The results are static policies with the link's id, the template's annotations, and places in the template's
 * text. An invalid link is a finding at the link.
 *
 * @param isWhole whether all templates could be read, so that an absent template is reported as missing
 */
export function linkedPolicies(
  files: readonly SourceFile[],
  templates: readonly PolicyTemplate[],
  { cedar, isWhole }: { readonly cedar: Cedar; readonly isWhole: boolean },
): { readonly policies: readonly PolicyEntry[]; readonly findings: readonly SourceFinding[] } {
  const read = files.map((file) => jsonListFrom(file, 'links'));
  const byId = new Map(templates.map((template) => [template.id, template]));
  const items = read.flatMap((file) => file.items);
  const results = items.slice(0, MAX_LINKS).map((item) => {
    const link = linkFrom(item.value);
    if (typeof link === 'string') return findingAt(item, link);
    const template = byId.get(link.templateId);
    if (template !== undefined) return linked(item, { link, template, cedar });
    return isWhole ? findingAt(item, `the folder has no template \`${link.templateId}\``, known(byId.keys())) : [];
  });
  const rest = items[MAX_LINKS];
  return {
    policies: results.flatMap((result) => ('policy' in result ? [result.policy] : [])),
    findings: [
      ...read.flatMap((file) => file.findings),
      ...results.flatMap((result) => ('policy' in result ? [] : result)),
      ...(rest === undefined ? [] : findingAt(rest, `a policy folder has at most ${MAX_LINKS} links`)),
    ],
  };
}

const findingAt = ({ at }: PlacedItem, message: string, help: string | null = null): readonly SourceFinding[] => [
  { ...at, message, help },
];

const MAX_KNOWN = 8;
const known = (ids: Iterable<string>): string | null => {
  const all = [...ids].toSorted();
  return all.length === 0
    ? null
    : `known: ${all.slice(0, MAX_KNOWN).join(', ')}${all.length > MAX_KNOWN ? ' and more' : ''}`;
};

/** Parses a link, or returns what is wrong with it. */
function linkFrom(value: unknown): Link | string {
  if (!isRecord(value)) return 'a link must be an object';
  const { templateId, newId, values, ...others } = value;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    return `unknown member \`${unknown.slice(0, 100)}\` in a link: it has \`templateId\`, \`newId\` and \`values\``;
  if (typeof templateId !== 'string') return 'a link has a `templateId`: the `@id` of a template';
  if (typeof newId !== 'string') return 'a link has a `newId`: the id of the policy it makes';
  if (!isRecord(values)) return 'a link has `values`: an entity for each slot';
  const read = new Map<string, EntityUid>();
  for (const [slot, entity] of Object.entries(values)) {
    const uid = uidFrom(entity);
    if (uid === null) return `the value of \`${slot.slice(0, 100)}\` must be \`{"type": …, "id": …}\``;
    read.set(slot, uid);
  }
  return { templateId, newId, values: read };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function linked(
  item: PlacedItem,
  { link, template, cedar }: { readonly link: Link; readonly template: PolicyTemplate; readonly cedar: Cedar },
): { readonly policy: PolicyEntry } | readonly SourceFinding[] {
  const { annotations, problems } = annotationsFrom(new Map([...template.given, ['id', link.newId]]));
  const problem = problems.find(({ name }) => name === 'id');
  if (problem !== undefined) return findingAt(item, problem.message, problem.help);
  const slots = [...template.slots].toSorted();
  const given = [...link.values.keys()].toSorted();
  if (slots.join() !== given.join()) {
    const has = slots.map((slot) => `\`${slot}\``).join(' and ');
    return findingAt(item, `the template \`${template.id}\` has ${has}, and a link has a value for each`);
  }
  const { text, replaced } = linkedText(template, link.newId, link.values as ReadonlyMap<Slot, EntityUid>);
  const answer = cedar.policyToJson(text);
  if (answer.type === 'failure')
    return findingAt(item, `the link \`${link.newId}\` is not a valid policy: ${answer.errors[0]?.message ?? ''}`);
  // INVARIANT: the text equals the result of Cedar's own linking.
  if (sortedJson(answer.json) !== sortedJson(linkedJson(template.json, link.newId, link.values)))
    return findingAt(item, `the link \`${link.newId}\` could not be made from its template`);
  const { given: _given, ...facts } = readingOf(answer.json);
  const { file, line, column, offset } = template;
  const from = { template: template.id, text: template.text, replaced, ...item.at };
  return {
    policy: withEnd({
      ...annotations,
      ...facts,
      text,
      file,
      line,
      column,
      offset,
      link: from,
    }),
  };
}

/** JSON text with sorted members: equal for equal values. */
const sortedJson = (value: unknown): string =>
  JSON.stringify(value, (_name, each: unknown) =>
    isRecord(each)
      ? Object.fromEntries(Object.entries(each).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : each,
  );
