import { fieldsWithin, wholeOf } from './wire-fields.ts';

/** The fields that lead from a CheckRequest to its headers, as in proto/envoy/service/auth/v3. */
const ATTRIBUTES = 1;
const REQUEST = 4;
const HTTP = 2;
const HEADERS = 3;
const HEADER_MAP = 13;
const HEADER_MAP_ENTRIES = 1;

/**
 * How many headers a serialised CheckRequest has, in either shape, counted without decoding it: an entry of two bytes
 * becomes an object of hundreds, so the number is bounded before any is made. Bytes that are no message count as many as
 * were met; the codec refuses them.
 */
export function headerCountOf(bytes: Uint8Array): number {
  let count = 0;
  fieldsWithin(bytes, wholeOf(bytes), ATTRIBUTES, (attributes) => {
    fieldsWithin(bytes, attributes, REQUEST, (request) => {
      fieldsWithin(bytes, request, HTTP, (http) => {
        fieldsWithin(bytes, http, HEADERS, () => (count += 1));
        fieldsWithin(bytes, http, HEADER_MAP, (map) => {
          fieldsWithin(bytes, map, HEADER_MAP_ENTRIES, () => (count += 1));
        });
      });
    });
  });
  return count;
}
