import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
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
  /** Its lower-case name and its values as they were sent, bytes as Latin-1, if it is invalid; `null` otherwise. */
  readonly refused: { readonly name: string; readonly values: readonly string[] } | null;

  constructor(fields: HeaderFields) {
    this.line = lineOf(fields);
    this.refused = isDeny(this.line) ? refusedFields(fields) : null;
  }
}

const refusedFields = ({ key = '', value = '', raw_value: raw }: HeaderFields): DecodedHeader['refused'] => ({
  name: key.toLowerCase(),
  values: [value, raw?.toString('latin1') ?? ''].filter((text) => text !== ''),
});

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
 * Decodes a `HeaderValue`, or says what is wrong with it.
 *
 * @param bytes contains more; the result does not refer to it
 */
export function decodedHeaderFrom(bytes: Buffer, from: number, to: number): DecodedHeader | Deny {
  const reader = new WireReader(bytes, { from, to });
  const read: Writable = reader.whole(fields, {});
  return reader.problem ?? new DecodedHeader(read);
}
