/** Reads the example of a request that Cedar's symbolic analysis prints. */
import type { Cedar } from '../../../core/policy/cedar.ts';
import { cedarTokens } from '../../../core/policy/cedar-text.ts';
import { uidFrom } from '../../../core/policy/entities.ts';
import type { EntityUid } from '../../../core/policy/entities.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { closingBracket, split } from '../explain/brackets.ts';
import type { Tokens } from '../explain/brackets.ts';
import type { EntityJson, RawQuestion } from '../cases/raw-question.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';

/**
 * The example as a question to the engine: `principal: …, action: …, resource: …`, then `context: …` and `entities: […]`, each entity with its
 * ancestors and attributes. Actions are left out of the entities, since the schema has them. A problem for text of any other form.
 */
export function exampleFrom(text: string, cedar: Pick<Cedar, 'policyToJson'>): RawQuestion | Problem {
  const [head = '', ...lines] = text.split('\n');
  const rest = lines.join('\n');
  const at = rest.indexOf(ENTITIES);
  const context = (at === -1 ? rest : rest.slice(0, at)).slice('context: '.length);
  const entities = at === -1 ? ']' : rest.slice(at + ENTITIES.length);
  if (!rest.startsWith('context: ') || !entities.endsWith(']')) return UNREADABLE;
  const names = split(cedarTokens(head), ',').map((tokens) => namedUid(tokens, head, cedar));
  const value = valueOf(context, cedar);
  if (value === undefined || !isRecord(value)) return UNREADABLE;
  const read = split(cedarTokens(entities.slice(0, -1)), ',')
    .filter((tokens) => tokens.length > 0)
    .map((tokens) => entityFrom(tokens, { text: entities, cedar }));
  if (read.includes(null)) return UNREADABLE;
  const [agent, use, target] = names;
  if (names.length !== 3 || !isUid(agent) || !isUid(use) || !isUid(target)) return UNREADABLE;
  return {
    principal: agent,
    action: use,
    resource: target,
    context: value,
    entities: read.flatMap((entity) => (entity === null || isAction(entity) ? [] : [entity])),
  };
}

const ENTITIES = '\nentities: [\n';

const isUid = (value: EntityUid | null | undefined): value is EntityUid => value !== null && value !== undefined;

/** The entity of `principal: T::"id"`. */
const namedUid = (tokens: Tokens, text: string, cedar: Pick<Cedar, 'policyToJson'>): EntityUid | null => {
  const [, , first] = tokens;
  return first === undefined ? null : uidOf(text.slice(first.start, tokens.at(-1)?.end), cedar);
};

const UNREADABLE: Problem = { problem: 'the example of the solver could not be read' };

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isAction = ({ uid }: EntityJson): boolean => isRecord(uid) && uid['type'] === `${NAMESPACE}::Action`;

/** `T::"id" in [T::"a", …] { name: value, } tags { name: value, }`, of which all but the first is optional. */
function entityFrom(
  tokens: Tokens,
  { text, cedar }: { readonly text: string; readonly cedar: Pick<Cedar, 'policyToJson'> },
): EntityJson | null {
  const written = (some: Tokens): string => text.slice(some[0]?.start ?? 0, some.at(-1)?.end ?? 0);
  const at = tokens.findIndex(({ text: word }) => word.startsWith('"')) + 1;
  const uid = uidOf(written(tokens.slice(0, at)), cedar);
  if (at === 0 || uid === null) return null;
  let rest = tokens.slice(at);
  const parts: Record<'in' | 'attrs' | 'tags', Tokens> = { in: [], attrs: [], tags: [] };
  while (rest.length > 0) {
    const [word] = rest;
    const name = word?.text === 'in' ? 'in' : word?.text === 'tags' ? 'tags' : 'attrs';
    const open = name === 'attrs' ? 0 : 1;
    const end = closingBracket(rest, open);
    if (end === rest.length) return null;
    parts[name] = rest.slice(open, end + 1);
    rest = rest.slice(end + 1);
  }
  const parents = split(parts.in.slice(1, -1), ',').filter((some) => some.length > 0);
  const uids = parents.map((some) => uidOf(written(some), cedar));
  const [attrs, tags] = [parts.attrs, parts.tags].map((some) =>
    some.length === 0 ? {} : valueOf(written(some).replace(/,\s*\}$/, '}'), cedar),
  );
  if (uids.includes(null) || !isRecord(attrs) || !isRecord(tags)) return null;
  return { uid, parents: uids, attrs, ...(Object.keys(tags).length === 0 ? {} : { tags }) };
}

function uidOf(text: string, cedar: Pick<Cedar, 'policyToJson'>): EntityUid | null {
  return uidFrom(valueOf(text, cedar));
}

/** The value of a Cedar expression of literals, as the engine takes it; `undefined` for any other expression. */
function valueOf(text: string, cedar: Pick<Cedar, 'policyToJson'>): unknown {
  const read = cedar.policyToJson(`permit (principal, action, resource) when { ${text} == 0 };`);
  if (read.type === 'failure') return undefined;
  const [condition] = read.json.conditions;
  const body: unknown = condition?.body;
  return isRecord(body) && isRecord(body['==']) ? literalOf(body['==']['left']) : undefined;
}

/** Milliseconds in a unit of a duration. */
const UNITS: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

function literalOf(json: unknown): unknown {
  if (!isRecord(json)) return undefined;
  const [[form, of] = ['', undefined]] = Object.entries(json);
  if (form === 'Value') return of;
  if (form === 'Set' && Array.isArray(of)) return unlessPartial(of.map(literalOf));
  if (form === 'Record' && isRecord(of)) {
    const values = unlessPartial(Object.values(of).map(literalOf));
    return values && Object.fromEntries(Object.keys(of).map((name, index) => [name, values[index]]));
  }
  if (form === 'neg' && isRecord(of)) return -Number(literalOf(of['arg']));
  if (form === 'offset' && Array.isArray(of)) return shifted(literalOf(of[0]), literalOf(of[1]));
  if (Array.isArray(of) && of.length === 1) return { __extn: { fn: form, arg: literalOf(of[0]) } };
  return undefined;
}

const unlessPartial = (values: readonly unknown[]): readonly unknown[] | undefined =>
  values.includes(undefined) ? undefined : values;

/** An instant and a duration as one instant. */
function shifted(instant: unknown, by: unknown): unknown {
  const [start, duration] = [instant, by].map((value) =>
    isRecord(value) && isRecord(value['__extn']) ? String(value['__extn']['arg']) : '',
  );
  let ms = Date.parse(`${start?.slice(0, 10)}T00:00:00.000Z`);
  const sign = duration?.startsWith('-') === true ? -1 : 1;
  for (const [, digits = '', unit = ''] of (duration ?? '').matchAll(/(\d{1,19})(ms|[dhms])/g))
    ms += sign * Number(digits) * (UNITS[unit] ?? Number.NaN);
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? undefined : { __extn: { fn: 'datetime', arg: at.toISOString() } };
}
