import { isProblem } from '../../token/members.ts';
import type { Problem } from '../../token/members.ts';
import type { FieldDescriptor, MessageDescriptor, MessageType } from './descriptor-set.ts';
import { scalarBytes, isZero, wireTypeOf } from './scalar-json.ts';
import { plainFormOf } from './well-known-json.ts';
import { varintOf, LENGTH_DELIMITED } from './wire.ts';

const MAX_DEPTH = 100;

/**
 * The bytes of a message from its JSON form, as clients of gRPC send them: fields in the order of their numbers, numbers packed, what
 * has its default value left out where absence is not told from it. Stricter than the mapping of protobuf: an unknown field, two
 * members of a `oneof`, a value of another type or out of range, and a `google.protobuf.Any` are problems, as a clause without its
 * subject. Never throws.
 *
 * @see https://protobuf.dev/programming-guides/json
 */
export function messageFromJson(type: MessageType, value: unknown): Uint8Array | Problem {
  return encoded({ ...type, depth: 0 }, value);
}

interface At extends MessageType {
  readonly depth: number;
}

function encoded({ set, name, depth }: At, value: unknown): Uint8Array | Problem {
  if (depth > MAX_DEPTH) return { problem: `nests deeper than ${MAX_DEPTH}` };
  const message = set.messages.get(name);
  if (message === undefined) return { problem: `is of \`${name}\`, which the descriptor set does not have` };
  const plain = plainFormOf(name, value);
  if (isProblem(plain)) return plain;
  if (!isObject(plain)) return { problem: `must be a JSON object, as it is of \`${name}\`` };
  const given = membersIn(message, plain);
  if (isProblem(given)) return given;
  const parts: Uint8Array[] = [];
  for (const [field, member] of given) {
    const part = fieldBytes({ set, name, depth }, field, member);
    if (isProblem(part)) return { problem: `has the field \`${field.name}\`, which ${part.problem}` };
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const MAX_KNOWN = 20;

/** The fields that an object gives a value, by number. */
function membersIn(
  { fields }: MessageDescriptor,
  given: Readonly<Record<string, unknown>>,
): readonly (readonly [FieldDescriptor, unknown])[] | Problem {
  const found = new Map<FieldDescriptor, unknown>();
  const oneofs = new Map<number, string>();
  for (const [name, value] of Object.entries(given)) {
    const field = fields.get(name) ?? [...fields.values()].find(({ jsonName }) => jsonName === name);
    if (field === undefined) {
      const known = [...fields.keys()].slice(0, MAX_KNOWN).join(', ');
      return { problem: `has the member \`${name.slice(0, 100)}\`, which is none of its fields: ${known}` };
    }
    if (found.has(field)) return { problem: `has the field \`${field.name}\` twice` };
    if (value === null && field.typeName !== 'google.protobuf.Value') continue;
    found.set(field, value);
    const other = field.oneof === null ? undefined : oneofs.get(field.oneof);
    if (other !== undefined) return { problem: `has both \`${other}\` and \`${field.name}\` of one \`oneof\`` };
    if (field.oneof !== null) oneofs.set(field.oneof, field.name);
  }
  return [...found].toSorted(([a], [b]) => a.number - b.number);
}

function fieldBytes(at: At, field: FieldDescriptor, value: unknown): Uint8Array | Problem {
  const entry = at.set.messages.get(field.typeName ?? '');
  if (entry?.isMapEntry === true) return mapBytes(at, { field, entry }, value);
  if (field.isRepeated) return listBytes(at, field, value);
  const one = valueBytes(at, field, value);
  if (isProblem(one)) return one;
  return !field.hasPresence && isZero(field, one) ? new Uint8Array() : tagged(field, one);
}

function valueBytes(at: At, field: FieldDescriptor, value: unknown): Uint8Array | Problem {
  if (field.kind === 'group') return { problem: 'is a group: give the message as base64' };
  if (field.kind === 'message') return encoded({ ...at, name: field.typeName ?? '', depth: at.depth + 1 }, value);
  return scalarBytes(field, { value, names: at.set.enums.get(field.typeName ?? '') ?? null });
}

function listBytes(at: At, field: FieldDescriptor, value: unknown): Uint8Array | Problem {
  if (!Array.isArray(value)) return { problem: 'must be a list' };
  const items: Uint8Array[] = [];
  for (const item of value) {
    const bytes = valueBytes(at, field, item);
    if (isProblem(bytes)) return { problem: `has an item that ${bytes.problem}` };
    items.push(bytes);
  }
  if (items.length === 0) return new Uint8Array();
  return wireTypeOf(field) === LENGTH_DELIMITED
    ? Buffer.concat(items.map((item) => tagged(field, item)))
    : delimited(field.number, Buffer.concat(items));
}

/** Each entry is a message of its own, with the key at 1 and the value at 2. */
function mapBytes(
  at: At,
  { field, entry }: { readonly field: FieldDescriptor; readonly entry: MessageDescriptor },
  value: unknown,
): Uint8Array | Problem {
  if (!isObject(value)) return { problem: 'must be an object, as it is a map' };
  const [key, content] = ['key', 'value'].map((name) => entry.fields.get(name));
  if (key === undefined || content === undefined) return { problem: 'is a map without key or value' };
  const entries: Uint8Array[] = [];
  for (const [name, member] of Object.entries(value)) {
    const keyBytes = scalarBytes(key, { value: key.kind === 'bool' ? BOOLS.get(name) : name, names: null });
    const bytes = isProblem(keyBytes) ? keyBytes : valueBytes(at, content, member);
    if (isProblem(keyBytes) || isProblem(bytes))
      return { problem: `has the entry \`${name.slice(0, 100)}\`, which ${isProblem(bytes) ? bytes.problem : ''}` };
    entries.push(delimited(field.number, Buffer.concat([tagged(key, keyBytes), tagged(content, bytes)])));
  }
  return Buffer.concat(entries);
}

const BOOLS = new Map([
  ['true', true],
  ['false', false],
]);

const tagged = (field: FieldDescriptor, bytes: Uint8Array): Uint8Array =>
  wireTypeOf(field) === LENGTH_DELIMITED
    ? delimited(field.number, bytes)
    : Buffer.concat([tagOf(field.number, wireTypeOf(field)), bytes]);

const delimited = (number: number, bytes: Uint8Array): Uint8Array =>
  Buffer.concat([tagOf(number, LENGTH_DELIMITED), varintOf(BigInt(bytes.length)), bytes]);

const tagOf = (number: number, wireType: number): Uint8Array => varintOf(BigInt(number * 8 + wireType));
