import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../src/decision/decision.ts';
import { headerCountOf } from '../../src/envoy/header-count.ts';
import { decodedCheckRequestFrom } from '../../src/envoy/request.ts';
import { envoyCheckRequestType } from './protos.ts';

const requestWith = (http: object): Buffer =>
  envoyCheckRequestType.serialize({
    attributes: {
      source: { principal: 'spiffe://acme.test/planner', certificate: 'x'.repeat(300) },
      request: {
        time: { seconds: 1, nanos: 2 },
        http: { id: '1', size: 7, method: 'GET', raw_body: Buffer.alloc(40, 8), ...http },
      },
      context_extensions: { policy: 'tools' },
    },
  });

describe('headerCountOf', () => {
  it('counts what Envoy put in, in either shape', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.stringMatching(/^[a-z-]{1,20}$/), { maxLength: 40 }),
        fc.boolean(),
        (names, asMap) => {
          const headers = Object.fromEntries(names.map((name) => [name, 'value']));
          const lines = names.map((key) => ({ key, raw_value: Buffer.from('value') }));
          const bytes = requestWith(asMap ? { headers } : { header_map: { headers: lines } });
          expect(headerCountOf(bytes)).toBe(names.length);
        },
      ),
    );
  });

  it('never throws and never counts more than there are bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(headerCountOf(bytes)).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['headers', { headers: Object.fromEntries(Array.from({ length: 257 }, (_, n) => [`h${n}`, ''])) }],
    ['a header map', { header_map: { headers: Array.from({ length: 32_000 }, () => ({})) } }],
  ])('keeps %s of more than 256 entries from being decoded', (_name, http) => {
    const decoded = decodedCheckRequestFrom(requestWith(http));
    expect(isDeny(decoded) && [decoded.reason, decoded.detail]).toEqual([
      'request.too-large',
      'the request has more than 256 headers',
    ]);
  });
});
