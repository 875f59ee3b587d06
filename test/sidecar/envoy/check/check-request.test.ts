import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { decodedCheckRequestFrom } from '../../../../src/sidecar/envoy/check/check-request.ts';
import { DecodedHeader, type HeaderFields } from '../../../../src/sidecar/envoy/check/decoded-header.ts';
import { MCP_NAMESPACES } from '../../../../src/sidecar/envoy/check/mcp-metadata.ts';
import { checkFactsFrom } from '../../../../src/sidecar/envoy/check/request.ts';
import { checkRequests } from '../messages.ts';
import { envoyCheckRequestType } from '../protos.ts';
import { structOf, type Plain } from '../structs.ts';

const lines = [
  { key: ':path', raw_value: Buffer.from('/') },
  { key: 'x-a', raw_value: Buffer.from('ä') },
];
const whole = envoyCheckRequestType.serialize({
  attributes: {
    source: {
      principal: 'spiffe://acme.test/planner',
      address: { socket_address: { address: '10.0.0.1', port_value: 4711 } },
    },
    request: {
      time: { seconds: 1, nanos: 2 },
      http: { id: '7', method: 'POST', path: '/', host: 'a', scheme: 'http', raw_body: Buffer.from('{}') },
    },
    metadata_context: { filter_metadata: { mcp_proxy: structOf({ id: 1, params: { name: 'n', list: ['a'] } }) } },
  },
});
const withHttp = (http: object): Buffer => envoyCheckRequestType.serialize({ attributes: { request: { http } } });
const withMetadata = (name: string, value: Readonly<Record<string, Plain>>): Buffer =>
  envoyCheckRequestType.serialize({
    attributes: { metadata_context: { filter_metadata: { [name]: structOf(value) } } },
  });

const fields = (length: number) => Object.fromEntries(Array.from({ length }, (_, n) => [`f${n}`, {}]));
/** A field of up to 127 bytes. */
const field = (number: number, ...content: readonly (number | Buffer)[]): Buffer => {
  const bytes = Buffer.concat(content.map((part) => (typeof part === 'number' ? Buffer.from([part]) : part)));
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
};
const text = (number: number, content: string): Buffer => field(number, Buffer.from(content));
const inAttributes = (...content: readonly Buffer[]): Buffer => field(1, ...content);
const inHttp = (...content: readonly Buffer[]): Buffer => inAttributes(field(4, field(2, ...content)));
const inStruct = (...content: readonly Buffer[]): Buffer =>
  inAttributes(field(11, field(1, text(1, 'mcp_proxy'), field(2, ...content))));

type Decoded = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Decoded => typeof value === 'object' && value !== null;
const only = (value: unknown, names: readonly string[]): Decoded =>
  isRecord(value) ? Object.fromEntries(names.flatMap((name) => (name in value ? [[name, value[name]]] : []))) : {};

/** Replaces the fields of each header by its parsed line. */
const asLines = (http: Decoded): Decoded => {
  const { header_map: map } = http;
  if (!isRecord(map) || !Array.isArray(map['headers'])) return http;
  return { ...http, header_map: { headers: map['headers'].map((header: HeaderFields) => new DecodedHeader(header)) } };
};

/** The codec reads a 64-bit number as an object. */
const asNumber = (name: string, message: Decoded): Decoded =>
  name in message ? { ...message, [name]: Number(String(message[name])) } : message;

/** The fields that this reader reads, from the codec's result. */
const whatIsUsed = (message: Decoded): unknown => {
  const attributes = only(message['attributes'], ['source', 'request', 'metadata_context']);
  const used: Record<string, unknown> = {};
  if (isRecord(attributes['source'])) {
    const source: Record<string, unknown> = {
      ...only(attributes['source'], ['principal', 'certificate', 'address']),
    };
    if ('address' in source) {
      const address = only(source['address'], ['socket_address']);
      source['address'] =
        'socket_address' in address
          ? { socket_address: only(address['socket_address'], ['address', 'port_value']) }
          : {};
    }
    used['source'] = source;
  }
  if (isRecord(attributes['request'])) {
    const request = only(attributes['request'], ['time', 'http']);
    const names = ['method', 'path', 'host', 'scheme', 'headers', 'header_map', 'size', 'body', 'raw_body'];
    used['request'] = {
      ...('time' in request ? { time: asNumber('seconds', only(request['time'], ['seconds', 'nanos'])) } : {}),
      ...('http' in request ? { http: asNumber('size', asLines(only(request['http'], names))) } : {}),
    };
  }
  if (isRecord(attributes['metadata_context'])) {
    const { filter_metadata: namespaces } = only(attributes['metadata_context'], ['filter_metadata']);
    const read = only(namespaces, [...MCP_NAMESPACES, 'remit']);
    used['metadata_context'] = Object.keys(read).length === 0 ? {} : { filter_metadata: listsMarked(read) };
  }
  return 'attributes' in message ? { attributes: used } : {};
};

const listsMarked = (value: unknown): unknown => {
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, name === 'listValue' ? true : listsMarked(item)]),
  );
};

/**
 * The codec's result, or `null` where it refuses. The codec ignores the wire type of known fields and then reads at the wrong offset, which
 * shows when it encodes the result again.
 */
const codecReads = (bytes: Uint8Array): Decoded | null => {
  try {
    const message = envoyCheckRequestType.deserialize(Buffer.from(bytes));
    return envoyCheckRequestType.serialize(message).equals(bytes) ? { ...message } : null;
  } catch {
    return null;
  }
};

/** The bytes with some changed, and possibly truncated. */
const changed = (original: Buffer) =>
  fc
    .tuple(
      fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { maxLength: 6 }),
      fc.nat(original.length),
      fc.boolean(),
    )
    .map(([changes, length, isCut]) => {
      const bytes = Buffer.from(original);
      for (const [at, byte] of changes) bytes[at] = byte;
      return isCut ? bytes.subarray(0, length) : bytes;
    });

describe('decodedCheckRequestFrom against the codec', () => {
  it('reads every message as the codec does', () => {
    fc.assert(
      fc.property(checkRequests, (message) => {
        const bytes = envoyCheckRequestType.serialize(message);
        expect(decodedCheckRequestFrom(new Uint8Array(bytes))).toEqual(whatIsUsed(codecReads(bytes) ?? {}));
      }),
      { numRuns: 1_000 },
    );
  });

  it('never throws, and never reads another value than the codec does', () => {
    const changedMessages = checkRequests.chain((message) => changed(envoyCheckRequestType.serialize(message)));
    const headers = changed(withHttp({ method: 'GET', header_map: { headers: lines } }));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 256 }), changed(whole), headers, changedMessages), (bytes) => {
        const request = decodedCheckRequestFrom(bytes);
        const facts = isDeny(request) ? request : checkFactsFrom(request, null);
        expect(typeof facts).toBe('object');
        if (isDeny(request)) return;
        const codec = codecReads(bytes);
        expect(codec === null ? null : request).toEqual(codec === null ? null : whatIsUsed(codec));
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('decodedCheckRequestFrom', () => {
  it.each([
    ['a length beyond the end', Buffer.from('0aff', 'hex'), 'a number is incomplete or too long'],
    ['a length beyond its message', Buffer.from('0a050a0001', 'hex'), 'a field goes beyond its message'],
    ['a part beyond its message', Buffer.from('0a020a0501020304050607', 'hex'), 'a field goes beyond its message'],
    ['a varint without end', Buffer.from('18ffffffffffffffffffffff', 'hex'), 'a number is incomplete or too long'],
    ['a length of more than 32 bits', Buffer.from('0a8080808010', 'hex'), 'a number is incomplete or too long'],
    ['an open group', Buffer.from('1b'.repeat(64), 'hex'), 'a field has an unknown wire type'],
    ['a group that is closed', Buffer.from('7b7c', 'hex'), 'a field has an unknown wire type'],
    ['an unknown wire type', Buffer.from('1e00', 'hex'), 'a field has an unknown wire type'],
    ['a field of number 0', Buffer.from('0200', 'hex'), 'a field has the number 0'],
    ['attributes as a number', Buffer.from('0801', 'hex'), 'a field has another wire type'],
    ['headers as numbers', inHttp(Buffer.from('1801', 'hex')), 'a field has another wire type'],
    ['header lines as numbers', inHttp(field(13, 0x08, 0x01)), 'a field has another wire type'],
    ['metadata as a group', inAttributes(Buffer.from('5b5c', 'hex')), 'a field has another wire type'],
    ['fields of a struct as numbers', inStruct(Buffer.from('0801', 'hex')), 'a field has another wire type'],
    ['two attributes', Buffer.concat([inAttributes(), inAttributes()]), 'a field is repeated'],
    ['two requests', inAttributes(field(4), field(4)), 'a field is repeated'],
    ['two methods', inHttp(text(2, 'GET'), text(2, 'PUT')), 'a field is repeated'],
    ['two maps of headers', inHttp(field(13), field(13)), 'a field is repeated'],
    [
      'a header twice',
      inHttp(field(3, text(1, 'a'), text(2, 'b')), field(3, text(1, 'a'), text(2, 'c'))),
      'a map has a key twice',
    ],
    [
      'a value of two kinds',
      inStruct(field(1, text(1, 'id'), field(2, 0x08, 0x00, 0x20, 0x01))),
      'a field is repeated',
    ],
    [
      'a namespace after its content',
      inAttributes(field(11, field(1, field(2), text(1, 'mcp_proxy')))),
      'a map has a value before its key',
    ],
  ])('denies %s', (_name, bytes, detail) => {
    expect(decodedCheckRequestFrom(bytes)).toEqual(
      expect.objectContaining({ reason: 'request.malformed', detail: `not a CheckRequest: ${detail}` }),
    );
  });

  it.each([
    ['the path', inHttp(field(4, 0x2f, 0xff))],
    ['the name of a header', inHttp(field(3, field(1, 0xff)))],
    ['the principal', inAttributes(field(1, field(4, 0xc0, 0xaf)))],
    ['a long body', withHttp({ body: 'a'.repeat(200) }).fill(0xff, 100, 101)],
  ])('denies %s if it is not UTF-8', (_name, bytes) => {
    expect(decodedCheckRequestFrom(bytes)).toMatchObject({
      reason: 'request.not-canonical',
      detail: 'a text of the request is not UTF-8',
    });
  });

  it('reads a header named like the prototype', () => {
    const bytes = inHttp(field(3, text(1, '__proto__'), text(2, 'b')));
    const decoded = decodedCheckRequestFrom(bytes);
    const headers = isDeny(decoded) ? {} : decoded.attributes?.request?.http?.headers;
    expect(Object.entries(headers ?? {})).toEqual([['__proto__', 'b']]);
  });

  it.each([
    ['headers', { headers: Object.fromEntries(Array.from({ length: 257 }, (_, n) => [`h${n}`, ''])) }],
    ['a header map', { header_map: { headers: Array.from({ length: 32_000 }, () => ({})) } }],
    [
      'both',
      {
        headers: Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`h${n}`, ''])),
        header_map: { headers: Array.from({ length: 57 }, () => ({})) },
      },
    ],
  ])('denies %s of more than 256 entries', (_name, http) => {
    const decoded = decodedCheckRequestFrom(withHttp(http));
    expect(isDeny(decoded) && [decoded.reason, decoded.detail]).toEqual([
      'request.too-large',
      'the request has more than 256 headers',
    ]);
  });

  it('denies more than 512 values of metadata, and accepts 512', () => {
    expect(isDeny(decodedCheckRequestFrom(withMetadata('mcp_proxy', fields(511))))).toBe(false);
    expect(decodedCheckRequestFrom(withMetadata('mcp_proxy', fields(512)))).toMatchObject({
      reason: 'request.too-large',
      detail: 'the request has more than 512 values of metadata',
    });
  });

  it('denies nesting that would exhaust the stack', () => {
    const varint = (length: number): number[] =>
      length < 128 ? [length] : [(length & 127) | 128, ...varint(length >>> 7)];
    // Heads of nested structs, innermost first.
    const heads: Buffer[] = [];
    let size = 0;
    for (let level = 0; level < 20_000; level += 1) {
      const struct = Buffer.from([0x2a, ...varint(size)]);
      const value = Buffer.from([0x0a, 0x00, 0x12, ...varint(size + struct.length)]);
      const entry = Buffer.from([0x0a, ...varint(size + struct.length + value.length)]);
      heads.push(Buffer.concat([entry, value, struct]));
      size += entry.length + value.length + struct.length;
    }
    const wrap = (tag: number, content: Buffer) => Buffer.from([tag, ...varint(content.length), ...content]);
    const named = Buffer.concat([text(1, 'mcp_proxy'), wrap(0x12, Buffer.concat(heads.toReversed()))]);
    const bytes = wrap(0x0a, wrap(0x5a, wrap(0x0a, named)));
    expect(decodedCheckRequestFrom(bytes)).toMatchObject({ reason: 'request.too-large' });
  });

  it('reads neither metadata of other filters nor lists', () => {
    const items = { list: Array.from({ length: 20_000 }, () => ({})) };
    expect(decodedCheckRequestFrom(withMetadata('other', items))).toEqual({ attributes: { metadata_context: {} } });
    expect(decodedCheckRequestFrom(withMetadata('mcp_proxy', items))).toEqual({
      attributes: { metadata_context: { filter_metadata: { mcp_proxy: { fields: { list: { listValue: true } } } } } },
    });
  });
});
