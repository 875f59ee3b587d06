import * as fc from 'fast-check';

/** Text of a message. */
export const text = fc.string({ unit: 'grapheme', maxLength: 12 });
/** Non-empty bytes. */
export const bytes = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((array) => Buffer.from(array));
/** A message whose fields may each be absent. */
export const optional = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { requiredKeys: [] });
/** A map of few entries. */
export const map = <T>(value: fc.Arbitrary<T>) =>
  fc.dictionary(fc.stringMatching(/^[a-z-]{1,8}$/), value, { maxKeys: 3 });

/** A google.protobuf.Struct. */
export const { struct } = fc.letrec<{ struct: unknown; value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'value' },
    fc.record({ stringValue: text }),
    fc.record({ numberValue: fc.double({ noNaN: true }) }),
    fc.record({ boolValue: fc.boolean() }),
    fc.constant({ nullValue: 0 }),
    fc.record({ structValue: tie('struct') }),
    fc.record({ listValue: fc.record({ values: fc.array(tie('value'), { maxLength: 3 }) }) }),
  ),
  struct: fc.record({ fields: map(tie('value')) }),
}));
/** A google.protobuf.Any. */
export const any = fc.record({ type_url: text, value: bytes });
const namespaces = fc.dictionary(
  fc.oneof(fc.stringMatching(/^[a-z-]{1,8}$/), fc.constantFrom('envoy.filters.http.mcp', 'mcp_proxy')),
  struct,
  { maxKeys: 3 },
);
const metadata = optional({ filter_metadata: namespaces, typed_filter_metadata: map(any) });
const socketAddress = optional({
  protocol: fc.constantFrom(0, 1),
  address: text,
  port_value: fc.integer({ min: 0, max: 65_535 }),
});
/** An address of a connection. */
export const address = fc.oneof(
  fc.record({ socket_address: socketAddress }),
  fc.record({ pipe: optional({ path: text, mode: fc.nat() }) }),
);
const peer = optional({ address, service: text, labels: map(text), principal: text, certificate: text });
/** A header, in either form. */
export const header = optional({ key: text, value: text, raw_value: bytes });
const http = optional({
  id: text,
  method: text,
  headers: map(text),
  path: text,
  host: text,
  scheme: text,
  query: text,
  fragment: text,
  size: fc.nat(),
  protocol: text,
  body: text,
  raw_body: bytes,
  header_map: fc.record({ headers: fc.array(header, { maxLength: 3 }) }),
});
/** Any CheckRequest. */
export const checkRequests = fc.record({
  attributes: optional({
    source: peer,
    destination: peer,
    request: optional({ time: optional({ seconds: fc.nat(), nanos: fc.nat() }), http }),
    context_extensions: map(text),
    metadata_context: metadata,
    tls_session: optional({ sni: text }),
    route_metadata_context: metadata,
  }),
});
