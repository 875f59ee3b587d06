import { bool, oneOf, textLike } from '../../runtime/fields.ts';
import { checkName, optionsIn, typeIn } from './catalog-arguments.ts';
import type { ArgumentSpec, CarriedArgument } from './catalog-arguments.ts';
import type { ArgumentType } from '../arguments/argument.ts';
import { entriesOf, yamlFields, leafOf, valueOf } from './yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from './yaml-file.ts';

/** What calls of an MCP action may carry beside their `arguments`. */
export interface Carries {
  /** The questions that the server may ask, by their key in `inputRequests`, and how each answer is read. */
  readonly inputs: ReadonlyMap<string, InputSpec>;
  /** Keys of `_meta` that are arguments. */
  readonly meta: readonly CarriedArgument[];
  /** Whether the server protects the integrity of its `requestState`, and binds it to the call. */
  readonly isStateSealed: boolean;
  /** Whether calls may become tasks, which are polled, answered and cancelled later. */
  readonly hasTasks: boolean;
}

/** How the answer to one question is read. */
export interface InputSpec {
  readonly kind: 'content' | 'text' | 'roots';
  /** The members of a `content`, none of which is required; the text; the list of URIs. */
  readonly args: readonly CarriedArgument[];
}

/** The keys of an MCP action that say what its calls carry. */
export const CARRIES_KEYS = ['inputs', 'meta', 'state', 'tasks'] as const;

type Fields = Pick<ReadonlyMap<(typeof CARRIES_KEYS)[number], PlacedNode>, 'get'>;

const NOTHING: Carries = { inputs: new Map(), meta: [], isStateSealed: false, hasTasks: false };
const KINDS = ['content', 'text', 'roots'] as const;
const MAX_KEYS = 16;
const MAX_KEY_LENGTH = 128;

/** Nothing beside the arguments. */
export const carriesNothing: Carries = NOTHING;

/** Reads what the calls of an action may carry, and adds its arguments to those declared: equal names are one argument. */
export function carriesIn(
  yaml: YamlFile,
  fields: Fields,
  declared: readonly ArgumentSpec[],
): { readonly carries: Carries; readonly args: readonly ArgumentSpec[] } {
  const inputs = inputsIn(yaml, fields.get('inputs'));
  const meta = metaIn(yaml, fields.get('meta'));
  const state = valueOf(yaml, fields.get('state'), { what: '`state`', reader: oneOf(['sealed']) });
  const hasTasks = leafOf(yaml, fields.get('tasks'), { what: '`tasks`', reader: bool }) === true;
  const carries = {
    inputs: new Map(inputs.map(([key, { kind, args }]) => [key, { kind, args: args.map(({ arg }) => arg) }])),
    meta: meta.map(({ arg }) => arg),
    isStateSealed: state !== null,
    hasTasks,
  };
  const placed = [...inputs.flatMap(([, { args }]) => args), ...meta];
  return { carries, args: withCarried(yaml, declared, placed) };
}

interface PlacedArgument {
  readonly arg: CarriedArgument;
  readonly offset: number;
}

function withCarried(
  yaml: YamlFile,
  declared: readonly ArgumentSpec[],
  carried: readonly PlacedArgument[],
): readonly ArgumentSpec[] {
  const args = new Map(declared.map((spec) => [spec.name, spec]));
  for (const { arg, offset } of carried) {
    const other = args.get(arg.name);
    if (other === undefined) args.set(arg.name, arg);
    else if (other.type !== arg.type)
      yaml.report(
        offset,
        `\`${arg.name}\` is a \`${arg.type}\` here and a \`${other.type}\` elsewhere in this action`,
        'values of one meaning share a name and a type; give another meaning another name with `as`',
      );
  }
  return [...args.values()];
}

function keysOf(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  what: string,
): readonly (readonly [Placed<string>, PlacedNode])[] {
  if (node === undefined) return [];
  const entries = entriesOf(yaml, node, what);
  if (entries.length > MAX_KEYS) yaml.report(node.offset, `${what} has at most ${MAX_KEYS} keys`);
  return entries.filter(([key]) => {
    const isKey = key.value.length <= MAX_KEY_LENGTH && /^[\x21-\x7e]+$/.test(key.value);
    if (!isKey) yaml.report(key.offset, `a key of ${what} must be printable ASCII, 1 to ${MAX_KEY_LENGTH} characters`);
    return isKey;
  });
}

type PlacedInput = { readonly kind: InputSpec['kind']; readonly args: readonly PlacedArgument[] };

const inputsIn = (yaml: YamlFile, node: PlacedNode | undefined): readonly (readonly [string, PlacedInput])[] =>
  keysOf(yaml, node, '`inputs`').flatMap(([key, value]) => {
    const input = inputIn(yaml, key, value);
    return input === null ? [] : [[key.value, input] as const];
  });

function inputIn(yaml: YamlFile, key: Placed<string>, node: PlacedNode): PlacedInput | null {
  const fields = yamlFields(yaml, node, { what: 'an input', required: [], optional: KINDS });
  const [kind, second] = KINDS.filter((name) => fields.has(name));
  const of = kind === undefined ? undefined : fields.get(kind);
  if (kind === undefined || second !== undefined || of === undefined) {
    yaml.report(node.offset, `the input \`${key.value}\` has exactly one of \`content\`, \`text\` and \`roots\``);
    return null;
  }
  if (kind === 'content') {
    const members = entriesOf(yaml, of, '`content`').flatMap(
      ([member, value]) => carriedArgument(yaml, value, { from: 'input', key: key.value, part: kind, member }) ?? [],
    );
    return { kind, args: members };
  }
  const type = kind === 'text' ? 'string' : 'strings';
  const arg = carriedArgument(yaml, of, { from: 'input', key: key.value, part: kind, member: key, type });
  return arg === null ? null : { kind, args: [arg] };
}

const metaIn = (yaml: YamlFile, node: PlacedNode | undefined): readonly PlacedArgument[] =>
  keysOf(yaml, node, '`meta`').flatMap(
    ([key, value]) => carriedArgument(yaml, value, { from: 'meta', key: key.value, part: 'value', member: key }) ?? [],
  );

/** @param of `type` if the kind of answer has only one type */
function carriedArgument(
  yaml: YamlFile,
  node: PlacedNode,
  of: Pick<CarriedArgument, 'from' | 'key' | 'part'> & {
    readonly member: Placed<string>;
    readonly type?: ArgumentType;
  },
): PlacedArgument | null {
  const typed = of.type === undefined ? (['type'] as const) : [];
  const optional = ['as', 'maxBytes', 'record', ...typed] as const;
  const fields = yamlFields<'as' | 'maxBytes' | 'record' | 'type'>(yaml, node, {
    what: 'an answer',
    required: [],
    optional,
  });
  const type = of.type ?? typeIn(yaml, fields.get('type'));
  const written = fields.get('as');
  const as = written === undefined ? of.member.value : valueOf(yaml, written, { what: '`as`', reader: nameText });
  if (type === null || as === null) return null;
  const { offset } = written ?? of.member;
  checkName(yaml, { value: as, offset });
  const { from, key, part, member } = of;
  const named = { name: as, from, key, part, member: member.value, type, required: false } as const;
  return { arg: { ...named, ...optionsIn(yaml, fields, type) }, offset };
}

const nameText = textLike('the name of an argument', () => true);
