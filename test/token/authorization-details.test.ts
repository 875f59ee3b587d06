import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { authorizationDetailsFrom, authorizationDetailsLimits } from '../../src/token/authorization-details.ts';
import { isProblem } from '../../src/token/members.ts';

const sound = { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.create'] };

describe('authorizationDetailsFrom', () => {
  it('reads every member', () => {
    const constraints = { not_before: 1_700_000_000, not_after: 1_700_000_600 };
    expect(authorizationDetailsFrom([{ ...sound, constraints, purpose: 'pay the\ninvoices' }])).toEqual([
      {
        ...sound,
        constraints: { notBeforeMs: 1_700_000_000_000, notAfterMs: 1_700_000_600_000 },
        purpose: 'pay the\ninvoices',
      },
    ]);
  });

  it('leaves out what is optional', () => {
    expect(authorizationDetailsFrom([sound, { ...sound, constraints: {} }])).toEqual(
      Array.from({ length: 2 }, () => ({
        ...sound,
        constraints: { notBeforeMs: null, notAfterMs: null },
        purpose: null,
      })),
    );
  });

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'is required'],
    ['an object', sound, 'must be an array of 1 to 32 entries'],
    ['no entries', [], 'must be an array of 1 to 32 entries'],
    ['33 entries', Array.from({ length: 33 }, () => sound), 'must be an array of 1 to 32 entries'],
    ['an entry of text', ['x'], 'entry 0 must be an object'],
    ['an entry of null', [sound, null], 'entry 1 must be an object'],
    ['no type', [{ ...sound, type: undefined }], 'entry 0 member `type` must be `urn:remit:task`'],
    ['another type', [{ ...sound, type: 'payment_initiation' }], 'entry 0 member `type` must be `urn:remit:task`'],
    ['an unknown member', [{ ...sound, privileges: [] }], 'entry 0 has an unknown member `privileges`'],
    ['an unknown member that is not plain', [{ ...sound, '\u{1b}[2J': 1 }], 'entry 0 has an unknown member'],
    ['a member __proto__', [JSON.parse('{"__proto__":{}}')], 'entry 0 has an unknown member `__proto__`'],
    ['no locations', [{ ...sound, locations: undefined }], 'entry 0 member `locations` is required'],
    [
      'empty locations',
      [{ ...sound, locations: [] }],
      'entry 0 member `locations` must be an array of 1 to 32 entries',
    ],
    [
      'a location that is no URI',
      [{ ...sound, locations: ['payments'] }],
      'entry 0 member `locations` entry 0 must be an absolute URI without a fragment',
    ],
    [
      'a location with a fragment',
      [{ ...sound, locations: ['https://a.test/#b'] }],
      'entry 0 member `locations` entry 0 must be an absolute URI without a fragment',
    ],
    [
      'a location with a space',
      [{ ...sound, locations: [' https://a.test'] }],
      'entry 0 member `locations` entry 0 must be an absolute URI without a fragment',
    ],
    [
      'a location too long',
      [{ ...sound, locations: [`https://a.test/${'a'.repeat(2048)}`] }],
      'entry 0 member `locations` entry 0 must be a string of 1 to 2048 characters',
    ],
    [
      '65 actions',
      [{ ...sound, actions: Array.from({ length: 65 }, (_, index) => `a.${index}`) }],
      'entry 0 member `actions` must be an array of 1 to 64 entries',
    ],
    [
      'an action too long',
      [{ ...sound, actions: ['a'.repeat(257)] }],
      'entry 0 member `actions` entry 0 must be a string of 1 to 256 characters',
    ],
    [
      'an action with a space',
      [{ ...sound, actions: ['a.b', 'a b'] }],
      'entry 0 member `actions` entry 1 must be printable ASCII without spaces',
    ],
    [
      'an action with U+0000',
      [{ ...sound, actions: ['a\0'] }],
      'entry 0 member `actions` entry 0 has U+0000 or a lone surrogate',
    ],
    [
      'a purpose with an escape',
      [{ ...sound, purpose: 'pay\u{1b}[2J' }],
      'entry 0 member `purpose` must be without control characters',
    ],
    [
      'an unknown constraint',
      [{ ...sound, constraints: { max_amount: 1 } }],
      'entry 0 member `constraints` has an unknown constraint `max_amount`',
    ],
    ['constraints of null', [{ ...sound, constraints: null }], 'entry 0 member `constraints` must be an object'],
    [
      'an instant as text',
      [{ ...sound, constraints: { not_after: '2026-11-24T12:00:00Z' } }],
      'entry 0 member `constraints` constraint `not_after` must be whole seconds since the epoch',
    ],
    [
      'an empty window',
      [{ ...sound, constraints: { not_before: 10, not_after: 10 } }],
      'entry 0 member `constraints` must have `not_after` later than `not_before`',
    ],
  ])('refuses %s', (_name, value, problem) => {
    expect(authorizationDetailsFrom(value)).toEqual({ problem });
  });

  it('answers for any value, within its bounds', () => {
    const entry = fc.record(
      {
        type: fc.constantFrom('urn:remit:task', 'x'),
        locations: fc.array(fc.oneof(fc.webUrl(), fc.string()), { maxLength: 3 }),
        actions: fc.array(fc.string(), { maxLength: 3 }),
        constraints: fc.dictionary(fc.constantFrom('not_before', 'not_after', 'x'), fc.integer()),
        purpose: fc.string({ unit: 'binary' }),
      },
      { requiredKeys: ['type'] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.array(entry)), (value) => {
        const details = authorizationDetailsFrom(value);
        return isProblem(details) || details.length <= authorizationDetailsLimits.maxEntries;
      }),
    );
  });
});
