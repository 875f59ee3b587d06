import { ScalarType, type DescField, type DescMessage } from '@bufbuild/protobuf';
import { eachField } from '../../../protobuf/fields.ts';
import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from '../../../protobuf/wire-type.ts';
import type { ByteRange } from '../../../protobuf/reader.ts';
import type { WireField } from '../../../protobuf/fields.ts';

/** Deepest nesting of messages. */
const MAX_DEPTH = 64;

/**
 * Finds what decoders read differently in a message or a nested message; returns it as a clause, or `null`. Refuses what `eachField`
 * refuses, a known field with another wire type, a repeated singular field, groups, and more than 64 levels. Unknown fields are
 * skipped by their length. Linear time; never throws.
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

/** Repeated numbers can be packed or not, whatever the schema says. */
function isInWireType(field: DescField, { wireType }: WireField): boolean {
  const own = field.enum === undefined ? wireTypeOf(field.scalar) : VARINT;
  return wireType === own || (field.fieldKind === 'list' && wireType === LENGTH_DELIMITED);
}

/** Wire types of scalars; varint for all others. */
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
