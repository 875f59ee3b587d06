import type { Problem } from '../../../runtime/problem.ts';
import type { ArgumentType } from '../../arguments/argument.ts';
import type { MessageArgument } from '../../catalog/catalog-arguments.ts';
import type { DescriptorSet, FieldDescriptor, MessageDescriptor } from './descriptor-set.ts';
import { scalars } from './scalar.ts';
import type { Scalar } from './scalar.ts';
import { LENGTH_DELIMITED } from '../../../protobuf/wire-type.ts';

/** How a message is read for the arguments in it. */
export interface MessageShape {
  /** All fields of the message, by number. */
  readonly fields: ReadonlyMap<number, FieldShape>;
  /** The fields that are arguments. */
  readonly values: readonly FieldShape[];
  /** Whether it contains an argument, directly or in a nested message. */
  readonly isWanted: boolean;
  /** Whether an argument is a member of a oneof, in which an unknown newer member could replace it. */
  readonly isClosed: boolean;
  /** Whether other fields may be sent, in this message and in the messages on the path to an argument. */
  readonly takesOthers: boolean;
}

/** How a field is read. */
export interface FieldShape {
  readonly name: string;
  readonly wireTypes: ReadonlySet<number>;
  readonly scalar: Scalar;
  /** Whether it is or contains an argument. */
  readonly isNamed: boolean;
  /** Whether it is or contains an argument and must occur at most once. */
  readonly isOnce: boolean;
  /** Index of its oneof, if that has a member that is or contains an argument; else `null`. */
  readonly oneof: number | null;
  /** Returns the shape of its message; `null` for other kinds. */
  readonly inner: (() => MessageShape) | null;
  /** The argument value to read from it; `null` for none, and for a message. */
  readonly wanted: WantedValue | null;
}

/** A field value that is a single argument or several. */
export interface WantedValue {
  readonly isRepeated: boolean;
  /** Names by number for an enum; `null` for other kinds. */
  readonly names: ReadonlyMap<number, string> | null;
  /** Value of an absent field; `undefined` if the argument is absent too. */
  readonly absent: string | number | boolean | readonly string[] | undefined;
  readonly args: readonly MessageArgument[];
}

/** A wanted argument with the rest of its field path. */
interface Want {
  readonly path: readonly string[];
  readonly arg: MessageArgument;
}

/**
 * Returns a function that makes the shape of a message for its arguments, whose paths must be valid. Shapes of messages without
 * arguments are made lazily and memoised.
 */
export function messageShapes(
  set: DescriptorSet,
): (name: string, of: { readonly args: readonly MessageArgument[]; readonly takesOthers: boolean }) => MessageShape {
  const others = new Map<string, MessageShape>();
  const plain = (name: string): MessageShape => {
    const known = others.get(name) ?? shapeFor({ set, plain, takesOthers: true }, name, []);
    others.set(name, known);
    return known;
  };
  return (name, { args, takesOthers }) =>
    shapeFor(
      { set, plain, takesOthers },
      name,
      args.map((arg) => ({ path: arg.path, arg })),
    );
}

/** The first message, this one or nested, that the set lacks; `null` if it has all. */
export function missingMessage(set: DescriptorSet, name: string): string | null {
  const names = new Set([name]);
  // Iterating a `Set` includes the names added meanwhile.
  for (const one of names) {
    const message = set.messages.get(one);
    if (message === undefined) return one;
    for (const { kind, typeName } of message.fields.values()) {
      if (kind === 'message' || kind === 'group') names.add(typeName ?? '');
    }
  }
  return null;
}

/** Why an argument of this type cannot be read from its path, as a sentence; `null` if it can. */
export function pathProblem(
  set: DescriptorSet,
  message: string,
  { path, type }: Pick<MessageArgument, 'path' | 'type'>,
): (Problem & { readonly help?: string }) | null {
  let name = message;
  for (const [index, step] of path.entries()) {
    const found = set.messages.get(name);
    if (found === undefined) return { problem: `the descriptor set does not have the message \`${name}\`` };
    const field = found.fields.get(step);
    if (field === undefined) {
      return { problem: `the message \`${name}\` has no field \`${step}\``, help: `known: ${knownIn(found)}` };
    }
    const isLast = index === path.length - 1;
    const problem = isLast ? valueProblem(set, field, type) : wayProblem(set, field);
    if (problem !== null) return { problem: `the field \`${path.slice(0, index + 1).join('.')}\` ${problem}` };
    name = field.typeName ?? '';
  }
  return null;
}

/** The argument types for a field, the best type first; empty if it cannot be an argument. */
export const messageTypes = (field: FieldDescriptor): readonly ArgumentType[] =>
  field.isRepeated ? (field.kind === 'string' ? ['strings'] : []) : scalars[field.kind].fits;

/** Whether a field is a map, which is encoded as a repeated message. */
export const isMapField = (set: DescriptorSet, { kind, typeName }: FieldDescriptor): boolean =>
  kind === 'message' && set.messages.get(typeName ?? '')?.isMapEntry === true;

const MAX_KNOWN = 20;
const knownIn = ({ fields }: MessageDescriptor): string => [...fields.keys()].slice(0, MAX_KNOWN).join(', ');

function valueProblem(set: DescriptorSet, field: FieldDescriptor, type: ArgumentType): string | null {
  if (isMapField(set, field)) return 'is a map, which has no order and no argument type';
  const fitting = messageTypes(field);
  const shown = `${field.isRepeated ? 'repeated ' : ''}${field.kind}`;
  if (fitting.length === 0) return `is of type \`${shown}\`, which no argument can be`;
  if (!fitting.includes(type)) {
    return `is of type \`${shown}\`: the type of the argument must be ${fitting.map((one) => `\`${one}\``).join(' or ')}`;
  }
  if (field.kind !== 'enum') return null;
  const names = set.enums.get(field.typeName ?? '');
  if (names === undefined) return `is of the enum \`${field.typeName}\`, which the descriptor set does not have`;
  return field.hasPresence || names.has(0) ? null : 'is of an enum without a name for 0';
}

function wayProblem(set: DescriptorSet, field: FieldDescriptor): string | null {
  if (isMapField(set, field)) return 'is a map, and a path cannot lead through a map';
  if (field.kind !== 'message') return `is of type \`${field.kind}\`: a path leads through messages only`;
  return field.isRepeated ? 'is repeated, and a path cannot lead through a repeated field' : null;
}

interface Shapes {
  readonly set: DescriptorSet;
  readonly plain: (name: string) => MessageShape;
  readonly takesOthers: boolean;
}

function shapeFor(shapes: Shapes, name: string, wants: readonly Want[]): MessageShape {
  const descriptors = [...(shapes.set.messages.get(name)?.fields.values() ?? [])];
  const here = new Map<string, Want[]>();
  for (const { path, arg } of wants) {
    const [step = '', ...rest] = path;
    here.set(step, [...(here.get(step) ?? []), { path: rest, arg }]);
  }
  const oneofs = new Set(
    descriptors.flatMap((field) => (here.has(field.name) && field.oneof !== null ? [field.oneof] : [])),
  );
  const fields = new Map(
    descriptors.map((field) => [
      field.number,
      fieldShape(shapes, field, { oneofs, wants: here.get(field.name) ?? [] }),
    ]),
  );
  const values = [...fields.values()].filter(({ wanted }) => wanted !== null);
  return { fields, values, isWanted: wants.length > 0, isClosed: oneofs.size > 0, takesOthers: shapes.takesOthers };
}

function fieldShape(
  shapes: Shapes,
  field: FieldDescriptor,
  { oneofs, wants }: { readonly oneofs: ReadonlySet<number>; readonly wants: readonly Want[] },
): FieldShape {
  const { name, kind, isRepeated, typeName, oneof } = field;
  const isMessage = kind === 'message';
  const way = isMessage && wants.length > 0 ? shapeFor(shapes, typeName ?? '', wants) : null;
  return {
    name,
    wireTypes: wireTypesOf(field),
    scalar: scalars[kind],
    isNamed: wants.length > 0,
    isOnce: wants.length > 0 && !isRepeated,
    oneof: oneof !== null && oneofs.has(oneof) ? oneof : null,
    inner: isMessage ? () => way ?? shapes.plain(typeName ?? '') : null,
    wanted: isMessage || wants.length === 0 ? null : wantedIn(shapes.set, field, wants),
  };
}

/** Repeated numbers can be packed or not, whatever the schema says. */
function wireTypesOf({ kind, isRepeated }: FieldDescriptor): ReadonlySet<number> {
  const { wireType } = scalars[kind];
  return new Set(isRepeated ? [wireType, LENGTH_DELIMITED] : [wireType]);
}

function wantedIn(set: DescriptorSet, field: FieldDescriptor, wants: readonly Want[]): WantedValue {
  const names = field.kind === 'enum' ? (set.enums.get(field.typeName ?? '') ?? new Map<number, string>()) : null;
  const zero = names === null ? scalars[field.kind].zero : names.get(0);
  return {
    isRepeated: field.isRepeated,
    names,
    absent: field.isRepeated ? [] : field.hasPresence ? undefined : zero,
    args: wants.map(({ arg }) => arg),
  };
}
