import { eachField, LENGTH_DELIMITED, VARINT } from './wire.ts';
import type { BytesRange, WireField } from './wire.ts';

/** Bytes that are read message by message, and what is wrong with them. */
export interface FieldReading {
  readonly bytes: Uint8Array;
  /** The first one, as a clause without its subject. */
  problem: string | null;
}

/** The fields of one message by number, each in the order in which they stand. */
export type MessageFields = ReadonlyMap<number, readonly WireField[]>;

/** The fields of a message; what was met of one that is none, with the problem written into `reading`. */
export function fieldsIn(reading: FieldReading, range: BytesRange): MessageFields {
  const fields = new Map<number, WireField[]>();
  const problem = eachField(reading.bytes, range, (field) => {
    const known = fields.get(field.number);
    if (known === undefined) fields.set(field.number, [field]);
    else known.push(field);
    return null;
  });
  reading.problem ??= problem;
  return fields;
}

/** Every message at a number. */
export const messagesAt = (fields: MessageFields, number: number): readonly BytesRange[] =>
  (fields.get(number) ?? []).filter((field) => field.wireType === LENGTH_DELIMITED);

/** The fields of the one message that is at `number`; none where it is absent. */
export function within(reading: FieldReading, fields: MessageFields, number: number): MessageFields {
  const range = messagesAt(fields, number).at(-1);
  return range === undefined ? new Map() : fieldsIn(reading, range);
}

const utf8 = new TextDecoder();

/** The text at a number, the last one; `''` where it is absent. */
export function textAt(reading: FieldReading, fields: MessageFields, number: number): string {
  const range = messagesAt(fields, number).at(-1);
  return range === undefined ? '' : utf8.decode(reading.bytes.subarray(range.from, range.to));
}

/** A number of 32 bits with a sign; `null` where it is absent. */
export function numberAt(fields: MessageFields, number: number): number | null {
  const field = fields.get(number)?.at(-1);
  return field?.wireType === VARINT ? field.low | 0 : null;
}
