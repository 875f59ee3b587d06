import { fieldsWithin, wholeNumberOf, type ByteRange } from './wire-fields.ts';

/** A message of the access log service. */
export interface AccessLogMessage {
  /** The log's name, sent in the first message of a stream only. */
  readonly name: string;
  readonly bytes: Buffer;
  /** The range of each entry in the bytes. */
  readonly entries: readonly ByteRange[];
}

/** The problem of bytes that are not such a message. */
export const NO_ACCESS_LOG_MESSAGE = { problem: 'not a message of an access log' };

/** Most entries per message; a real entry has hundreds of bytes. */
const MAX_ENTRIES = 4_096;
const MAX_NAME_CHARS = 128;

/** Field numbers of `StreamAccessLogsMessage`. */
const IDENTIFIER = 1;
const HTTP_LOGS = 2;
const LOG_ENTRY = 1;
const NODE = 1;
const NODE_ID = 1;

/**
 * Splits a message into entries without parsing them: an empty entry of two bytes would become an object of hundreds. At most
 * 4,096 entries.
 *
 * @param bytes a serialised `StreamAccessLogsMessage`
 * @see proto/envoy/service/accesslog/v3/als.proto
 */
export function logMessageFrom(bytes: Buffer): AccessLogMessage | { readonly problem: string } {
  const entries: ByteRange[] = [];
  let count = 0;
  let name = 'an Envoy';
  let isWhole = true;
  const found = (entry: ByteRange): void => {
    count += 1;
    if (count <= MAX_ENTRIES) entries.push(entry);
  };
  const walked = fieldsWithin(bytes, wholeNumberOf(bytes), HTTP_LOGS, (logs) => {
    isWhole = fieldsWithin(bytes, logs, LOG_ENTRY, found) && isWhole;
  });
  if (!walked || !isWhole) return NO_ACCESS_LOG_MESSAGE;
  if (count > MAX_ENTRIES) return { problem: `a message has more than ${MAX_ENTRIES} entries` };
  fieldsWithin(bytes, wholeNumberOf(bytes), IDENTIFIER, (identifier) => {
    fieldsWithin(bytes, identifier, NODE, (node) => {
      fieldsWithin(bytes, node, NODE_ID, (id) => (name = nameFrom(bytes, id)));
    });
  });
  return { name, bytes, entries };
}

const nameFrom = (bytes: Buffer, { from, to }: ByteRange): string =>
  `\`${bytes.toString('latin1', from, Math.min(to, from + MAX_NAME_CHARS)).replaceAll(/[^\x21-\x7e]/g, '?')}\``;
