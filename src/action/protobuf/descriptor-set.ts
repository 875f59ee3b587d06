import type { Problem } from '../../token/members.ts';
import { fieldsIn, messagesAt, numberAt, textAt, within } from './field-reading.ts';
import type { FieldReading } from './field-reading.ts';
import type { BytesRange } from './wire.ts';

/** The messages, enums and services of a set of `.proto` files, by full name without a leading dot. */
export interface DescriptorSet {
  readonly messages: ReadonlyMap<string, MessageDescriptor>;
  /** Of each enum, the first name of each of its numbers. */
  readonly enums: ReadonlyMap<string, ReadonlyMap<number, string>>;
  /** Of each service, its methods by name. */
  readonly services: ReadonlyMap<string, ReadonlyMap<string, MethodDescriptor>>;
}

/** A message by its full name, with the set that it is read by. */
export interface MessageType {
  readonly set: DescriptorSet;
  readonly name: string;
}

/** A method of a service. */
export interface MethodDescriptor {
  /** Full name of the message it takes. */
  readonly input: string;
  /** Whether it takes any number of them. */
  readonly isClientStreaming: boolean;
}

/** A message. */
export interface MessageDescriptor {
  /** Whether it is what stands for an entry of a map. */
  readonly isMapEntry: boolean;
  /** By name. */
  readonly fields: ReadonlyMap<string, FieldDescriptor>;
}

/** A field of a message. */
export interface FieldDescriptor {
  readonly name: string;
  /** In JSON, where it is not called by its name. */
  readonly jsonName: string;
  readonly number: number;
  readonly kind: FieldKind;
  /** Full name of the message or enum it is of; `null` for any other kind. */
  readonly typeName: string | null;
  readonly isRepeated: boolean;
  /** Whether absence is told from the default value. */
  readonly hasPresence: boolean;
  /** Index of the oneof it is in; `null` where it is in none, or in one that only stands for `optional`. */
  readonly oneof: number | null;
}

/** In the order of `FieldDescriptorProto.Type`, from 1. */
const KINDS = [
  'double',
  'float',
  'int64',
  'uint64',
  'int32',
  'fixed64',
  'fixed32',
  'bool',
  'string',
  'group',
  'message',
  'bytes',
  'uint32',
  'enum',
  'sfixed32',
  'sfixed64',
  'sint32',
  'sint64',
] as const;

/** What a field is on the wire; a message with the encoding of a group is a `group`. */
export type FieldKind = (typeof KINDS)[number];

const LABEL_REPEATED = 3;
const PRESENCE_IMPLICIT = 2;
const ENCODING_DELIMITED = 2;
const MAX_NESTING = 32;

/**
 * Reads a `FileDescriptorSet`, as `protoc --descriptor_set_out --include_imports` and `buf build` write it: proto2, proto3
 * and editions. What is not a whole one, or names a thing twice, is a problem, as a clause without its subject. The caller
 * bounds the bytes; the cost is linear in them.
 *
 * @see https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto
 */
export function descriptorSetFrom(bytes: Uint8Array): DescriptorSet | Problem {
  const reading: Reading = { bytes, problem: null, messages: new Map(), enums: new Map(), services: new Map() };
  const files = messagesAt(fieldsIn(reading, { from: 0, to: bytes.length }), 1);
  for (const file of files) readFile(reading, file);
  if (files.length === 0) reading.problem ??= 'has no files';
  if (reading.problem !== null) return { problem: `is no descriptor set: it ${reading.problem}` };
  const { messages, enums, services } = reading;
  return {
    messages: new Map([...messages].map(([name, read]) => [name, resolved(read, name, reading)])),
    enums,
    services,
  };
}

interface Reading extends FieldReading {
  readonly messages: Map<string, MessageDescriptor>;
  readonly enums: Map<string, ReadonlyMap<number, string>>;
  readonly services: Map<string, ReadonlyMap<string, MethodDescriptor>>;
}

/** What a file says for the fields in it. */
interface FileRules {
  readonly syntax: string;
  readonly presence: number | null;
  readonly encoding: number | null;
}

function readFile(reading: Reading, file: BytesRange): void {
  const fields = fieldsIn(reading, file);
  const features = within(reading, within(reading, fields, 8), 50);
  const rules = {
    syntax: textAt(reading, fields, 12),
    presence: numberAt(features, 1),
    encoding: numberAt(features, 5),
  };
  const packageName = textAt(reading, fields, 2);
  for (const message of messagesAt(fields, 4)) readMessage(reading, message, { scope: packageName, rules, depth: 0 });
  for (const one of messagesAt(fields, 5)) readEnum(reading, one, packageName);
  for (const service of messagesAt(fields, 6)) readService(reading, service, packageName);
}

const nameIn = (scope: string, name: string): string => (scope === '' ? name : `${scope}.${name}`);

function put<Value>(reading: Reading, into: Map<string, Value>, [name, value]: readonly [string, Value]): void {
  if (into.has(name)) reading.problem ??= `has \`${name.slice(0, 200)}\` twice`;
  into.set(name, value);
}

function readMessage(
  reading: Reading,
  range: BytesRange,
  { scope, rules, depth }: { readonly scope: string; readonly rules: FileRules; readonly depth: number },
): void {
  if (depth > MAX_NESTING) {
    reading.problem ??= `nests messages deeper than ${MAX_NESTING}`;
    return;
  }
  const parts = fieldsIn(reading, range);
  const name = nameIn(scope, textAt(reading, parts, 1));
  const fields = new Map<string, FieldDescriptor>();
  for (const field of messagesAt(parts, 2)) {
    const read = fieldFrom(reading, field, rules);
    put(reading, fields, [read.name, read]);
  }
  const isMapEntry = numberAt(within(reading, parts, 7), 7) === 1;
  put(reading, reading.messages, [name, { isMapEntry, fields }]);
  for (const nested of messagesAt(parts, 3)) readMessage(reading, nested, { scope: name, rules, depth: depth + 1 });
  for (const one of messagesAt(parts, 4)) readEnum(reading, one, name);
}

function fieldFrom(reading: Reading, range: BytesRange, rules: FileRules): FieldDescriptor {
  const parts = fieldsIn(reading, range);
  const features = within(reading, within(reading, parts, 8), 21);
  const written = KINDS[(numberAt(parts, 5) ?? 0) - 1];
  const name = textAt(reading, parts, 1);
  if (written === undefined) reading.problem ??= `has a field \`${name.slice(0, 200)}\` of no type`;
  const isDelimited = (numberAt(features, 5) ?? rules.encoding) === ENCODING_DELIMITED;
  const kind = written === 'message' && isDelimited ? 'group' : (written ?? 'bytes');
  const oneof = numberAt(parts, 9);
  const typeName = textAt(reading, parts, 6);
  const jsonName = textAt(reading, parts, 10);
  return {
    name,
    jsonName: jsonName === '' ? camelCased(name) : jsonName,
    number: numberAt(parts, 3) ?? 0,
    kind,
    typeName: typeName === '' ? null : typeName,
    isRepeated: numberAt(parts, 4) === LABEL_REPEATED,
    hasPresence: kind === 'message' || oneof !== null || isExplicit(rules, numberAt(features, 1)),
    oneof: numberAt(parts, 17) === 1 ? null : oneof,
  };
}

const camelCased = (name: string): string => name.replaceAll(/_+([^_]?)/g, (_all, next: string) => next.toUpperCase());

/** proto2 has no word for its syntax, and no field without presence. */
const isExplicit = ({ syntax, presence }: FileRules, own: number | null): boolean =>
  syntax === 'editions' ? (own ?? presence) !== PRESENCE_IMPLICIT : syntax !== 'proto3';

function readEnum(reading: Reading, range: BytesRange, scope: string): void {
  const parts = fieldsIn(reading, range);
  const names = new Map<number, string>();
  for (const value of messagesAt(parts, 2)) {
    const fields = fieldsIn(reading, value);
    const number = numberAt(fields, 2) ?? 0;
    if (!names.has(number)) names.set(number, textAt(reading, fields, 1));
  }
  put(reading, reading.enums, [nameIn(scope, textAt(reading, parts, 1)), names]);
}

function readService(reading: Reading, range: BytesRange, scope: string): void {
  const parts = fieldsIn(reading, range);
  const methods = new Map<string, MethodDescriptor>();
  for (const method of messagesAt(parts, 2)) {
    const fields = fieldsIn(reading, method);
    const input = textAt(reading, fields, 2);
    const isClientStreaming = numberAt(fields, 5) === 1;
    put(reading, methods, [textAt(reading, fields, 1), { input: input.replace(/^\./, ''), isClientStreaming }]);
  }
  put(reading, reading.services, [nameIn(scope, textAt(reading, parts, 1)), methods]);
}

/** The message with full names of types. A name without a leading dot is looked for from the inside out, as in C++. */
function resolved(message: MessageDescriptor, name: string, { messages, enums }: Reading): MessageDescriptor {
  const full = (typeName: string): string => {
    if (typeName.startsWith('.')) return typeName.slice(1);
    for (let scope = name; scope !== ''; scope = scope.slice(0, Math.max(0, scope.lastIndexOf('.')))) {
      const candidate = `${scope}.${typeName}`;
      if (messages.has(candidate) || enums.has(candidate)) return candidate;
    }
    return typeName;
  };
  const fields = [...message.fields].map(([key, field]) => {
    return [key, field.typeName === null ? field : { ...field, typeName: full(field.typeName) }] as const;
  });
  return { ...message, fields: new Map(fields) };
}
