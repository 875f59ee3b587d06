import { describe, expect, it } from '@jest/globals';
import { fromProtoJson } from '../../../src/tools/doctor/proto-json.ts';
import { fieldsOf, isTrueAt, textAt } from '../../../src/tools/doctor/tree.ts';

describe('fromProtoJson', () => {
  it('names fields as the proto files do, and leaves names that are data', () => {
    const given = { clusterName: [{ connectTimeout: '1s' }], 'envoy.filters.http.Lua': { aB: 1 }, 'x-Id': 2, Upper: 3 };
    expect(fromProtoJson(given)).toEqual({
      cluster_name: [{ connect_timeout: '1s' }],
      'envoy.filters.http.Lua': { a_b: 1 },
      'x-Id': 2,
      Upper: 3,
    });
  });

  it('goes no deeper than a hundred', () => {
    let deep: unknown = { aB: 1 };
    for (let depth = 0; depth < 10_000; depth += 1) deep = { aB: deep };
    let levels = 0;
    for (let at = fromProtoJson(deep) as { a_b?: unknown } | undefined; at !== undefined; levels += 1)
      at = at.a_b as { a_b?: unknown } | undefined;
    expect(levels).toBe(101);
  });

  it.each<[string, object, object]>([
    ['a number of an enum', { forwardClientCertDetails: 4 }, { forward_client_cert_details: 'ALWAYS_FORWARD_ONLY' }],
    ['a number in quotes', { trust_chain_verification: '1' }, { trust_chain_verification: 'ACCEPT_UNTRUSTED' }],
    ['a share of ten thousand', { denominator: 1 }, { denominator: 'TEN_THOUSAND' }],
    ['a status', { code: 503 }, { code: 'ServiceUnavailable' }],
    ['a number that no enum has', { codec_type: 9 }, { codec_type: 9 }],
    ['a number of another field', { numerator: 1 }, { numerator: 1 }],
    ['a name of an enum', { type: 'EDS' }, { type: 'EDS' }],
    ['a field that is not set', { http2_protocol_options: null, a: { b: null } }, { a: {} }],
  ])('reads as Envoy does: %s', (_what, given, read) => {
    expect(fromProtoJson(given)).toEqual(read);
  });

  it('reads the fields of a struct with a type, which a dump has as they were written', () => {
    const any = {
      '@type': 'type.googleapis.com/xds.type.v3.TypedStruct',
      type_url: 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
      value: { failureModeAllow: true, statusOnError: { code: 503 } },
    };
    expect(isTrueAt(fieldsOf(any), 'failure_mode_allow')).toBe(true);
    expect(textAt(fieldsOf(any), 'status_on_error', 'code')).toBe('ServiceUnavailable');
  });
});
