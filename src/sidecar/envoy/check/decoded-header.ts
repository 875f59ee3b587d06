import { type Deny, deny } from '../../../core/decision/decision.ts';
import { BoundedMemo } from '../../../core/runtime/collections/bounded-memo.ts';
import { readDelimited, type FieldReaders, fieldReaders } from '../../../core/protobuf/reader.ts';
import { type HeaderLine, headerLineFrom } from './header-line.ts';
import { utf8From } from '../../../core/protobuf/utf8.ts';
import { WireReader } from '../wire-reader.ts';

/** A `HeaderValue` as in the message: absent fields are absent. */
export interface HeaderFields {
  readonly key?: string;
  readonly value?: string;
  readonly raw_value?: Buffer;
}

/** A decoded header, without reference to the message's bytes. */
export class DecodedHeader {
  /** The parsed line, or why it is invalid. */
  readonly line: HeaderLine | Deny;

  constructor(fields: HeaderFields) {
    this.line = lineOf(fields);
  }
}

function lineOf({ key = '', value = '', raw_value: raw }: HeaderFields): HeaderLine | Deny {
  if (raw === undefined || raw.length === 0) return headerLineFrom(key, value);
  if (value !== '') return deny('request.malformed', 'a header has two values');
  const text = utf8From(raw);
  return text === null ? deny('request.not-canonical', 'a header value is not UTF-8') : headerLineFrom(key, text);
}

type Writable = { -readonly [K in keyof HeaderFields]: HeaderFields[K] };

const fields: FieldReaders<Writable, WireReader> = fieldReaders({
  1: readDelimited(1, (target: Writable, reader: WireReader) => void (target.key = reader.text())),
  2: readDelimited(2, (target: Writable, reader: WireReader) => void (target.value = reader.text())),
  3: readDelimited(3, (target: Writable, reader: WireReader) => void (target.raw_value = reader.raw())),
});

/**
 * Memoised headers: most repeat from call to call. INVARIANT: only names whose values are not credentials, because the memo
 * outlives the call.
 */
const memo = new BoundedMemo<DecodedHeader>({
  maxKeys: 8_192,
  maxChars: 4_194_304,
  maxKeyChars: 4_096,
  hasWholeKeys: true,
});

/** Headers about connection, client, content and caller. No paths: they can contain keys. */
const REMEMBERED_NAMES = [
  ':authority',
  ':method',
  ':scheme',
  'accept',
  'accept-encoding',
  'accept-language',
  'connection',
  'content-length',
  'content-type',
  'host',
  'mcp-protocol-version',
  'te',
  'user-agent',
  'x-envoy-auth-partial-body',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-external-address',
  'x-envoy-internal',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
] as const;
/** The serialised beginnings of these headers, name included, by length. */
const BEGINNINGS = Map.groupBy(
  REMEMBERED_NAMES.map((name) => Buffer.concat([Buffer.of(10, name.length), Buffer.from(name)])),
  ({ length }) => length - 2,
);

function isRemembered(bytes: Buffer, from: number): boolean {
  for (const beginning of BEGINNINGS.get(bytes[from + 1] ?? 0) ?? []) if (isAt(bytes, from, beginning)) return true;
  return false;
}

function isAt(bytes: Buffer, from: number, beginning: Buffer): boolean {
  for (let at = 0; at < beginning.length; at += 1) if (bytes[from + at] !== beginning[at]) return false;
  return true;
}

/**
 * Decodes a `HeaderValue`, or says what is wrong with it. Returns the same object for the same bytes while it is memoised.
 *
 * @param bytes contains more; the result does not refer to it
 */
export function decodedHeaderFrom(bytes: Buffer, from: number, to: number): DecodedHeader | Deny {
  const text = isRemembered(bytes, from) ? bytes.toString('latin1', from, to) : null;
  const known = text === null ? undefined : memo.get(text);
  if (known !== undefined) return known;
  const reader = new WireReader(bytes, { from, to });
  const read: Writable = reader.whole(fields, {});
  if (reader.problem !== null) return reader.problem;
  const header = new DecodedHeader(read);
  if (text !== null) memo.set(text, header);
  return header;
}
