import { fieldsBy } from '../../protobuf/writer.ts';
import type { ProtobufWriter } from '../../protobuf/writer.ts';

/**
 * A cached attribute: its encoded name and its last value. Names come from this program, its variables at start, or the catalog.
 */
interface Kept {
  readonly key: Uint8Array;
  value: unknown;
  /** The encoded KeyValue of that value, made when the value comes twice in a row; `null` before. */
  written: Uint8Array | null;
}

/** By name. Most attributes of a check have the same value as in the previous check. INVARIANT: an emitted array never changes. */
const kept = new Map<string, Kept>();

/** Most names whose values are kept: catalogs that are loaded one after another can have any number of arguments. */
const MAX_KEPT = 512;

/**
 * Writes attributes as fields of an OTLP message. A value other than text, boolean, number or array of these becomes empty.
 *
 * @see opentelemetry/proto/common/v1/common.proto, KeyValue
 */
export const attributesOf =
  (into: ProtobufWriter, field: number) =>
  (name: string, value: unknown): void => {
    const last = kept.get(name) ?? keptAs(name);
    if (last.value === value) {
      last.written ??= keyValueOf(last.key, value);
      return into.bytesField(field, last.written);
    }
    last.value = value;
    last.written = null;
    const start = into.open(field);
    writeKeyValue(into, last.key, value);
    into.close(start);
  };

function keptAs(name: string): Kept {
  const made = { key: fieldsBy((into) => into.text(1, name)), value: undefined, written: null };
  if (kept.size < MAX_KEPT) kept.set(name, made);
  return made;
}

const keyValueOf = (key: Uint8Array, value: unknown): Uint8Array => fieldsBy((into) => writeKeyValue(into, key, value));

function writeKeyValue(into: ProtobufWriter, key: Uint8Array, value: unknown): void {
  into.raw(key);
  writeValue(into, 2, value);
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
