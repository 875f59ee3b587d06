import { MAX_STRING_BYTES, MAX_ARGUMENT_BYTES, MAX_STRINGS } from '../../../core/action/arguments/argument.ts';
import type { ArgumentType } from '../../../core/action/arguments/argument.ts';
import type { Effort } from './effort.ts';
import { itemsIn, memberOf, membersOf, printableName } from './entry.ts';

/** A schema with references resolved and its parts merged. */
export interface WholeSchema {
  /** Its keywords; the first part wins. */
  readonly keywords: Readonly<Record<string, unknown>>;
  readonly properties: ReadonlyMap<string, unknown>;
  readonly required: ReadonlySet<string>;
  /** Its alternatives other than `null`; empty if there is only one alternative. */
  readonly choices: readonly WholeSchema[];
  readonly isNullable: boolean;
  /** The object its members were defined in; for a mere wrapper, that of the wrapped schema. */
  readonly origin: unknown;
  /** Why it could not be read whole, a clause without subject; `null` if it could. */
  readonly problem: string | null;
}

/** Why the catalog's type denies values that the schema allows. */
export type Beyond = 'text' | 'integer' | 'number';

/** The schema as an argument; `problem`, a clause without subject, says why it cannot be an argument. */
export type ArgumentShape =
  | {
      readonly type: ArgumentType | 'object';
      readonly beyond: Beyond | null;
      /** Set if strings of the schema may be longer than an argument by default. */
      readonly maxBytes?: number;
    }
  | { readonly problem: string };

/** Resolves a schema, memoised: a schema that contains itself yields the same object. */
export type SchemaReader = (schema: unknown) => WholeSchema;

const MAX_REFERENCES = 16;
const MAX_PARTS = 32;

/**
 * Resolves local references (`#/components/…`, `#/$defs/…`) in a document, each text once. Other values are returned as they are;
 * an unresolvable reference is `undefined`.
 */
export function resolverIn(document: unknown): (value: unknown) => unknown {
  const known = new Map<string, unknown>();
  const at = (reference: string): unknown => {
    if (known.has(reference)) return known.get(reference);
    const names = namesIn(reference);
    const found = names?.reduce<unknown>((object, name) => memberOf(object, name), document);
    known.set(reference, found);
    return found;
  };
  return (value) => {
    let found = value;
    for (let hop = 0; hop < MAX_REFERENCES; hop++) {
      const reference = memberOf(found, '$ref');
      if (typeof reference !== 'string') return found;
      found = at(reference);
    }
    return undefined;
  };
}

function namesIn(reference: string): readonly string[] | null {
  if (!/^#(?:\/|$)/.test(reference)) return null;
  const path = reference.slice(2);
  try {
    return path === ''
      ? []
      : path.split('/').map((name) => decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~'));
  } catch {
    return null;
  }
}

/**
 * Reads schemas of a document. Merges `allOf` with its siblings; in `anyOf`, `oneOf` and lists of types, `null` only means that
 * the value may be absent. Recursive parts are ignored, and so is everything once the effort is spent: the import is refused then.
 */
export function schemaReader(document: unknown, effort: Effort, resolve = resolverIn(document)): SchemaReader {
  const known = new Map<unknown, WholeSchema>();
  const read = (schema: unknown, depth: number): WholeSchema => {
    const resolved = resolve(schema);
    const before = known.get(resolved);
    if (before !== undefined) return before;
    if (resolved !== undefined) known.set(resolved, NOTHING);
    const lost = resolved === undefined ? memberOf(schema, '$ref') : undefined;
    const whole = combined(resolved, {
      problem: typeof lost === 'string' ? `refers to \`${printableName(lost)}\`, which is not in the document` : null,
      effort,
      read: (part) => (depth < MAX_PARTS ? read(part, depth + 1) : TOO_DEEP),
    });
    if (resolved !== undefined) known.set(resolved, whole);
    return whole;
  };
  return (schema) => read(schema, 0);
}

const NOTHING: WholeSchema = {
  keywords: {},
  properties: new Map(),
  required: new Set(),
  choices: [],
  isNullable: false,
  origin: null,
  problem: null,
};
const DEEP = `is nested more than ${MAX_PARTS} deep`;
const TOO_DEEP: WholeSchema = { ...NOTHING, problem: DEEP };

function combined(
  schema: unknown,
  { read, problem, effort }: { readonly read: SchemaReader; readonly problem: string | null; readonly effort: Effort },
): WholeSchema {
  const alternatives = ['anyOf', 'oneOf'].map((name) => itemsIn(memberOf(schema, name)).map(read));
  const values = alternatives.map((all) => all.filter((one) => !isNull(one)));
  const parts = [
    ...itemsIn(memberOf(schema, 'allOf')).map(read),
    ...values.flatMap((all) => (all.length === 1 ? all : [])),
  ];
  // One part can be merged from many places, and each time into more parts.
  if (!effort.take(parts.reduce((sum, part) => sum + sizeOf(part), 0))) return NOTHING;
  const own = new Map(membersOf(schema).filter(([name]) => !COMPOSING.has(name)));
  return {
    keywords: Object.fromEntries([...parts.toReversed().flatMap(({ keywords }) => Object.entries(keywords)), ...own]),
    properties: new Map([...parts.flatMap(({ properties }) => [...properties]), ...membersOf(own.get('properties'))]),
    required: new Set([...parts.flatMap(({ required }) => [...required]), ...namesOf(own.get('required'))]),
    choices: [...parts.flatMap(({ choices }) => choices), ...values.flatMap((all) => (all.length > 1 ? all : []))],
    isNullable:
      own.get('nullable') === true ||
      itemsIn(own.get('type')).includes('null') ||
      itemsIn(own.get('enum')).includes(null) ||
      parts.some(({ isNullable }) => isNullable) ||
      alternatives.some((all) => all.some((one) => isNull(one) || one.isNullable)),
    origin: parts.length === 1 && !own.has('properties') ? parts[0]?.origin : schema,
    problem: problem ?? parts.find((part) => part.problem !== null)?.problem ?? null,
  };
}

/** What merging a part takes, in members. */
const sizeOf = ({ keywords, properties, required, choices }: WholeSchema): number =>
  1 + Object.keys(keywords).length + properties.size + required.size + choices.length;

const COMPOSING = new Set(['allOf', 'anyOf', 'oneOf']);

const namesOf = (value: unknown): readonly string[] =>
  itemsIn(value).filter((name): name is string => typeof name === 'string');

const isNull = ({ keywords }: WholeSchema): boolean =>
  keywords['type'] === 'null' ||
  ('const' in keywords && keywords['const'] === null) ||
  areNulls(typesOfListed(itemsIn(keywords['enum'])));

const areNulls = (types: ReadonlySet<string>): boolean => types.size === 1 && types.has('null');

/** The types of the values of a list, memoised, since many schemas can refer to one long list. */
function typesOfListed(list: readonly unknown[]): ReadonlySet<string> {
  const known = listedTypes.get(list);
  if (known !== undefined) return known;
  const types = new Set(list.map(typeOfValue));
  listedTypes.set(list, types);
  return types;
}

const listedTypes = new WeakMap<readonly unknown[], ReadonlySet<string>>();

const typeOfValue = (value: unknown): string =>
  value === null ? 'null' : Number.isSafeInteger(value) ? 'integer' : typeof value;

/**
 * The catalog type for a schema, or why there is none. Memoised; a list or a choice that contains itself, or that is nested more
 * than 32 deep, has none.
 */
export const argumentShape = (schema: WholeSchema, read: SchemaReader): ArgumentShape => shapeAt(schema, read, 0);

function shapeAt(schema: WholeSchema, read: SchemaReader, depth: number): ArgumentShape {
  const known = knownShapes.get(schema);
  if (known !== undefined) return known;
  if (depth > MAX_PARTS) return { problem: DEEP };
  knownShapes.set(schema, { problem: 'contains itself' });
  const shape = shapeOf(schema, (inner) => shapeAt(inner, read, depth + 1), read);
  knownShapes.set(schema, shape);
  return shape;
}

const knownShapes = new WeakMap<WholeSchema, ArgumentShape>();

type ShapeReader = (schema: WholeSchema) => ArgumentShape;

function shapeOf(schema: WholeSchema, inner: ShapeReader, read: SchemaReader): ArgumentShape {
  const { keywords, choices, properties, problem } = schema;
  if (problem !== null) return { problem };
  if (choices.length > 0) return sameShape(choices.map(inner));
  const types = typesIn(keywords);
  if (types.length > 1) return NOT_ONE;
  const name = types[0] ?? (properties.size > 0 ? 'object' : undefined);
  if (name === 'array') return listShape(keywords, inner, read);
  return shapes.get(name)?.(schema) ?? { problem: 'has no matching argument type' };
}

const shapes: ReadonlyMap<unknown, ShapeReader> = new Map<unknown, ShapeReader>([
  ['string', ({ keywords }) => textShape(keywords)],
  ['integer', ({ keywords }) => integerShape(keywords)],
  ['number', ({ keywords }) => numberShape(keywords)],
  ['boolean', () => ({ type: 'bool', beyond: null })],
  [
    'object',
    ({ properties }) =>
      properties.size > 0 ? { type: 'object', beyond: null } : { problem: 'is an object without declared members' },
  ],
]);

const NOT_ONE = { problem: 'can be of more than one type' };

function sameShape(shapes: readonly ArgumentShape[]): ArgumentShape {
  const beyond = shapes.flatMap((shape) => ('problem' in shape ? [] : (shape.beyond ?? [])))[0] ?? null;
  const [first] = shapes;
  const wrong = shapes.find((shape) => 'problem' in shape);
  if (wrong !== undefined || first === undefined || 'problem' in first) return wrong ?? NOT_ONE;
  const areSame = shapes.every((shape) => 'type' in shape && shape.type === first.type);
  if (!areSame || first.type === 'object') return NOT_ONE;
  const longest = shapes.reduce((most, shape) => Math.max(most, 'type' in shape ? (shape.maxBytes ?? 0) : 0), 0);
  return { type: first.type, beyond, ...(longest === 0 ? {} : { maxBytes: longest }) };
}

/** Its type names without `null`; derived from listed values if there is no `type`. */
function typesIn(keywords: WholeSchema['keywords']): readonly unknown[] {
  const given = keywords['type'];
  const listed = 'const' in keywords ? [typeOfValue(keywords['const'])] : typesOfListed(itemsIn(keywords['enum']));
  const all = given === undefined ? listed : Array.isArray(given) ? given.slice(0, MAX_TYPES) : [given];
  const names = new Set<unknown>(all);
  names.delete('null');
  if (given === undefined) names.delete('object');
  if (names.has('number')) names.delete('integer');
  return [...names];
}

/** More names than JSON Schema has types. */
const MAX_TYPES = 100;

const BYTES = new Set<unknown>(['binary', 'byte', 'base64', 'base64url']);
const SHORT = new Set<unknown>(['uuid', 'date', 'date-time', 'time', 'duration', 'ipv4', 'ipv6', 'hostname', 'email']);
/** Most UTF-8 bytes per character of JSON Schema, which is a code point. */
const BYTES_A_CHARACTER = 4;

function textShape(keywords: WholeSchema['keywords']): ArgumentShape {
  const { enum: listed, const: only, format, maxLength, contentEncoding, contentMediaType } = keywords;
  if (BYTES.has(format) || contentEncoding !== undefined || contentMediaType !== undefined)
    return { problem: 'is a file or bytes' };
  if (listed !== undefined || only !== undefined || SHORT.has(format)) return { type: 'string', beyond: null };
  if (typeof maxLength !== 'number') return { type: 'string', beyond: 'text' };
  if (maxLength > MAX_ARGUMENT_BYTES)
    return { problem: `can have ${maxLength} characters, an argument ${MAX_ARGUMENT_BYTES} bytes` };
  const bytes = maxLength * BYTES_A_CHARACTER;
  if (bytes <= MAX_STRING_BYTES) return { type: 'string', beyond: null };
  const isBeyond = bytes > MAX_ARGUMENT_BYTES;
  return { type: 'string', beyond: isBeyond ? 'text' : null, maxBytes: isBeyond ? MAX_ARGUMENT_BYTES : bytes };
}

const WIDE = new Set<unknown>(['int64', 'uint64']);

function integerShape(keywords: WholeSchema['keywords']): ArgumentShape {
  const { least, greatest } = rangeOf(keywords);
  if (least < Number.MIN_SAFE_INTEGER || greatest > Number.MAX_SAFE_INTEGER)
    return { problem: 'can exceed ±(2^53 - 1), the range of an argument' };
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = keywords;
  const isBounded = [minimum ?? exclusiveMinimum, maximum ?? exclusiveMaximum].every((one) => typeof one === 'number');
  return { type: 'long', beyond: WIDE.has(keywords['format']) && !isBounded ? 'integer' : null };
}

/** The whole part of the catalog's greatest decimal. */
const DECIMAL_LIMIT = 922_337_203_685_477;
const INTEGER_FORMAT = /^u?int(?:8|16|32|64)$/;

function numberShape(keywords: WholeSchema['keywords']): ArgumentShape {
  const { format, multipleOf } = keywords;
  const isWhole = typeof multipleOf === 'number' && Number.isInteger(multipleOf) && multipleOf > 0;
  if (isWhole || (typeof format === 'string' && INTEGER_FORMAT.test(format))) return integerShape(keywords);
  const { least, greatest } = rangeOf(keywords);
  if (least < -DECIMAL_LIMIT || greatest > DECIMAL_LIMIT)
    return { problem: 'can exceed ±922337203685477.5807, the range of an argument' };
  if (typeof multipleOf !== 'number') return { type: 'decimal', beyond: 'number' };
  return /^\d+(?:\.\d{1,4})?$/.test(String(multipleOf))
    ? { type: 'decimal', beyond: null }
    : { problem: `comes in steps of ${multipleOf}, an argument has 4 decimal places` };
}

/** The bounds that the schema names; 0 for a missing bound, which never exceeds a limit. */
function rangeOf(keywords: WholeSchema['keywords']): { readonly least: number; readonly greatest: number } {
  const numbers = (...names: readonly string[]): readonly number[] =>
    names.map((name) => keywords[name]).filter((value) => typeof value === 'number');
  return {
    least: Math.min(0, ...numbers('minimum', 'exclusiveMinimum')),
    greatest: Math.max(0, ...numbers('maximum', 'exclusiveMaximum')),
  };
}

function listShape(keywords: WholeSchema['keywords'], inner: ShapeReader, read: SchemaReader): ArgumentShape {
  const { items, maxItems } = keywords;
  const shape = inner(read(items));
  if ('problem' in shape) return { problem: `is a list whose item ${shape.problem}` };
  if (shape.type !== 'string') return { problem: 'is a list of other items than strings' };
  if (typeof maxItems === 'number' && maxItems > MAX_STRINGS)
    return { problem: `can have ${maxItems} items, an argument ${MAX_STRINGS}` };
  return { ...shape, type: 'strings' };
}
