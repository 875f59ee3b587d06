import { type ByteRange, type FieldReaders, fieldReaders, readDelimited } from '../../../core/protobuf/reader.ts';
import { WireReader } from '../wire-reader.ts';

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

/**
 * Splits a message into entries without parsing them: an empty entry of two bytes would become an object of hundreds. At most
 * 4,096 entries.
 *
 * @param bytes a serialised `StreamAccessLogsMessage`
 * @see proto/envoy/service/accesslog/v3/als.proto
 */
export function logMessageFrom(bytes: Buffer): AccessLogMessage | { readonly problem: string } {
  const found: ReadLogs = { name: 'an Envoy', entries: [], count: 0 };
  const reader = new WireReader(bytes);
  reader.whole(logMessage, found);
  if (reader.problem !== null) return NO_ACCESS_LOG_MESSAGE;
  if (found.count > MAX_ENTRIES) return { problem: `a message has more than ${MAX_ENTRIES} entries` };
  return { name: found.name, bytes, entries: found.entries };
}

interface ReadLogs {
  name: string;
  readonly entries: ByteRange[];
  count: number;
}

/** A message of which a single field is read. */
const within = (
  field: number,
  slot: number | null,
  read: (found: ReadLogs, reader: WireReader) => void,
): FieldReaders<ReadLogs, WireReader> => fieldReaders({ [field]: readDelimited(slot, read) });

const httpLogs = within(1, null, (found, reader) => {
  const entry = reader.made((_bytes, from, to) => ({ from, to }));
  found.count += 1;
  if (found.count <= MAX_ENTRIES) found.entries.push(entry);
});

const node = within(1, 1, (found, reader) => {
  found.name = reader.made(nameFrom);
});
const identifier = within(1, 1, (found, reader) => void reader.message(node, found));

const logMessage: FieldReaders<ReadLogs, WireReader> = fieldReaders({
  1: readDelimited(1, (found, reader) => void reader.message(identifier, found)),
  2: readDelimited(null, (found, reader) => void reader.message(httpLogs, found)),
});

function nameFrom(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString('latin1', from, Math.min(to, from + MAX_NAME_CHARS));
  return `\`${text.replaceAll(/[^\x21-\x7e]/g, '?')}\``;
}
