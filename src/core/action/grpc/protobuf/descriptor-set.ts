import { fromBinary, isFieldSet } from '@bufbuild/protobuf';
import {
  FeatureSet_FieldPresence,
  FeatureSet_MessageEncoding,
  FieldDescriptorProto_Label,
  FieldDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import type {
  DescriptorProto,
  EnumDescriptorProto,
  FeatureSet,
  FieldDescriptorProto,
  FileDescriptorProto,
  FileDescriptorSet,
  ServiceDescriptorProto,
} from '@bufbuild/protobuf/wkt';
import type { Problem } from '../../../runtime/problem.ts';
import { scanProblem } from './strict-scan.ts';

/** The messages, enums and services of a set of `.proto` files, by fully qualified name without a leading dot. */
export interface DescriptorSet {
  readonly messages: ReadonlyMap<string, MessageDescriptor>;
  /** For each enum the names by number; the first name if a number has several. */
  readonly enums: ReadonlyMap<string, ReadonlyMap<number, string>>;
  /** For each service its methods by name. */
  readonly services: ReadonlyMap<string, ReadonlyMap<string, MethodDescriptor>>;
  /** The decoded set. */
  readonly files: FileDescriptorSet;
}

/** A message type: its fully qualified name and its descriptor set. */
export interface MessageType {
  readonly set: DescriptorSet;
  readonly name: string;
}

/** A method of a service. */
export interface MethodDescriptor {
  /** Fully qualified name of its request message. */
  readonly input: string;
  /** Whether the client sends a stream of messages. */
  readonly isClientStreaming: boolean;
}

/** A message. */
export interface MessageDescriptor {
  /** Whether it is the generated entry type of a map field. */
  readonly isMapEntry: boolean;
  /** By name. */
  readonly fields: ReadonlyMap<string, FieldDescriptor>;
}

/** A field of a message. */
export interface FieldDescriptor {
  readonly name: string;
  /** Its name in JSON. */
  readonly jsonName: string;
  readonly number: number;
  readonly kind: FieldKind;
  /** Fully qualified name of its message or enum type; `null` for other kinds. */
  readonly typeName: string | null;
  readonly isRepeated: boolean;
  /** Whether an absent field differs from a field with the default value (explicit presence). */
  readonly hasPresence: boolean;
  /** Index of its oneof; `null` for none, and for the synthetic oneof of `optional`. */
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

/** The type of a field; a message with group encoding is a `group`. */
export type FieldKind = (typeof KINDS)[number];

const MAX_NESTING = 32;
/** Longest name with its scope. A relative name is looked for in each scope of its message, so the parts of a name are bounded too. */
const MAX_NAME = 512;
const MAX_PARTS = 64;

/**
 * Parses a `FileDescriptorSet` as written by `protoc --descriptor_set_out --include_imports` and `buf build`: proto2, proto3
 * and editions. The bytes are scanned strictly before they are decoded. An incomplete set or a duplicate name is a problem, as
 * a clause. Linear time; the caller bounds the length.
 *
 * @see https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto
 */
export function descriptorSetFrom(bytes: Uint8Array): DescriptorSet | Problem {
  const files = decoded(bytes);
  if ('problem' in files) return { problem: `is not a descriptor set: it ${files.problem}` };
  const reading: Reading = { problem: null, messages: new Map(), enums: new Map(), services: new Map() };
  for (const file of files.file) readFile(reading, file);
  if (files.file.length === 0) reading.problem ??= 'has no files';
  if (reading.problem !== null) return { problem: `is not a descriptor set: it ${reading.problem}` };
  const { messages, enums, services } = reading;
  return {
    messages: new Map([...messages].map(([name, read]) => [name, resolved(read, name, reading)])),
    enums,
    services,
    files,
  };
}

function decoded(bytes: Uint8Array): FileDescriptorSet | Problem {
  const problem = scanProblem(bytes, FileDescriptorSetSchema);
  if (problem !== null) return { problem };
  try {
    return fromBinary(FileDescriptorSetSchema, bytes, { readUnknownFields: false });
  } catch {
    return { problem: 'cannot be decoded' };
  }
}

interface Reading {
  /** The first problem, as a clause. */
  problem: string | null;
  readonly messages: Map<string, MessageDescriptor>;
  readonly enums: Map<string, ReadonlyMap<number, string>>;
  readonly services: Map<string, ReadonlyMap<string, MethodDescriptor>>;
}

/** File-level settings that apply to its fields. */
interface FileRules {
  readonly syntax: string;
  readonly features: FeatureSet | undefined;
}

function readFile(reading: Reading, file: FileDescriptorProto): void {
  const rules = { syntax: file.syntax, features: file.options?.features };
  for (const message of file.messageType) readMessage(reading, message, { scope: file.package, rules, depth: 0 });
  for (const one of file.enumType) readEnum(reading, one, file.package);
  for (const service of file.service) readService(reading, service, file.package);
}

const nameIn = (scope: string, name: string): string => (scope === '' ? name : `${scope}.${name}`);

function put<Value>(reading: Reading, into: Map<string, Value>, [name, value]: readonly [string, Value]): void {
  if (name.length > MAX_NAME) {
    reading.problem ??= `has a name of more than ${MAX_NAME} characters`;
    return;
  }
  if (into.has(name)) reading.problem ??= `has \`${name.slice(0, 200)}\` twice`;
  into.set(name, value);
}

function readMessage(
  reading: Reading,
  message: DescriptorProto,
  { scope, rules, depth }: { readonly scope: string; readonly rules: FileRules; readonly depth: number },
): void {
  if (depth > MAX_NESTING) {
    reading.problem ??= `nests messages deeper than ${MAX_NESTING}`;
    return;
  }
  const name = nameIn(scope, message.name);
  if (name.length <= MAX_NAME && name.split('.').length > MAX_PARTS)
    reading.problem ??= `has a name of more than ${MAX_PARTS} parts`;
  const fields = new Map<string, FieldDescriptor>();
  for (const field of message.field) {
    const read = fieldFrom(reading, field, rules);
    put(reading, fields, [read.name, read]);
  }
  put(reading, reading.messages, [name, { isMapEntry: message.options?.mapEntry === true, fields }]);
  for (const nested of message.nestedType) readMessage(reading, nested, { scope: name, rules, depth: depth + 1 });
  for (const one of message.enumType) readEnum(reading, one, name);
}

function fieldFrom(reading: Reading, field: FieldDescriptorProto, rules: FileRules): FieldDescriptor {
  const { name, number, typeName, jsonName, proto3Optional } = field;
  const { type, oneofIndex } = FieldDescriptorProtoSchema.field;
  const written = isFieldSet(field, type) ? KINDS[field.type - 1] : undefined;
  if (written === undefined) reading.problem ??= `has a field \`${name.slice(0, 200)}\` of no type`;
  const own = field.options?.features;
  const encoding = own?.messageEncoding || rules.features?.messageEncoding;
  const kind =
    written === 'message' && encoding === FeatureSet_MessageEncoding.DELIMITED ? 'group' : (written ?? 'bytes');
  const oneof = isFieldSet(field, oneofIndex) ? field.oneofIndex : null;
  return {
    name,
    jsonName: jsonName === '' ? camelCased(name) : jsonName,
    number,
    kind,
    typeName: typeName === '' ? null : typeName,
    isRepeated: field.label === FieldDescriptorProto_Label.REPEATED,
    hasPresence: kind === 'message' || oneof !== null || isExplicit(rules, own),
    oneof: proto3Optional ? null : oneof,
  };
}

const camelCased = (name: string): string => name.replaceAll(/_+([^_]?)/g, (_all, next: string) => next.toUpperCase());

/** Whether fields have explicit presence. In proto2 `syntax` is empty, and all fields have it. */
const isExplicit = ({ syntax, features }: FileRules, own: FeatureSet | undefined): boolean =>
  syntax === 'editions'
    ? (own?.fieldPresence || features?.fieldPresence) !== FeatureSet_FieldPresence.IMPLICIT
    : syntax !== 'proto3';

function readEnum(reading: Reading, { name, value }: EnumDescriptorProto, scope: string): void {
  const names = new Map<number, string>();
  for (const one of value) if (!names.has(one.number)) names.set(one.number, one.name);
  put(reading, reading.enums, [nameIn(scope, name), names]);
}

function readService(reading: Reading, { name, method }: ServiceDescriptorProto, scope: string): void {
  const methods = new Map<string, MethodDescriptor>();
  for (const one of method) {
    const input = one.inputType.replace(/^\./, '');
    put(reading, methods, [one.name, { input, isClientStreaming: one.clientStreaming }]);
  }
  put(reading, reading.services, [nameIn(scope, name), methods]);
}

/** Resolves the type names of a message. A relative name is searched from the innermost scope outwards, as in C++. */
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
