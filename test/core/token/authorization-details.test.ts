import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  authorizationDetailsFrom,
  authorizationDetailsLimits,
  type Constraints,
  unconstrained,
} from '../../../src/core/token/authorization-details.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { anyCharacter } from '../../builders/any-character.ts';

const sound = { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.create'] };

describe('authorizationDetailsFrom', () => {
  it('parses every member', () => {
    const constraints = {
      not_before: 1_700_000_000,
      not_after: 1_700_000_600,
      max_calls: 20,
      max_amount: { argument: 'amount', limit: 50_000, currency: { argument: 'currency', value: 'EUR' } },
      single_use: true,
    };
    expect(authorizationDetailsFrom([{ ...sound, constraints, purpose: 'pay the\ninvoices' }])).toEqual([
      {
        ...sound,
        constraints: {
          notBeforeMs: 1_700_000_000_000,
          notAfterMs: 1_700_000_600_000,
          maxCalls: 20,
          maxAmount: { argument: 'amount', limit: 50_000, currency: { argument: 'currency', value: 'EUR' } },
          singleUse: true,
        },
        purpose: 'pay the\ninvoices',
      },
    ]);
  });

  it('accepts absent optional members', () => {
    expect(authorizationDetailsFrom([sound, { ...sound, constraints: {} }])).toEqual(
      Array.from({ length: 2 }, () => ({
        ...sound,
        constraints: { notBeforeMs: null, notAfterMs: null, maxCalls: null, maxAmount: null, singleUse: false },
        purpose: null,
      })),
    );
  });

  it.each<[string, object, Partial<Constraints>]>([
    ['one call', { max_calls: 1 }, { maxCalls: 1 }],
    ['a million calls', { max_calls: 1_000_000 }, { maxCalls: 1_000_000 }],
    [
      'an amount of nothing',
      { max_amount: { argument: 'amount', limit: 0 } },
      { maxAmount: { argument: 'amount', limit: 0, currency: null } },
    ],
    [
      'the largest amount',
      { max_amount: { argument: 'Betrag in €', limit: Number.MAX_SAFE_INTEGER } },
      { maxAmount: { argument: 'Betrag in €', limit: Number.MAX_SAFE_INTEGER, currency: null } },
    ],
    [
      'a decimal, in ten-thousandths (issue 37, point 19)',
      { max_amount: { argument: 'amount', limit: '99.95' } },
      { maxAmount: { argument: 'amount', limit: 999_500, isDecimal: true, currency: null } },
    ],
    [
      'the largest decimal',
      { max_amount: { argument: 'amount', limit: '99999999999.9999' } },
      { maxAmount: { argument: 'amount', limit: 999_999_999_999_999, isDecimal: true, currency: null } },
    ],
    ['a single use', { single_use: true }, { singleUse: true }],
    ['a start alone', { not_before: 10 }, { notBeforeMs: 10_000 }],
  ])('reads %s and leaves the rest open', (_name, constraints, expected) => {
    expect(authorizationDetailsFrom([{ ...sound, constraints }])).toMatchObject([
      { constraints: { ...unconstrained, ...expected } },
    ]);
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
      [{ ...sound, constraints: { max_calls: 1, max_bytes: 1 } }],
      'entry 0 member `constraints` has an unknown constraint `max_bytes`',
    ],
    ...(
      [
        ['no calls', { max_calls: 0 }, '`max_calls` must be a whole number from 1 to 1000000'],
        ['too many calls', { max_calls: 1_000_001 }, '`max_calls` must be a whole number from 1 to 1000000'],
        ['half a call', { max_calls: 1.5 }, '`max_calls` must be a whole number from 1 to 1000000'],
        ['calls as text', { max_calls: '5' }, '`max_calls` must be a whole number from 1 to 1000000'],
        ['calls of null', { max_calls: null }, '`max_calls` must be a whole number from 1 to 1000000'],
        ['an amount alone', { max_amount: 500 }, '`max_amount` must be an object'],
        ['an amount of no argument', { max_amount: { limit: 5 } }, '`max_amount` member `argument` is required'],
        ['an amount without end', { max_amount: { argument: 'a' } }, '`max_amount` member `limit` is required'],
        [
          'an amount below nothing',
          { max_amount: { argument: 'a', limit: -1 } },
          '`max_amount` member `limit` must be a whole number from 0 to 9007199254740991, or a decimal as text such as `"99.95"`',
        ],
        [
          'an amount that is not exact',
          { max_amount: { argument: 'a', limit: 2 ** 53 } },
          '`max_amount` member `limit` must be a whole number from 0 to 9007199254740991, or a decimal as text such as `"99.95"`',
        ],
        ...['5', '0.', '.5', '-1.0', '1e3', '00.5', '1.00000', '100000000000.0', ' 1.0', '1,5'].map(
          (limit): [string, object, string] => [
            `an amount of \`${limit}\``,
            { max_amount: { argument: 'a', limit } },
            '`max_amount` member `limit` must have 1 to 11 digits, a point and 1 to 4 digits if it is a decimal as text',
          ],
        ),
        [
          'an amount with an unknown member',
          { max_amount: { argument: 'a', limit: 1, per: 'day' } },
          '`max_amount` has an unknown member `per`',
        ],
        [
          'an argument of a name that Cedar reads',
          { max_amount: { argument: '__entity', limit: 1 } },
          '`max_amount` member `argument` must be an argument name',
        ],
        [
          'a currency as text',
          { max_amount: { argument: 'a', limit: 1, currency: 'EUR' } },
          '`max_amount` member `currency` must be an object',
        ],
        [
          'a currency without its value',
          { max_amount: { argument: 'a', limit: 1, currency: { argument: 'c' } } },
          '`max_amount` member `currency` member `value` is required',
        ],
        [
          'a currency with an unknown member',
          { max_amount: { argument: 'a', limit: 1, currency: { argument: 'c', value: 'EUR', or: 'USD' } } },
          '`max_amount` member `currency` has an unknown member `or`',
        ],
        ['no single use', { single_use: false }, '`single_use` must be `true`'],
        ['a single use as text', { single_use: 'true' }, '`single_use` must be `true`'],
      ] as const
    ).map(([name, constraints, problem]): [string, unknown, string] => [
      name,
      [{ ...sound, constraints }],
      `entry 0 member \`constraints\` constraint ${problem}`,
    ]),
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

  it('returns a result within its limits for any value', () => {
    const entry = fc.record(
      {
        type: fc.constantFrom('urn:remit:task', 'x'),
        locations: fc.array(fc.oneof(fc.webUrl(), fc.string()), { maxLength: 3 }),
        actions: fc.array(fc.string(), { maxLength: 3 }),
        constraints: fc.dictionary(
          fc.constantFrom('not_before', 'not_after', 'max_calls', 'max_amount', 'single_use', 'x'),
          fc.oneof(fc.integer(), fc.boolean(), fc.record({ argument: fc.string(), limit: fc.double() })),
        ),
        purpose: fc.string({ unit: anyCharacter }),
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
