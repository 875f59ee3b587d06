import type { Code } from '../../codes.ts';
import { at, fieldsOf, membersAt, textAt, typeNameOf } from '../../tree.ts';
import type { Finding } from '../../finding.ts';
import type { Field, FieldFault, Message } from './field.ts';

/**
 * Judges a field of the kind `judged`; `null` for no finding. `path` has the names of the fields that lead to it, `by` the codes
 * of its checks.
 */
export type FieldJudge = (path: string, value: unknown, by: readonly Code[]) => Omit<Finding, 'where'> | null;

/** No finding here, since the fields' own checks run too. */
const BESIDE: FieldJudge = () => null;

/** The place of a value. */
interface FieldPath {
  /** The place of findings. */
  readonly where: string;
  /** The fields from there to the value, such as `retry_policy.retry_on`. */
  readonly path: string;
  readonly judge: FieldJudge;
}

/** Envoy's own values are not nested deeper. */
const MAX_DEPTH = 40;

/**
 * The findings about each field of a value that is a message. A field or type that is not in the table is a finding too.
 *
 * @param judge judges fields of the kind `judged`, if their own checks do not run; by default these give no finding here
 */
export const fieldFindings = (
  message: Message,
  value: unknown,
  where: string,
  judge: FieldJudge = BESIDE,
): readonly Finding[] => inMessage(message, value, { where, path: '', judge }, 0);

function inMessage(message: Message, value: unknown, place: FieldPath, depth: number): readonly Finding[] {
  if (depth > MAX_DEPTH) return [unknownIn(place, 'is too deep')];
  return membersAt(value).flatMap(([name, own]) => {
    if (name === '@type' || own === null) return [];
    const inner = { ...place, path: place.path === '' ? name : `${place.path}.${name}` };
    const field = message.fields.get(name);
    if (field === undefined) return [unknownIn(inner, 'is a field that this doctor does not know')];
    return inField(field, { value: own, owner: value, place: inner, depth });
  });
}

interface Visit {
  readonly value: unknown;
  readonly owner: unknown;
  readonly place: FieldPath;
  readonly depth: number;
}

function inField(field: Field, visit: Visit): readonly Finding[] {
  const { depth, owner, place, value } = visit;
  if (field.kind === 'found') return judgedBy(field.found, { value, owner, place });
  if (field.kind === 'extension')
    return valuesOf(value, field.isMap).flatMap((one) => inExtension(field.types(), { ...visit, value: one }));
  if (field.kind === 'judged') return leftTo(field.by, visit);
  if (field.kind === 'harmless') return [];
  return valuesOf(value, field.isMap).flatMap((one, index) => {
    const step = field.step(one, index);
    const inner = step === '' ? place : { ...place, where: `${place.where}/${step}`, path: '' };
    return inMessage(field.message(), one, inner, depth + 1);
  });
}

function judgedBy(found: FieldFault, { owner, place, value }: Omit<Visit, 'depth'>): readonly Finding[] {
  const { code, fix, level, message } = found;
  const bad = level(value, owner);
  const named = place.path === '' ? message : `\`${place.path}\`: ${message}`;
  return bad === null ? [] : [{ code, where: place.where, level: bad, message: named, fix }];
}

function leftTo(by: readonly Code[], { place, value }: Visit): readonly Finding[] {
  const found = place.judge(place.path, value, by);
  return found === null ? [] : [{ ...found, where: place.where }];
}

const valuesOf = (value: unknown, isMap: boolean): readonly unknown[] =>
  isMap ? membersAt(value).map(([, one]) => one) : Array.isArray(value) ? (value as readonly unknown[]) : [value];

/** An `Any`, or a name with a `typed_config`. A name without a type is an unknown type. */
function inExtension(types: ReadonlyMap<string, Field>, { depth, owner, place, value }: Visit): readonly Finding[] {
  const any = at(value, 'typed_config') ?? value;
  const type = typeNameOf(any);
  const field = types.get(type);
  if (field === undefined && membersAt(value).length === 0) return [];
  const what = type === '' ? textAt(value, 'name') : type;
  if (field === undefined) return [unknownIn(place, `has the type \`${what}\`, which this doctor does not know`)];
  if (field.kind === 'inside') return inMessage(field.message(), fieldsOf(any), place, depth + 1);
  return inField(field, { value: fieldsOf(any), owner, place, depth });
}

const unknownIn = ({ path, where }: FieldPath, what: string): Finding => ({
  code: 'envoy.unseen',
  where,
  message: `\`${path}\` ${what}, so nothing says that calls are still checked as they are made`,
  fix: 'remove it, or look at what it does to calls of agents and suppress this finding at its place; a newer doctor may know it',
});
