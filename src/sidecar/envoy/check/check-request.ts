import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
import {
  readDelimited,
  type FieldReaders,
  fieldReaders,
  fixed64,
  varint,
  type WireFault,
} from '../../../core/protobuf/reader.ts';
import type { BeganAt } from '../grpc/call-name.ts';
import { type DecodedHeader, decodedHeaderFrom } from './decoded-header.ts';
import { MESSAGE_LIMITS } from '../limits.ts';
import { type DecodedMetadata, type DecodedStruct, type DecodedValue, MCP_NAMESPACES } from './mcp-metadata.ts';
import { CERTIFICATE_NAMESPACE } from './peer-certificate.ts';
import { WireReader } from '../wire-reader.ts';

/** The used fields of a CheckRequest. Absent fields are absent, as in the message. */
export interface DecodedCheckRequest {
  readonly attributes?: DecodedAttributes;
}

interface DecodedAttributes {
  readonly source?: DecodedPeer;
  readonly request?: { readonly time?: Partial<BeganAt>; readonly http?: DecodedHttpRequest };
  readonly metadata_context?: { readonly filter_metadata?: DecodedMetadata };
}

interface DecodedPeer {
  readonly principal?: string;
  readonly certificate?: string;
  readonly address?: { readonly socket_address?: { readonly address?: string; readonly port_value?: number } };
}

/** The request that Envoy asks about. */
export interface DecodedHttpRequest {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly scheme?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly header_map?: { readonly headers?: readonly DecodedHeader[] };
  readonly size?: number;
  readonly body?: string;
  readonly raw_body?: Buffer;
}

/**
 * Decodes the used fields of a CheckRequest and skips the others, which are most of it. One pass, with limits checked before
 * objects are created. Denies with `request.malformed` bytes that are not a message or that two decoders would read
 * differently; `request.not-canonical` text that is not UTF-8; `request.too-large` more than 256 headers, or 512 values of
 * metadata. Never throws.
 *
 * @param bytes a serialised CheckRequest, within the server's limit; the result refers to it
 * @see proto/envoy/service/auth/v3/attribute_context.proto
 */
export function decodedCheckRequestFrom(bytes: Uint8Array): DecodedCheckRequest | UnreadMessage {
  const reader = new RequestReader(bytes);
  const request = reader.whole(checkRequest, {});
  const { problem, unreadText } = reader;
  if (problem !== null) return reader.hasTooManyValues ? { ...problem, rest: request } : problem;
  return unreadText === null ? request : { ...unreadText, rest: request };
}

/** Why a message could not be decoded. */
export interface UnreadMessage extends Deny {
  /** What could be decoded, if only a text or its metadata could not. Such a text is empty. */
  readonly rest?: DecodedCheckRequest;
}

class RequestReader extends WireReader {
  #headers = 0;
  #values = 0;
  #unreadText: Deny | null = null;

  /** The problem of a text that is not UTF-8. Reading continues, for what the rest of the message shows. */
  get unreadText(): Deny | null {
    return this.#unreadText;
  }

  override broken(fault: WireFault): void {
    if (fault === 'not-utf8') this.#unreadText = deny('request.not-canonical', 'a text of the request is not UTF-8');
    else super.broken(fault);
  }

  /** Whether the message has too many metadata values, which come after the request: the rest of it was read. */
  get hasTooManyValues(): boolean {
    return this.#values > MESSAGE_LIMITS.metadataValues;
  }

  /** Counts a header in either form. Returns whether the limit allows it. */
  isHeaderWithin(): boolean {
    this.#headers += 1;
    if (this.#headers <= MESSAGE_LIMITS.headers) return true;
    this.fail(deny('request.too-large', `the request has more than ${MESSAGE_LIMITS.headers} headers`));
    return false;
  }

  /** Counts a metadata value at any depth, which bounds depth as well as number. */
  isValueWithin(): boolean {
    this.#values += 1;
    if (this.#values <= MESSAGE_LIMITS.metadataValues) return true;
    this.fail(
      deny('request.too-large', `the request has more than ${MESSAGE_LIMITS.metadataValues} values of metadata`),
    );
    return false;
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Target<T> = FieldReaders<Writable<T>, RequestReader>;

/** The parts of a map entry; absent parts have the default, as in protobuf. */
interface Entry<V> {
  key: string;
  value: V;
}

/** Adds to a map with untrusted names: it has no prototype. */
function add<V>(reader: RequestReader, map: Readonly<Record<string, V>> | undefined, { key, value }: Entry<V>) {
  const entries: Record<string, V> = map ?? Object.create(null);
  if (key in entries) reader.malformed('a map has a key twice');
  entries[key] = value;
  return entries;
}

const textEntry: FieldReaders<Entry<string>, RequestReader> = fieldReaders({
  1: readDelimited(1, (entry, reader) => void (entry.key = reader.text())),
  2: readDelimited(2, (entry, reader) => void (entry.value = reader.text())),
});

/** The namespaces of metadata that are read. */
const READ_NAMESPACES: ReadonlySet<string> = new Set([...MCP_NAMESPACES, CERTIFICATE_NAMESPACE]);

const structEntry: FieldReaders<Entry<DecodedStruct>, RequestReader> = fieldReaders({
  1: readDelimited(1, (entry, reader) => void (entry.key = reader.text())),
  2: readDelimited(2, (entry, reader) => {
    // The namespace decides whether its value is read; values of other filters never are.
    if (entry.key === '') reader.malformed('a map has a value before its key');
    else if (READ_NAMESPACES.has(entry.key)) entry.value = reader.message(struct, {});
    else reader.pass();
  }),
});

const valueEntry: FieldReaders<Entry<DecodedValue>, RequestReader> = fieldReaders({
  1: readDelimited(1, (entry, reader) => void (entry.key = reader.text())),
  2: readDelimited(2, (entry, reader) => void (entry.value = reader.message(value, {}))),
});

const struct: Target<DecodedStruct> = fieldReaders({
  1: readDelimited(null, (target, reader) => {
    if (!reader.isValueWithin()) return;
    target.fields = add(reader, target.fields, reader.message(valueEntry, { key: '', value: {} }));
  }),
});

/** The members of a `oneof` share a slot. */
const value: Target<DecodedValue> = fieldReaders({
  1: varint(0, (target, reader) => void (target.nullValue = reader.uint32())),
  2: fixed64(0, (target, reader) => void (target.numberValue = reader.double())),
  3: readDelimited(0, (target, reader) => void (target.stringValue = reader.text())),
  4: varint(0, (target, reader) => void (target.boolValue = reader.uint32() !== 0)),
  5: readDelimited(0, (target, reader) => void (target.structValue = reader.message(struct, {}))),
  // Only its presence matters.
  6: readDelimited(0, (target, reader) => {
    reader.pass();
    target.listValue = true;
  }),
});

const metadata: Target<NonNullable<DecodedAttributes['metadata_context']>> = fieldReaders({
  1: readDelimited(null, (target, reader) => {
    if (!reader.isValueWithin()) return;
    const entry = reader.message(structEntry, { key: '', value: {} });
    if (READ_NAMESPACES.has(entry.key)) target.filter_metadata = add(reader, target.filter_metadata, entry);
  }),
});

const headerMap: FieldReaders<{ headers?: DecodedHeader[] }, RequestReader> = fieldReaders({
  1: readDelimited(null, (target, reader) => {
    if (!reader.isHeaderWithin()) return;
    const header = reader.made(decodedHeaderFrom);
    if (isDeny(header)) reader.fail(header);
    else (target.headers ??= []).push(header);
  }),
});

const http: Target<DecodedHttpRequest> = fieldReaders({
  2: readDelimited(2, (target, reader) => void (target.method = reader.text())),
  3: readDelimited(null, (target, reader) => {
    if (!reader.isHeaderWithin()) return;
    target.headers = add(reader, target.headers, reader.message(textEntry, { key: '', value: '' }));
  }),
  4: readDelimited(4, (target, reader) => void (target.path = reader.text())),
  5: readDelimited(5, (target, reader) => void (target.host = reader.text())),
  6: readDelimited(6, (target, reader) => void (target.scheme = reader.text())),
  9: varint(9, (target, reader) => void (target.size = reader.int64())),
  11: readDelimited(11, (target, reader) => void (target.body = reader.text())),
  12: readDelimited(12, (target, reader) => void (target.raw_body = reader.raw())),
  13: readDelimited(13, (target, reader) => void (target.header_map = reader.message(headerMap, {}))),
});

const beganAt: Target<Partial<BeganAt>> = fieldReaders({
  1: varint(1, (target, reader) => void (target.seconds = reader.int64())),
  2: varint(2, (target, reader) => void (target.nanos = reader.uint32() | 0)),
});

const request: Target<NonNullable<DecodedAttributes['request']>> = fieldReaders({
  1: readDelimited(1, (target, reader) => void (target.time = reader.message(beganAt, {}))),
  2: readDelimited(2, (target, reader) => void (target.http = reader.message(http, {}))),
});

const socketAddress: Target<NonNullable<NonNullable<DecodedPeer['address']>['socket_address']>> = fieldReaders({
  2: readDelimited(2, (target, reader) => void (target.address = reader.text())),
  3: varint(3, (target, reader) => void (target.port_value = reader.uint32())),
});

const address: Target<NonNullable<DecodedPeer['address']>> = fieldReaders({
  1: readDelimited(1, (target, reader) => void (target.socket_address = reader.message(socketAddress, {}))),
});

const peer: Target<DecodedPeer> = fieldReaders({
  1: readDelimited(1, (target, reader) => void (target.address = reader.message(address, {}))),
  4: readDelimited(4, (target, reader) => void (target.principal = reader.text())),
  5: readDelimited(5, (target, reader) => void (target.certificate = reader.text())),
});

const attributes: Target<DecodedAttributes> = fieldReaders({
  1: readDelimited(1, (target, reader) => void (target.source = reader.message(peer, {}))),
  4: readDelimited(4, (target, reader) => void (target.request = reader.message(request, {}))),
  11: readDelimited(11, (target, reader) => void (target.metadata_context = reader.message(metadata, {}))),
});

const checkRequest: Target<DecodedCheckRequest> = fieldReaders({
  1: readDelimited(1, (target, reader) => void (target.attributes = reader.message(attributes, {}))),
});
