import { isProblem } from '../../../runtime/problem.ts';
import type { Problem } from '../../../runtime/problem.ts';
import type { ArgumentType } from '../../arguments/argument.ts';
import type { FieldKind } from './descriptor-set.ts';
import { eachVarint } from '../../../protobuf/fields.ts';
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from '../../../protobuf/wire-type.ts';
import type { WireField } from '../../../protobuf/fields.ts';

/** The encoding of a field type, and the argument types it can have. */
export interface Scalar {
  readonly wireType: number;
  /** Possible argument types; empty if it cannot be an argument. */
  readonly fits: readonly ArgumentType[];
  /** Default value of an absent field with implicit presence. */
  readonly zero: string | number | boolean;
  /** Decodes a field with the right wire type. An integer that a double cannot hold exactly becomes an unsafe integer. */
  readonly valueOf: (field: WireField, bytes: Uint8Array) => string | number | boolean | Problem;
}

const TWO_32 = 4_294_967_296;
const SIGN = 2_147_483_648;

const unsigned64 = ({ low, high }: WireField): number => high * TWO_32 + low;
const signed64 = ({ low, high }: WireField): number => (high | 0) * TWO_32 + low;
const zigzag64 = ({ low, high }: WireField): number => {
  const mask = -(low & 1);
  return ((high >>> 1) ^ mask) * TWO_32 + ((((low >>> 1) | (high << 31)) ^ mask) >>> 0);
};
/** Decoders truncate a value beyond 32 bits. */
const wider: Problem = { problem: 'has more than 32 bits' };
const unsigned32 = ({ low, high }: WireField): number | Problem => (high === 0 ? low : wider);
const signed32 = ({ low, high }: WireField): number | Problem =>
  high === (low >= SIGN ? TWO_32 - 1 : 0) ? low | 0 : wider;
const zigzag32 = ({ low, high }: WireField): number | Problem => (high === 0 ? (low >>> 1) ^ -(low & 1) : wider);

const integer = (wireType: number, valueOf: Scalar['valueOf']): Scalar => ({
  wireType,
  fits: ['long'],
  zero: 0,
  valueOf,
});
const none = (wireType: number): Scalar => ({ wireType, fits: [], zero: '', valueOf: () => '' });

function bool({ low, high }: WireField): boolean | Problem {
  return high === 0 && low <= 1 ? low === 1 : { problem: 'is neither `true` nor `false`' };
}

function double({ from }: WireField, bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat64(from, true);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function text({ from, to }: WireField, bytes: Uint8Array): string | Problem {
  try {
    return utf8.decode(bytes.subarray(from, to));
  } catch {
    return { problem: 'must be UTF-8' };
  }
}

/**
 * All field types. A `float` cannot be an argument, because its nearest decimal differs from what was sent. An enum is its
 * number.
 */
export const scalars: Readonly<Record<FieldKind, Scalar>> = {
  double: { wireType: FIXED64, fits: ['decimal'], zero: 0, valueOf: double },
  float: none(FIXED32),
  int64: integer(VARINT, signed64),
  uint64: integer(VARINT, unsigned64),
  int32: integer(VARINT, signed32),
  fixed64: integer(FIXED64, unsigned64),
  fixed32: integer(FIXED32, unsigned32),
  bool: { wireType: VARINT, fits: ['bool'], zero: false, valueOf: bool },
  string: { wireType: LENGTH_DELIMITED, fits: ['string', 'decimal'], zero: '', valueOf: text },
  group: none(3),
  message: none(LENGTH_DELIMITED),
  bytes: none(LENGTH_DELIMITED),
  uint32: integer(VARINT, unsigned32),
  enum: { wireType: VARINT, fits: ['string'], zero: 0, valueOf: signed32 },
  sfixed32: integer(FIXED32, ({ low }) => low | 0),
  sfixed64: integer(FIXED64, signed64),
  sint32: integer(VARINT, zigzag32),
  sint64: integer(VARINT, zigzag64),
};

/**
 * Why decoders can disagree about a field that is neither a message nor an argument, as a clause; `null` if they cannot.
 * Some decoders truncate a number with more bits than its type has, others lose their place in the message. The same holds for
 * packed numbers that do not end at the end of their field. Text and bytes are not checked.
 */
export function strayProblem(field: WireField, bytes: Uint8Array, { wireType, valueOf }: Scalar): string | null {
  if (wireType === LENGTH_DELIMITED) return null;
  if (field.wireType === LENGTH_DELIMITED) return packedProblem(field, bytes, { wireType, valueOf });
  const value = wireType === VARINT ? valueOf(field, bytes) : 0;
  return isProblem(value) ? value.problem : null;
}

function packedProblem(
  field: WireField,
  bytes: Uint8Array,
  { wireType, valueOf }: Pick<Scalar, 'wireType' | 'valueOf'>,
): string | null {
  const width = wireType === FIXED64 ? 8 : 4;
  if (wireType !== VARINT) return (field.to - field.from) % width === 0 ? null : 'ends within a number';
  // One reused object: there can be a number per byte.
  const number: { -readonly [Key in keyof WireField]: WireField[Key] } = { ...field };
  return eachVarint(bytes, field, (low, high) => {
    number.low = low;
    number.high = high;
    const value = valueOf(number, bytes);
    return isProblem(value) ? value.problem : null;
  });
}
