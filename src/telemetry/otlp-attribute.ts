import { fieldsBy } from '../protobuf/writer.ts';
import type { ProtobufWriter } from '../protobuf/writer.ts';

/** Cached field 1 of a KeyValue by name; names come from this program, or from its variables at start. */
const keys = new Map<string, Uint8Array>();

/**
 * Writes attributes as fields of an OTLP message. A value other than text, boolean, number or array of these becomes empty.
 *
 * @see opentelemetry/proto/common/v1/common.proto, KeyValue
 */
export const attributesOf =
  (into: ProtobufWriter, field: number) =>
  (name: string, value: unknown): void => {
    const start = into.open(field);
    into.raw(keys.get(name) ?? keyOf(name));
    writeValue(into, 2, value);
    into.close(start);
  };

function keyOf(name: string): Uint8Array {
  const key = fieldsBy((into) => into.text(1, name));
  keys.set(name, key);
  return key;
}

function writeValue(into: ProtobufWriter, field: number, value: unknown): void {
  const start = into.open(field);
  if (typeof value === 'string') into.text(1, value);
  else if (typeof value === 'boolean') into.integer(2, Number(value));
  else if (typeof value === 'number') writeNumber(into, value);
  else if (Array.isArray(value)) writeArray(into, value);
  into.close(start);
}

function writeNumber(into: ProtobufWriter, value: number): void {
  if (Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63) into.integer(3, value);
  else into.double(4, value);
}

function writeArray(into: ProtobufWriter, values: readonly unknown[]): void {
  const start = into.open(5);
  for (const value of values) writeValue(into, 1, value);
  into.close(start);
}
