import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';
import { eachField } from '../../protobuf/fields.ts';
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from '../../protobuf/wire-type.ts';
import type { ByteRange } from '../../protobuf/reader.ts';
import type { WireField } from '../../protobuf/fields.ts';

/** Messages in messages. */
const MAX_DEPTH = 64;

/**
 * What is wrong with the bytes of a message, as a clause without its subject, or `null`: what decoders read in different ways, in it
 * and in each message below. Refused are what `eachField` refuses, a known field in another wire type, a singular one twice, groups,
 * and more than 64 levels. A field that the type does not have is passed over by its length. Linear in the bytes; never throws.
 */
export function scanProblem(
  bytes: Uint8Array,
  type: DescMessage,
  range: ByteRange = { from: 0, to: bytes.length },
  depth = 0,
): string | null {
  if (depth > MAX_DEPTH) return `nests deeper than ${MAX_DEPTH}`;
  const known = fieldsOf(type);
  const seen = new Set<DescField>();
  return eachField(bytes, range, (found) => {
    const field = known.get(found.number);
    if (field === undefined) return null;
    if (!isInWireType(field, found)) return `has the field \`${field.name}\` in another wire type`;
    if (field.fieldKind !== 'list' && seen.has(field)) return `has the field \`${field.name}\` twice`;
    seen.add(field);
    return field.message === undefined ? null : scanProblem(bytes, field.message, found, depth + 1);
  });
}

const byType = new WeakMap<DescMessage, ReadonlyMap<number, DescField>>();

function fieldsOf(type: DescMessage): ReadonlyMap<number, DescField> {
  const known = byType.get(type) ?? new Map(type.fields.map((field) => [field.number, field]));
  byType.set(type, known);
  return known;
}

/** A list of numbers may come packed or not, whatever the schema says. */
function isInWireType(field: DescField, { wireType }: WireField): boolean {
  const own = field.enum === undefined ? wireTypeOf(field.scalar) : VARINT;
  return wireType === own || (field.fieldKind === 'list' && wireType === LENGTH_DELIMITED);
}

/** Those that are no varint. */
const WIRE_TYPES: ReadonlyMap<ScalarType, number> = new Map([
  [ScalarType.STRING, LENGTH_DELIMITED],
  [ScalarType.BYTES, LENGTH_DELIMITED],
  [ScalarType.DOUBLE, FIXED64],
  [ScalarType.FIXED64, FIXED64],
  [ScalarType.SFIXED64, FIXED64],
  [ScalarType.FLOAT, FIXED32],
  [ScalarType.FIXED32, FIXED32],
  [ScalarType.SFIXED32, FIXED32],
]);

/** `undefined` is a message. */
const wireTypeOf = (scalar: ScalarType | undefined): number =>
  scalar === undefined ? LENGTH_DELIMITED : (WIRE_TYPES.get(scalar) ?? VARINT);
