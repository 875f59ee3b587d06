import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { isDeny } from '../../../src/core/decision/decision.ts';
import { xfccFrom, type XfccElement } from '../../../src/core/identity/xfcc.ts';
import { anyCharacter } from '../../builders/any-character.ts';

const PROXY = 'spiffe://acme.test/proxy';
const PLANNER = 'spiffe://acme.test/planner';
const HASH = '0123456789abcdef'.repeat(4);
const SHA256 = Buffer.from(HASH, 'hex').toString('base64url');

const element = (said: Partial<XfccElement>): XfccElement => ({
  by: [],
  sha256: null,
  uri: null,
  subject: null,
  dns: [],
  ...said,
});
const notPairs = (at: number): string => `xfcc must be \`key=value\` pairs: unexpected text at byte ${at}`;
const once = (key: string): string => `an xfcc element must have \`${key}\` at most once`;
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: null });

describe('xfccFrom', () => {
  it.each<[string, string, readonly XfccElement[]]>([
    [
      "Envoy's element for a leaf",
      `By=${PROXY};Hash=${HASH};Subject="CN=planner,O=Acme";URI=${PLANNER};DNS=a.test;DNS=b.test`,
      [{ by: [PROXY], sha256: SHA256, uri: PLANNER, subject: 'CN=planner,O=Acme', dns: ['a.test', 'b.test'] }],
    ],
    ['certificates, and leaves them out', 'Cert="-----BEGIN%20";Chain="a%0A";Issuer="CN=ca"', [element({})]],
    ['a leaf without a URI name', `By=${PROXY};URI=`, [element({ by: [PROXY], uri: '' })]],
    ['keys in any case', `bY=a;hASH=${HASH.toUpperCase()};uRI=B`, [element({ by: ['a'], sha256: SHA256, uri: 'B' })]],
    ['elements in their order', 'URI=a,URI=b', [element({ uri: 'a' }), element({ uri: 'b' })]],
    ['`By` twice', 'By=a;By=b', [element({ by: ['a', 'b'] })]],
    ['quoted separators', 'Subject="a,b;c=d"', [element({ subject: 'a,b;c=d' })]],
    [
      'escapes, and keeps them',
      String.raw`Subject="a\"b\,c\\d\\\"e"`,
      [element({ subject: String.raw`a\"b\,c\\d\\\"e` })],
    ],
    ['a quoted name', `URI="${PLANNER}"`, [element({ uri: PLANNER })]],
    ['an empty subject', 'Subject=""', [element({ subject: '' })]],
    ['16 elements', Array(16).fill('By=a').join(','), Array(16).fill(element({ by: ['a'] }))],
    ['16 KiB', `URI=${'a'.repeat(16 * 1024 - 4)}`, [element({ uri: 'a'.repeat(16 * 1024 - 4) })]],
  ])('reads %s', (_, header, elements) => {
    expect(xfccFrom(header)).toEqual(elements);
  });

  const JSON_FORM = 'xfcc in its json form is not accepted';
  const UNKNOWN = 'xfcc has an unknown key';
  const HEX = '`hash` of xfcc must be 64 hex digits';

  it.each([
    ['nothing', '', notPairs(0)],
    ['a json array', `[{"URI":"${PLANNER}"}]`, JSON_FORM],
    ['a json object', `{"URI":"${PLANNER}"}`, JSON_FORM],
    ['a value without a key', PLANNER, notPairs(0)],
    ['a key without a value', 'URI', notPairs(0)],
    ['an empty key', '=a', notPairs(0)],
    ['an unknown key', 'URI=a;Foo=b', UNKNOWN],
    ['an unknown key of `Object.prototype`', 'constructor=a', UNKNOWN],
    ['two `URI`', 'URI=a;URI=b', once('uri')],
    ['two `URI` that agree', 'URI=a;URI=a', once('uri')],
    ['two `URI` in different case', 'URI=a;uri=b', once('uri')],
    ['an empty `URI` before another', 'URI=;URI=b', once('uri')],
    ['two `Hash`', `Hash=${HASH};Hash=${HASH}`, once('hash')],
    ['two `Subject`', 'Subject="a";Subject="b"', once('subject')],
    ['two `Cert`', 'Cert="a";Cert="b"', once('cert')],
    ['two `Chain`', 'Chain="a";Chain="b"', once('chain')],
    ['two `Issuer`', 'Issuer="a";Issuer="b"', once('issuer')],
    ['a fault in an element further left', 'URI=a;URI=b,URI=c', once('uri')],
    ['a short hash', 'Hash=abc', HEX],
    ['a hash that is not hex', `Hash=${'g'.repeat(64)}`, HEX],
    ['an empty hash', 'Hash=', HEX],
    ['a quote within a bare value', 'URI=a"b', notPairs(0)],
    ['a quote that does not end', 'Subject="a', notPairs(0)],
    ['an escaped closing quote', String.raw`Subject="a\"`, notPairs(0)],
    ['a quote with two readings', String.raw`Subject="a\\";URI=a`, notPairs(0)],
    ['a second quote', 'Subject="a"b";URI=a', notPairs(0)],
    ['text after a quote', 'Subject="a"b', notPairs(0)],
    ['an equals sign in a bare value', 'URI=a=b', notPairs(0)],
    ['a bare subject', 'Subject=CN=planner', notPairs(0)],
    ['an empty pair', 'URI=a;;By=b', notPairs(6)],
    ['a last semicolon', 'URI=a;', notPairs(6)],
    ['an empty element', 'URI=a,,URI=b', notPairs(6)],
    ['a first comma', ',URI=a', notPairs(0)],
    ['a last comma', 'URI=a,', notPairs(6)],
    ['space after a comma', 'URI=a, URI=b', notPairs(6)],
    ['space around an equals sign', 'URI =a', notPairs(0)],
    ['space in a bare value', 'URI=a b', notPairs(0)],
    ['a NUL', 'URI=a\0', notPairs(0)],
    ['a line feed at the end', 'URI=a\n', notPairs(0)],
    ['a line feed in a quote', 'Subject="a\nb"', notPairs(0)],
    ['a letter outside ASCII', 'URI=é', notPairs(0)],
    ['17 elements', Array(17).fill('By=a').join(','), 'xfcc must have at most 16 elements'],
    ['16 KiB and a byte', `URI=${'a'.repeat(16 * 1024 - 3)}`, 'xfcc must be at most 16384 bytes'],
  ])('denies %s', (_, header, detail) => {
    expect(xfccFrom(header)).toMatchObject({ kind: 'deny', reason: 'identity.invalid', detail });
  });

  const bare = fc.stringMatching(/^[!#-+\--:<>-~]{0,20}$/);
  const quotable = fc.stringMatching(/^(?:[ !#-[\]-~]|\\[ -[\]-~]|\\\\[ !#-[\]-~]){0,20}$/);
  const elements = fc.array(
    fc.record<XfccElement>({
      by: fc.array(bare, { maxLength: 2 }),
      sha256: optional(fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => Buffer.from(hex, 'hex').toString('base64url'))),
      uri: optional(bare),
      subject: optional(quotable),
      dns: fc.array(bare, { maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 4 },
  );

  it('reads back every header of the grammar, with keys in any order and case', () => {
    fc.assert(
      fc.property(elements, fc.infiniteStream(fc.nat(1)), (said, coins) => {
        const header = said.map((one) => written(one, () => coins.next().value === 1)).join(',');
        expect(xfccFrom(header)).toEqual(said);
      }),
    );
  });

  const pieces = fc.constantFrom(...'By URI= Hash=a Subject=" " \\ \\" \\\\ , ; = a ; , \0 é [ {'.split(' '), PLANNER);
  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: anyCharacter }),
          fc.array(pieces).map((parts) => parts.join('')),
        ),
        (text) => {
          const read = xfccFrom(text);
          expect(isDeny(read) || read.length > 0).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** The text of an element, in Envoy's order or reversed. Each has a chain, since an element has at least one pair. */
function written(said: XfccElement, coin: () => boolean): string {
  const groups: readonly (readonly string[])[] = [
    said.by.map((value) => `By=${value}`),
    ['Chain="a"'],
    said.sha256 === null ? [] : [`Hash=${Buffer.from(said.sha256, 'base64url').toString('hex')}`],
    said.uri === null ? [] : [`URI=${said.uri}`],
    said.subject === null ? [] : [`Subject="${said.subject}"`],
    said.dns.map((value) => `DNS=${value}`),
  ];
  return (coin() ? groups : groups.toReversed())
    .flat()
    .map((pair) => (coin() ? pair : pair.replace(/^[A-Za-z]+/, (key) => key.toLowerCase())))
    .join(';');
}
