import { type Deny, deny } from '../decision/decision.ts';
import { Remembered } from '../remembered.ts';
import { type HeaderLine, headerLineFrom } from './header-line.ts';
import { ownCopyOf } from './own-copy.ts';
import { utf8From } from './utf8.ts';
import { delimited, type Fields, fieldsOf, WireReader } from './wire-reader.ts';

/** A `HeaderValue` as the message has it: absent fields are absent. */
export interface HeaderFields {
  readonly key?: string;
  readonly value?: string;
  readonly raw_value?: Buffer;
}

/** A header as it was decoded, with what it says, which is looked at once. */
export class DecodedHeader implements HeaderFields {
  declare readonly key?: string;
  declare readonly value?: string;
  declare readonly raw_value?: Buffer;
  #line: HeaderLine | Deny | null = null;

  constructor(fields: HeaderFields) {
    Object.assign(this, fields);
  }

  /** The header as a line, or why it is none. */
  get line(): HeaderLine | Deny {
    this.#line ??= lineOf(this);
    return this.#line;
  }
}

function lineOf({ key = '', value = '', raw_value: raw }: HeaderFields): HeaderLine | Deny {
  if (raw === undefined || raw.length === 0) return headerLineFrom(key, value);
  if (value !== '') return deny('request.malformed', 'a header has two values');
  const text = utf8From(raw);
  return text === null ? deny('request.not-canonical', 'a header value is not UTF-8') : headerLineFrom(key, text);
}

type Writable = { -readonly [K in keyof HeaderFields]: HeaderFields[K] };

const fields: Fields<Writable, WireReader> = fieldsOf({
  1: delimited(1, (target: Writable, reader: WireReader) => void (target.key = reader.text())),
  2: delimited(2, (target: Writable, reader: WireReader) => void (target.value = reader.text())),
  3: delimited(3, (target: Writable, reader: WireReader) => void (target.raw_value = reader.raw())),
});

/**
 * Of the headers that calls have most are the same from call to call, those of credentials too: what is remembered of these is what
 * the process holds all the same while they are used.
 */
const remembered = new Remembered<DecodedHeader>({ maxKeys: 8_192, maxChars: 4_194_304, maxKeyChars: 4_096 });

/** They are another one in every call, so that even to look for one costs more than it brings: V8 keeps each text that is looked for. */
const UNIQUE = ['traceparent', 'tracestate', 'x-request-id', 'dpop'];
/** How the bytes of theirs begin: with their name, as Envoy writes it. */
const UNIQUE_BEGINNINGS = UNIQUE.map((name) => Buffer.concat([Buffer.of(10, name.length), Buffer.from(name)]));

function isUnique(bytes: Buffer, from: number): boolean {
  for (const beginning of UNIQUE_BEGINNINGS) if (isAt(bytes, from, beginning)) return true;
  return false;
}

function isAt(bytes: Buffer, from: number, beginning: Buffer): boolean {
  for (let at = 0; at < beginning.length; at += 1) if (bytes[from + at] !== beginning[at]) return false;
  return true;
}

/**
 * The header in the bytes of a `HeaderValue`; what is wrong with them where they are none. The same object for the same bytes, as
 * long as they are remembered.
 *
 * @param bytes hold more, which the header of a call refers to; what is remembered does not
 */
export function decodedHeaderFrom(bytes: Buffer, from: number, to: number): DecodedHeader | Deny {
  const text = isUnique(bytes, from) ? null : bytes.toString('latin1', from, to);
  const known = text === null ? undefined : remembered.get(text);
  if (known !== undefined) return known;
  const reader = new WireReader(bytes, { from, to });
  const read: Writable = reader.whole(fields, {});
  if (reader.problem !== null) return reader.problem;
  if (text === null) return new DecodedHeader(read);
  const raw = read.raw_value;
  const header = new DecodedHeader(raw === undefined ? read : { ...read, raw_value: ownCopyOf(raw) });
  remembered.set(text, header);
  return header;
}
