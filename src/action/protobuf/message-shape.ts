import type { Problem } from '../../runtime/problem.ts';
import type { ArgumentType, MessageArgument } from '../catalog-arguments.ts';
import type { DescriptorSet, FieldDescriptor, MessageDescriptor } from './descriptor-set.ts';
import { scalars } from './scalar.ts';
import type { Scalar } from './scalar.ts';
import { LENGTH_DELIMITED } from '../../protobuf/wire-type.ts';

/** A message as it is read for the arguments in it. */
export interface MessageShape {
  /** Every field the message has, by number. */
  readonly fields: ReadonlyMap<number, FieldShape>;
  /** Those of them that are arguments. */
  readonly values: readonly FieldShape[];
  /** Whether any argument is in it or below it. */
  readonly isWanted: boolean;
  /** Whether an argument is in a oneof here: a member that the descriptor set does not have yet would take its place. */
  readonly isClosed: boolean;
}

/** A field as it is read. */
export interface FieldShape {
  readonly name: string;
  readonly wireTypes: ReadonlySet<number>;
  readonly scalar: Scalar;
  /** Whether an argument is in it or below it, and it can be there once. */
  readonly isOnce: boolean;
  /** Of a field in a oneof that an argument is in or below; `null` for any other. */
  readonly oneof: number | null;
  /** Gives the message it is of; `null` where it is of none. */
  readonly inner: (() => MessageShape) | null;
  /** What is taken from it; `null` where nothing is, and for a message. */
  readonly wanted: WantedValue | null;
}

/** A value that is an argument, or more than one. */
export interface WantedValue {
  readonly isRepeated: boolean;
  /** Of an enum, the name of each number; `null` for any other field. */
  readonly names: ReadonlyMap<number, string> | null;
  /** What its absence means; `undefined` where that is absence. */
  readonly absent: string | number | boolean | readonly string[] | undefined;
  readonly args: readonly MessageArgument[];
}

/** A want of one argument: the field names still to go, and what it must be. */
interface Want {
  readonly path: readonly string[];
  readonly arg: MessageArgument;
}

/**
 * Gives the shapes of messages of a set for the arguments taken from them, each of which must have its place there. Messages
 * that no argument is in are shaped when the first call has one, and then kept.
 */
export function messageShapes(set: DescriptorSet): (name: string, args: readonly MessageArgument[]) => MessageShape {
  const others = new Map<string, MessageShape>();
  const plain = (name: string): MessageShape => {
    const known = others.get(name) ?? shapeFor({ set, plain }, name, []);
    others.set(name, known);
    return known;
  };
  return (name, args) =>
    shapeFor(
      { set, plain },
      name,
      args.map((arg) => ({ path: arg.path, arg })),
    );
}

/** The first message that is meant below this one and that the set does not have; `null` where it has all of them. */
export function missingMessage(set: DescriptorSet, name: string): string | null {
  const names = new Set([name]);
  // A set is walked in the order in which it grows.
  for (const one of names) {
    const message = set.messages.get(one);
    if (message === undefined) return one;
    for (const { kind, typeName } of message.fields.values()) {
      if (kind === 'message' || kind === 'group') names.add(typeName ?? '');
    }
  }
  return null;
}

/** Why an argument of this type cannot be taken from this place of a message, as a clause of its own; `null` where it can. */
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

/** The types that an argument from a field can be, the most fitting one first; none where it cannot be one. */
export const typesOf = (field: FieldDescriptor): readonly ArgumentType[] =>
  field.isRepeated ? (field.kind === 'string' ? ['strings'] : []) : scalars[field.kind].fits;

/** Whether a field is a map, which stands on the wire as a repeated message. */
export const isMapField = (set: DescriptorSet, { kind, typeName }: FieldDescriptor): boolean =>
  kind === 'message' && set.messages.get(typeName ?? '')?.isMapEntry === true;

const MAX_KNOWN = 20;
const knownIn = ({ fields }: MessageDescriptor): string => [...fields.keys()].slice(0, MAX_KNOWN).join(', ');

function valueProblem(set: DescriptorSet, field: FieldDescriptor, type: ArgumentType): string | null {
  if (isMapField(set, field)) return 'is a map, which has no order and no argument type';
  const fitting = typesOf(field);
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
  if (isMapField(set, field)) return 'is a map: no way to an argument leads through one';
  if (field.kind !== 'message') return `is of type \`${field.kind}\`: only through messages a way leads on`;
  return field.isRepeated ? 'is repeated: no way to an argument leads through one' : null;
}

interface Shapes {
  readonly set: DescriptorSet;
  readonly plain: (name: string) => MessageShape;
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
  return { fields, values, isWanted: wants.length > 0, isClosed: oneofs.size > 0 };
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
    isOnce: wants.length > 0 && !isRepeated,
    oneof: oneof !== null && oneofs.has(oneof) ? oneof : null,
    inner: isMessage ? () => way ?? shapes.plain(typeName ?? '') : null,
    wanted: isMessage || wants.length === 0 ? null : wantedIn(shapes.set, field, wants),
  };
}

/** A repeated number may come packed or not, whatever the schema says. */
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
