import { Scalar } from 'yaml';
import { bool, integer, oneOf, textLike } from '../../runtime/fields.ts';
import { MAX_ARGUMENT_BYTES } from '../arguments/argument.ts';
import type { ArgumentType, ValueSpec } from '../arguments/argument.ts';
import { MAX_POINTER_DEPTH, pointerText, stepsOf } from '../arguments/json-pointer.ts';
import { looseKey, rootOfKey } from '../http/query-key.ts';
import type { PathTemplate } from './template.ts';
import { entriesOf, yamlFields, leafOf, placedOf, valueOf } from './yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from './yaml-file.ts';

/** The source of an argument, and its type. */
export type ArgumentSpec = TextArgument | BodyArgument | MessageArgument | CarriedArgument;

/** What every argument has. */
interface Named extends ValueSpec {
  readonly name: string;
  readonly required: boolean;
  /** Whether its value is recorded with each use. */
  readonly record?: true;
}

/** An argument from the text of the path or query. */
export interface TextArgument extends Named {
  readonly from: 'path' | 'query';
}

/** An argument from JSON: the body of an HTTP route, the arguments of a tool, the `params` of A2A. */
export interface BodyArgument extends Named {
  readonly from: 'body';
  /** Member names and array indexes on the path to it, not empty. @see RFC 6901 */
  readonly pointer: readonly string[];
  /** For a tool's argument: the `Mcp-Param-` header that mirrors it, without the prefix, in lower case. */
  readonly header?: string;
}

/** An argument from the protobuf message of a gRPC call. */
export interface MessageArgument extends Named {
  readonly from: 'message';
  /** Field names on the path to it, as in the `.proto` file, not empty. */
  readonly path: readonly string[];
}

/**
 * An argument that an MCP call carries beside its `arguments`: from the answer to a question of the server, or from a key of
 * `_meta`. Never required, since a call without it may come first.
 */
export interface CarriedArgument extends Named {
  readonly from: 'input' | 'meta';
  /** Key of the question in `inputRequests`, or of `_meta`. */
  readonly key: string;
  /** Which part of the answer; the `value` of a key of `_meta`. */
  readonly part: 'content' | 'text' | 'roots' | 'value';
  /** The member of a `content`; the key for other parts. */
  readonly member: string;
}

/** The names on the path to an argument, its own in the call last; empty if that is the name of the argument. */
export function namesTo(spec: ArgumentSpec): readonly string[] {
  if (spec.from === 'body') return spec.pointer;
  if (spec.from === 'message') return spec.path;
  return spec.from === 'input' || spec.from === 'meta' ? [spec.key, spec.member] : [];
}

const TYPES = ['string', 'long', 'bool', 'decimal', 'strings'] as const;
const TEXT_TYPES = ['string', 'long', 'bool'] as const;
const MAX_NAME_LENGTH = 128;
const MAX_ARGS = 64;
const MAX_FIELD_LENGTH = 1024;

/**
 * The arguments of an HTTP route: the declared arguments, and each undeclared path parameter as a required argument (`long` for a
 * parameter of type `int`, else `string`).
 *
 * @param bodyIsRead whether the method has a meaningful body
 */
export function routeArguments(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  route: { readonly template: PathTemplate; readonly bodyIsRead: boolean },
): readonly ArgumentSpec[] {
  const declared = declaredIn(yaml, node);
  const specs = declared.flatMap(([name, value]) => routeArgument(yaml, { name, value, ...route }) ?? []);
  const names = new Set(declared.map(([name]) => name.value));
  checkKeys(yaml, declared, specs);
  const implicit = route.template.segments.flatMap((segment): readonly TextArgument[] => {
    if ('literal' in segment || names.has(segment.parameter)) return [];
    return [{ name: segment.parameter, from: 'path', type: segment.type.isNumber ? 'long' : 'string', required: true }];
  });
  return [...implicit, ...specs];
}

/** Reports query arguments that a parser could merge: equal but for case and punctuation, or an object and its member. */
function checkKeys(
  yaml: YamlFile,
  declared: readonly (readonly [Placed<string>, PlacedNode])[],
  specs: readonly ArgumentSpec[],
): void {
  const inQuery = new Set(specs.flatMap(({ name, from }) => (from === 'query' ? [name] : [])));
  const names = declared.flatMap(([name]) => (inQuery.has(name.value) ? [name] : []));
  for (const [index, name] of names.entries()) {
    const other = names.slice(0, index).find(({ value }) => isSameKey(value, name.value));
    if (other !== undefined)
      yaml.report(name.offset, `in a query \`${name.value}\` can be taken for a part of \`${other.value}\``);
  }
}

const isSameKey = (a: string, b: string): boolean =>
  looseKey(a) === looseKey(b) || rootOfKey(a) === b || rootOfKey(b) === a;

/** The declared arguments of a message, each at its pointer (default: `/` and its name). */
export const messageArguments = (yaml: YamlFile, node: PlacedNode | undefined): readonly BodyArgument[] =>
  declaredIn(yaml, node).flatMap(([name, value]) => {
    checkName(yaml, name);
    const fields = yamlFields(yaml, value, { what: 'an argument', required: [], optional: BODY_KEYS });
    return bodyArgument(yaml, name, fields) ?? [];
  });

/** The declared arguments of a gRPC method with their places in the file, each at its field path (default: its name). */
export const grpcArguments = (
  yaml: YamlFile,
  node: PlacedNode | undefined,
): readonly (MessageArgument & { readonly offset: number })[] =>
  declaredIn(yaml, node).flatMap(([name, value]) => {
    checkName(yaml, name);
    const fields = yamlFields(yaml, value, {
      what: 'an argument',
      required: [],
      optional: ['field', ...VALUE_KEYS],
    });
    const type = typeIn(yaml, fields.get('type'));
    const required = requiredOf(yaml, fields.get('required'), false);
    const written = fields.get('field') ?? { ...name, value: new Scalar(name.value) };
    const field = placedOf(yaml, written, { what: 'the field', reader: fieldPath });
    if (type === null || required === null || field === null) return [];
    const spec = { name: name.value, from: 'message', path: field.value.split('.'), type, required } as const;
    return [{ ...spec, ...optionsIn(yaml, fields, type), offset: field.offset }];
  });

const fieldPath = textLike(
  `1 to ${MAX_POINTER_DEPTH} field names of the message joined by dots, such as \`order.amount_cents\``,
  (path) => /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/.test(path) && path.split('.').length <= MAX_POINTER_DEPTH,
  { max: MAX_FIELD_LENGTH },
);

/** As `messageArguments`, for an MCP tool, whose arguments may be mirrored into headers: each into its own. */
export function toolArguments(yaml: YamlFile, node: PlacedNode | undefined): readonly BodyArgument[] {
  const headers = new Set<string>();
  return declaredIn(yaml, node).flatMap(([name, value]) => {
    checkName(yaml, name);
    const fields = yamlFields(yaml, value, { what: 'an argument', required: [], optional: [...BODY_KEYS, 'header'] });
    const argument = bodyArgument(yaml, name, fields);
    if (argument === null || !fields.has('header')) return argument ?? [];
    const header = placedOf(yaml, fields.get('header'), { what: 'the header', reader: headerName });
    if (header === null) return [];
    const lower = header.value.toLowerCase();
    if (headers.has(lower))
      yaml.report(header.offset, `the header \`${header.value}\` mirrors another argument already`);
    if (!MIRRORED.has(argument.type))
      yaml.report(header.offset, `an argument of type \`${argument.type}\` has no header`);
    headers.add(lower);
    return mirrored(argument, lower);
  });
}

/**
 * The arguments of MCP prompts or resources: the name or URI itself, and the declared arguments of prompts or templates. Each is
 * a string.
 *
 * @param own the argument that names the prompt or resource
 */
export function familyArguments(yaml: YamlFile, node: PlacedNode | undefined, own: string): readonly BodyArgument[] {
  const named = { name: own, from: 'body', pointer: [own], type: 'string', required: false } as const;
  const declared: BodyArgument[] = [];
  for (const [name, value] of declaredIn(yaml, node)) {
    checkName(yaml, name);
    if (name.value === own) yaml.report(name.offset, `\`${own}\` is an argument already`);
    const fields = yamlFields(yaml, value, { what: 'an argument', required: [], optional: ['maxBytes', 'record'] });
    const of = { name: name.value, from: 'body', pointer: ['arguments', name.value], type: 'string' } as const;
    declared.push({ ...of, required: false, ...optionsIn(yaml, fields, 'string') });
  }
  return [named, ...declared];
}

const headerName = textLike('letters, digits and `-`, at most 64, as the `x-mcp-header` of the tool', (name) =>
  isHeaderName(name),
);

const mirrored = (argument: BodyArgument, header: string): BodyArgument => ({ ...argument, header });

const VALUE_KEYS = ['type', 'maxBytes', 'required', 'record'] as const;
const BODY_KEYS = ['pointer', ...VALUE_KEYS] as const;
/** The types that MCP can mirror into a header. */
export const MIRRORED: ReadonlySet<ArgumentType> = new Set(['string', 'long', 'bool']);

/** Whether a text can be an `x-mcp-header`: letters, digits and `-`; a proxy may drop headers with an underscore. */
export const isHeaderName = (text: string): boolean => /^[A-Za-z0-9-]{1,64}$/.test(text);

function declaredIn(yaml: YamlFile, node: PlacedNode | undefined): readonly (readonly [Placed<string>, PlacedNode])[] {
  const declared = node === undefined ? [] : entriesOf(yaml, node, '`args`');
  if (declared.length > MAX_ARGS) yaml.report(node?.offset ?? 0, `an action has at most ${MAX_ARGS} arguments`);
  return declared;
}

function routeArgument(
  yaml: YamlFile,
  entry: {
    readonly name: Placed<string>;
    readonly value: PlacedNode;
    readonly template: PathTemplate;
    readonly bodyIsRead: boolean;
  },
): ArgumentSpec | null {
  const { name, value, template } = entry;
  checkName(yaml, name);
  const fields = yamlFields(yaml, value, {
    what: 'an argument',
    required: ['from'],
    optional: ['pointer', ...VALUE_KEYS],
  });
  const from = valueOf(yaml, fields.get('from'), { what: '`from`', reader: oneOf(['path', 'query', 'body']) });
  const isParameter = template.parameters.includes(name.value);
  if (from !== null && from !== 'path' && isParameter)
    yaml.report(name.offset, `\`${name.value}\` is a parameter of the path, so it is taken from there`);
  if (from === 'body') {
    if (!entry.bodyIsRead) yaml.report(name.offset, 'a `GET` or `HEAD` has no body to take an argument from');
    return bodyArgument(yaml, name, fields);
  }
  const pointer = fields.get('pointer');
  if (pointer !== undefined) yaml.report(pointer.offset, '`pointer` is for arguments from the body');
  const type = fields.has('type')
    ? valueOf(yaml, fields.get('type'), { what: 'the type', reader: oneOf(TEXT_TYPES) })
    : 'string';
  const required = requiredOf(yaml, fields.get('required'), from === 'path');
  if (from === null || type === null || required === null) return null;
  if (from === 'path' && !isParameter) yaml.report(name.offset, `the path has no parameter \`{${name.value}}\``);
  if (from === 'path' && !required)
    yaml.report(name.offset, `\`${name.value}\` is a parameter of the path, so it is always there`);
  return { name: name.value, from, type, required, ...optionsIn(yaml, fields, type) };
}

function bodyArgument(
  yaml: YamlFile,
  name: Placed<string>,
  fields: Pick<ReadonlyMap<(typeof BODY_KEYS)[number], PlacedNode>, 'get' | 'has'>,
): BodyArgument | null {
  const type = typeIn(yaml, fields.get('type'));
  const required = requiredOf(yaml, fields.get('required'), false);
  const pointer = fields.has('pointer') ? pointerIn(yaml, fields.get('pointer')) : [name.value];
  if (type === null || required === null || pointer === null) return null;
  return { name: name.value, from: 'body', pointer, type, required, ...optionsIn(yaml, fields, type) };
}

/** The type that an argument declares; default `string`. */
export const typeIn = (yaml: YamlFile, node: PlacedNode | undefined): ArgumentType | null =>
  node === undefined ? 'string' : valueOf(yaml, node, { what: 'the type', reader: oneOf(TYPES) });

const requiredOf = (yaml: YamlFile, node: PlacedNode | undefined, otherwise: boolean): boolean | null =>
  node === undefined ? otherwise : (leafOf(yaml, node, { what: '`required`', reader: bool }) ?? null);

/** The options of an argument, each only if it is written. */
export function optionsIn(
  yaml: YamlFile,
  fields: Pick<ReadonlyMap<'maxBytes' | 'record', PlacedNode>, 'get'>,
  type: ArgumentType,
): Pick<Named, 'maxBytes' | 'record'> {
  const record = leafOf(yaml, fields.get('record'), { what: '`record`', reader: bool });
  const maxBytes = placedOf(yaml, fields.get('maxBytes'), {
    what: '`maxBytes`',
    reader: integer(1, MAX_ARGUMENT_BYTES),
  });
  if (maxBytes !== null && type !== 'string' && type !== 'strings')
    yaml.report(maxBytes.offset, `\`maxBytes\` is for strings: an argument of type \`${type}\` has no length`);
  return {
    ...(maxBytes === null ? {} : { maxBytes: maxBytes.value }),
    ...(record === true ? { record } : {}),
  };
}

function pointerIn(yaml: YamlFile, node: PlacedNode | undefined): readonly string[] | null {
  const text = valueOf(yaml, node, { what: 'the pointer', reader: pointerText });
  return text === null ? null : stepsOf(text);
}

/** Reports a name that no argument can have. */
export function checkName(yaml: YamlFile, name: Placed<string>): void {
  if (isArgumentName(name.value)) return;
  yaml.report(
    name.offset,
    `the argument name \`${name.value.slice(0, 100)}\` must be printable, at most 128 characters, and not begin with \`__\``,
  );
}

/** Cedar's JSON format reserves `__entity`, `__extn` and `__expr`, so no name may begin with `__`. */
const isArgumentName = (value: string): boolean =>
  value.length <= MAX_NAME_LENGTH && /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(value) && !value.startsWith('__');
