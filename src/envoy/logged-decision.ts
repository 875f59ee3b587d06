import { isUuid } from '../decision/uuid.ts';
import type { LoggedDecision } from '../outcome/served-call.ts';
import { fieldsWithin, wholeOf, type Range } from './wire-fields.ts';

/** Where Envoy puts what the answer to a check said. @see https://github.com/envoyproxy/envoy ext_authz, dynamic metadata */
const NAMESPACE = 'envoy.filters.http.ext_authz';

/** Of our own namespace of the metadata; `envoy/response.ts` writes fewer, and Envoy adds one. */
const MAX_VALUES = 16;
const MAX_KEY_BYTES = 64;

/** The numbers of the fields that lead to a text of the metadata. */
const COMMON = 1;
const METADATA = 17;
const FILTER_METADATA = 1;
const MAP_KEY = 1;
const MAP_VALUE = 2;
const STRUCT_FIELDS = 1;
const STRING_VALUE = 3;

/**
 * The decision in the metadata of an access log entry, found without decoding the entry; `null` where there is none, and where
 * what there is has no id of ours.
 *
 * @param bytes a serialised `HTTPAccessLogEntry`
 */
export function loggedDecisionFrom(bytes: Buffer): LoggedDecision | null {
  const values = ourMetadata(bytes);
  const id = uuidOf(values.get('decision_id'));
  const kind = values.get('decision');
  if (id === null) return null;
  return {
    id,
    kind: kind === 'allow' || kind === 'deny' ? kind : null,
    task: uuidOf(values.get('task_id')),
    agent: plain(values.get('agent')),
    action: plain(values.get('action')),
  };
}

/** The texts in our namespace, read where they stand: what other filters wrote may be large and deep. */
function ourMetadata(bytes: Buffer): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const add = (key: string, value: Range): void => {
    fieldsWithin(bytes, value, STRING_VALUE, ({ from, to }) => void values.set(key, bytes.toString('utf8', from, to)));
  };
  const namespaceFound = (name: string, struct: Range): void => {
    if (name !== NAMESPACE) return;
    fieldsWithin(bytes, struct, STRUCT_FIELDS, (field) => {
      if (values.size < MAX_VALUES) mapEntry(bytes, field, add);
    });
  };
  fieldsWithin(bytes, wholeOf(bytes), COMMON, (common) => {
    fieldsWithin(bytes, common, METADATA, (metadata) => {
      fieldsWithin(bytes, metadata, FILTER_METADATA, (entry) => mapEntry(bytes, entry, namespaceFound));
    });
  });
  return values;
}

/** Calls back with the key and the value of an entry of a protobuf map; a key that is too long is none. */
function mapEntry(bytes: Buffer, entry: Range, found: (key: string, value: Range) => void): void {
  let key = '';
  fieldsWithin(bytes, entry, MAP_KEY, ({ from, to }) => {
    key = to - from > MAX_KEY_BYTES ? '' : bytes.toString('latin1', from, to);
  });
  fieldsWithin(bytes, entry, MAP_VALUE, (value) => found(key, value));
}

/** Text as it is in the answer to a check, which has no other characters; see `envoy/response.ts`. */
export const plain = (text: string | undefined): string | null =>
  text !== undefined && /^[\x21-\x7e]{1,2048}$/.test(text) ? text : null;

const uuidOf = (text: string | undefined): string | null => (text !== undefined && isUuid(text) ? text : null);
