import { fieldsWithin, wholeOf } from './wire-fields.ts';
import type { Range } from './wire-fields.ts';

/** The fields that lead from a CheckRequest to the metadata in it, as in proto/envoy/service/auth/v3. */
const ATTRIBUTES = 1;
const METADATA = [11, 13];
/** The structs and the typed ones of a core.v3.Metadata, both maps. */
const NAMESPACES = [1, 2];
const MAP_VALUE = 2;
/** google.protobuf.Struct, Value and ListValue. */
const STRUCT_FIELDS = 1;
const STRUCT_VALUE = 5;
const LIST_VALUE = 6;
const LIST_VALUES = 1;

/**
 * How many values the metadata of a serialised CheckRequest has, at any depth, counted without decoding it and up to one
 * more than `most`: a filter that copies a message into its metadata makes hundreds of bytes of each empty object in it.
 */
export function metadataCountOf(bytes: Uint8Array, most: number): number {
  const counter = { bytes, most, count: 0 };
  fieldsWithin(bytes, wholeOf(bytes), ATTRIBUTES, (attributes) => {
    for (const field of METADATA) {
      fieldsWithin(bytes, attributes, field, (metadata) => {
        for (const map of NAMESPACES) {
          fieldsWithin(bytes, metadata, map, (entry) => {
            if (!counted(counter)) return;
            fieldsWithin(bytes, entry, MAP_VALUE, (struct) => countStruct(counter, struct));
          });
        }
      });
    }
  });
  return counter.count;
}

interface Counter {
  readonly bytes: Uint8Array;
  readonly most: number;
  count: number;
}

/** Counts one more; whether there is a reason to look into it. So the depth is bounded as the number is. */
function counted(counter: Counter): boolean {
  if (counter.count > counter.most) return false;
  counter.count += 1;
  return counter.count <= counter.most;
}

function countStruct(counter: Counter, struct: Range): void {
  fieldsWithin(counter.bytes, struct, STRUCT_FIELDS, (entry) => {
    if (!counted(counter)) return;
    fieldsWithin(counter.bytes, entry, MAP_VALUE, (value) => countValue(counter, value));
  });
}

function countValue(counter: Counter, value: Range): void {
  fieldsWithin(counter.bytes, value, STRUCT_VALUE, (struct) => countStruct(counter, struct));
  fieldsWithin(counter.bytes, value, LIST_VALUE, (list) => {
    fieldsWithin(counter.bytes, list, LIST_VALUES, (item) => {
      if (counted(counter)) countValue(counter, item);
    });
  });
}
