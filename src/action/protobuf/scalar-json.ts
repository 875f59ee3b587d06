import { isProblem } from '../../token/members.ts';
import type { Problem } from '../../token/members.ts';
import type { FieldDescriptor, FieldKind } from './descriptor-set.ts';
import { scalars } from './scalar.ts';
import { varintOf } from './wire.ts';

/** What a value stands for on the wire without its tag; a list of numbers is packed. */
export const wireTypeOf = ({ kind }: Pick<FieldDescriptor, 'kind'>): number => scalars[kind].wireType;

/** Whether it is what the absence of a field without presence means. */
export const isZero = ({ kind }: Pick<FieldDescriptor, 'kind'>, bytes: Uint8Array): boolean =>
  kind !== 'message' && bytes.every((byte) => byte === 0);

/**
 * The bytes of one value that is no message from its JSON form, without tag and length. 64 bits are a number or its digits as text,
 * bytes are base64, an enum is a name or a number.
 */
export function scalarBytes(
  { kind }: Pick<FieldDescriptor, 'kind'>,
  { value, names }: { readonly value: unknown; readonly names: ReadonlyMap<number, string> | null },
): Uint8Array | Problem {
  const range = INTEGERS[kind];
  if (range !== undefined) {
    const integer = integerFrom(value, range);
    return isProblem(integer) ? integer : integerBytes(kind, integer);
  }
  if (kind === 'enum') return enumBytes(value, names);
  return plain[kind]?.(value) ?? { problem: `is of \`${kind}\`, which is no plain value` };
}

const plain: Readonly<Partial<Record<FieldKind, (value: unknown) => Uint8Array | Problem>>> = {
  bool: (value) =>
    typeof value === 'boolean' ? Uint8Array.of(value ? 1 : 0) : { problem: 'must be `true` or `false`' },
  string: (value) =>
    typeof value === 'string' && value.isWellFormed() ? Buffer.from(value) : { problem: 'must be text' },
  bytes: (value) =>
    typeof value === 'string' && /^[A-Za-z0-9+/_-]*={0,2}$/.test(value)
      ? Buffer.from(value, 'base64')
      : { problem: 'must be bytes, as base64' },
  float: (value) => floatBytes('float', value),
  double: (value) => floatBytes('double', value),
};

const signed = (bits: bigint) => ({ least: -(2n ** (bits - 1n)), most: 2n ** (bits - 1n) - 1n });
const unsigned = (bits: bigint) => ({ least: 0n, most: 2n ** bits - 1n });

interface IntegerRange {
  readonly least: bigint;
  readonly most: bigint;
}

const INTEGERS: Readonly<Partial<Record<FieldKind, IntegerRange>>> = {
  int32: signed(32n),
  sint32: signed(32n),
  sfixed32: signed(32n),
  uint32: unsigned(32n),
  fixed32: unsigned(32n),
  int64: signed(64n),
  sint64: signed(64n),
  sfixed64: signed(64n),
  uint64: unsigned(64n),
  fixed64: unsigned(64n),
};

function integerFrom(value: unknown, { least, most }: IntegerRange): bigint | Problem {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    return { problem: 'is beyond ±(2^53 - 1): write it as text' };
  const isInteger = Number.isSafeInteger(value) || (typeof value === 'string' && /^-?(?:0|[1-9]\d{0,19})$/.test(value));
  if (!isInteger) return { problem: 'must be an integer' };
  const integer = BigInt(String(value));
  return integer >= least && integer <= most ? integer : { problem: `must be from ${least} to ${most}` };
}

function integerBytes(kind: FieldKind, integer: bigint): Uint8Array {
  if (kind === 'sint32' || kind === 'sint64') return varintOf(integer < 0n ? -2n * integer - 1n : 2n * integer);
  if (!kind.includes('fixed')) return varintOf(integer);
  const bytes = Buffer.alloc(kind.endsWith('64') ? 8 : 4);
  if (bytes.length === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, integer));
  else bytes.writeUInt32LE(Number(BigInt.asUintN(32, integer)));
  return bytes;
}

const WORDS = new Set<unknown>(['NaN', 'Infinity', '-Infinity']);
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

function floatBytes(kind: 'float' | 'double', value: unknown): Uint8Array | Problem {
  const isNumber = typeof value === 'number' || (typeof value === 'string' && (WORDS.has(value) || NUMBER.test(value)));
  if (!isNumber) return { problem: 'must be a number' };
  const bytes = Buffer.alloc(kind === 'double' ? 8 : 4);
  if (kind === 'double') bytes.writeDoubleLE(Number(value));
  else bytes.writeFloatLE(Number(value));
  return bytes;
}

const MAX_KNOWN = 20;

function enumBytes(value: unknown, names: ReadonlyMap<number, string> | null): Uint8Array | Problem {
  if (typeof value === 'number') {
    const integer = integerFrom(value, signed(32n));
    return isProblem(integer) ? integer : varintOf(integer);
  }
  const found = [...(names ?? [])].find(([, name]) => name === value);
  if (found !== undefined) return varintOf(BigInt(found[0]));
  return { problem: `must be one of ${[...(names?.values() ?? [])].slice(0, MAX_KNOWN).join(', ')}` };
}
