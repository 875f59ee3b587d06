import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { isDeny } from '../../../src/core/decision/decision.ts';
import { spiffeIdFrom, trustDomainFrom, trustDomainOf } from '../../../src/core/identity/spiffe-id.ts';
import { anyCharacter } from '../../builders/any-character.ts';

/** The standard's grammar as one expression: an independent reading. A workload needs at least one segment. */
const REFERENCE = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+)$/;
const isReference = (text: string): boolean => REFERENCE.test(text) && Buffer.byteLength(text) <= 2048;

const TRUST_DOMAIN = 'a trust domain must be 1 to 255 of `a-z0-9.-_`, in lower case';
const SEGMENT = 'each path segment of a spiffe id must be one or more of `A-Za-z0-9.-_`, and neither `.` nor `..`';
const SCHEME = 'a spiffe id must begin with `spiffe://`';
const PATH = 'the spiffe id of a workload must have a path';
const LENGTH = 'a spiffe id must be at most 2048 bytes';

const ofLength = (length: number): string => 'spiffe://acme.test/'.padEnd(length, 'a');

/** Characters for near misses. */
const PIECES = [
  ...'spiffe SPIFFE // / acme.test ns Sa . .. - _ %2e % ? # @ :1 A ; , " ='.split(' '),
  '\0',
  '\n',
  ' ',
  '\\',
  'é',
  'ſ',
  '\u{1f600}',
];
const nearMiss = fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((parts) => `spiffe://${parts.join('')}`);

const trustDomain = fc.stringMatching(/^[a-z0-9._-]{1,255}$/);
const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,40}$/).filter((text) => text !== '.' && text !== '..');
const validId = fc
  .tuple(trustDomain, fc.array(segment, { minLength: 1, maxLength: 8 }))
  .map(([domain, path]) => ({ domain, text: `spiffe://${domain}/${path.join('/')}` }));

describe('spiffeIdFrom', () => {
  it.each([
    ['a workload', 'spiffe://acme.test/ns/agents/sa/planner'],
    ['one segment', 'spiffe://acme.test/a'],
    ['an ipv4 trust domain', 'spiffe://10.0.0.1/a'],
    ['every kind of character', 'spiffe://a-b_c.0/Az09._-/...'],
    ['the longest trust domain', `spiffe://${'a'.repeat(255)}/a`],
    ['2048 bytes', ofLength(2048)],
  ])('accepts %s unchanged', (_, text) => {
    expect(spiffeIdFrom(text)).toBe(text);
  });

  it.each([
    ['nothing', '', SCHEME],
    ['another scheme', 'https://acme.test/a', SCHEME],
    ['an upper-case scheme', 'SPIFFE://acme.test/a', SCHEME],
    ['leading space', ' spiffe://acme.test/a', SCHEME],
    ['one slash', 'spiffe:/acme.test/a', SCHEME],
    ["Istio's name without a scheme", 'acme.test/ns/agents/sa/planner', SCHEME],
    ['no trust domain', 'spiffe:///a', TRUST_DOMAIN],
    ['an upper-case trust domain', 'spiffe://Acme.test/a', TRUST_DOMAIN],
    ['a trust domain of 256 bytes', `spiffe://${'a'.repeat(256)}/a`, TRUST_DOMAIN],
    ['a port', 'spiffe://acme.test:443/a', TRUST_DOMAIN],
    ['user info', 'spiffe://evil@acme.test/a', TRUST_DOMAIN],
    ['an ipv6 trust domain', 'spiffe://[::1]/a', TRUST_DOMAIN],
    ['percent-encoding in the trust domain', 'spiffe://acme%2etest/a', TRUST_DOMAIN],
    ['a homograph in the trust domain', 'spiffe://аcme.test/a', TRUST_DOMAIN],
    ['a query instead of a path', 'spiffe://acme.test?a', TRUST_DOMAIN],
    ['a trust domain alone', 'spiffe://acme.test', PATH],
    ['the root path', 'spiffe://acme.test/', SEGMENT],
    ['a trailing slash', 'spiffe://acme.test/a/', SEGMENT],
    ['an empty segment', 'spiffe://acme.test/a//b', SEGMENT],
    ['a `.` segment', 'spiffe://acme.test/./a', SEGMENT],
    ['a `..` segment', 'spiffe://acme.test/a/../b', SEGMENT],
    ['a last `..` segment', 'spiffe://acme.test/a/..', SEGMENT],
    ['percent-encoding in the path', 'spiffe://acme.test/%61', SEGMENT],
    ['a query', 'spiffe://acme.test/a?b', SEGMENT],
    ['a fragment', 'spiffe://acme.test/a#b', SEGMENT],
    ['a backslash', 'spiffe://acme.test/a\\b', SEGMENT],
    ['a NUL', 'spiffe://acme.test/a\0b', SEGMENT],
    ['a last line feed', 'spiffe://acme.test/a\n', SEGMENT],
    ['a letter outside ASCII', 'spiffe://acme.test/é', SEGMENT],
    ['2049 bytes', ofLength(2049), LENGTH],
  ])('denies %s', (_, text, detail) => {
    expect(spiffeIdFrom(text)).toMatchObject({ kind: 'deny', reason: 'identity.invalid', detail });
  });

  it('accepts every id of the grammar, and returns its trust domain', () => {
    fc.assert(
      fc.property(validId, ({ domain, text }) => {
        const id = spiffeIdFrom(text);
        expect(id).toBe(text);
        expect(isDeny(id) ? id : trustDomainOf(id)).toBe(domain);
      }),
    );
  });

  it('accepts a text exactly if the reference expression does, and never throws', () => {
    fc.assert(
      fc.property(fc.oneof(nearMiss, fc.string({ unit: anyCharacter })), (text) => {
        expect(spiffeIdFrom(text) === text).toBe(isReference(text));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('trustDomainFrom', () => {
  it('accepts a name unchanged', () => {
    expect(trustDomainFrom('acme.test')).toBe('acme.test');
  });

  it.each([
    ['nothing', ''],
    ['upper case', 'ACME.test'],
    ['a scheme', 'spiffe://acme.test'],
    ['a path', 'acme.test/a'],
    ['256 bytes', 'a'.repeat(256)],
    ['a last line feed', 'acme.test\n'],
  ])('denies %s', (_, text) => {
    expect(trustDomainFrom(text)).toMatchObject({ kind: 'deny', reason: 'identity.invalid', detail: TRUST_DOMAIN });
  });
});
