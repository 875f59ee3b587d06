import { describe, expect, it } from '@jest/globals';

import { isAnchored } from '../../src/identity/anchor.ts';
import { leafFromDer, type LeafCertificate } from '../../src/identity/leaf-certificate.ts';
import { KEY_USAGES, makeAuthority, NOW_MS, type Authority } from './certificates.ts';
import { must } from '../builders/must.ts';
import { mustTrustDomain } from '../builders/spiffe-id.ts';

const uris = ['spiffe://acme.test/planner'];
const acme = makeAuthority({ uris: ['spiffe://acme.test'] });
const other = makeAuthority({ uris: ['spiffe://other.test'] });
const nameless = makeAuthority();
const expired = makeAuthority({ notAfterMs: NOW_MS - 1000 });
const future = makeAuthority({ notBeforeMs: NOW_MS + 1000 });
const renamed = makeAuthority({}, 'another ca');
const noCa = makeAuthority({ ca: false, keyUsage: KEY_USAGES.digitalSignature });
const web = makeAuthority({ uris: ['https://acme.test'] });
const twice = makeAuthority({ uris: ['spiffe://acme.test', 'spiffe://other.test'] });

const one = ['acme.test'];
const two = ['acme.test', 'other.test'];

describe('isAnchored', () => {
  it.each<[string, boolean, Authority, readonly string[], readonly string[]]>([
    ['the CA of its trust domain', true, acme, [acme.certificate.pem], one],
    ['the CA of its trust domain among others', true, acme, [other.certificate.pem, acme.certificate.pem], two],
    ['a CA without a name, for the one trust domain', true, nameless, [nameless.certificate.pem], one],
    ['a CA without a name, for two trust domains', false, nameless, [nameless.certificate.pem], two],
    ['the CA of another trust domain', false, other, [other.certificate.pem], two],
    ['a CA that is not an anchor', false, acme, [nameless.certificate.pem], one],
    [
      'a CA whose name is the same',
      false,
      acme,
      [makeAuthority({ uris: ['spiffe://acme.test'] }).certificate.pem],
      one,
    ],
    ['a CA that expired', false, expired, [expired.certificate.pem], one],
    ['a CA that is not valid yet', false, future, [future.certificate.pem], one],
    ['a CA of another name', true, renamed, [renamed.certificate.pem], one],
    ['a certificate that is not a CA', false, noCa, [noCa.certificate.pem], one],
    ['a CA with an invalid trust domain', false, web, [web.certificate.pem], one],
    ['a CA of two trust domains', false, twice, [twice.certificate.pem], two],
    ['a CA beside a text that is not a certificate', true, acme, ['junk', acme.certificate.pem], one],
    ['no anchor', false, acme, [], one],
  ])('of a leaf signed by %s is %s', (_, expected, authority, anchors, names) => {
    const leaf = mustLeaf(authority.issue({ uris }).der);
    const rules = { anchors, trustDomains: new Set(names.map(mustTrustDomain)) };
    expect(isAnchored(leaf, NOW_MS, rules)).toBe(expected);
    expect(isAnchored(leaf, NOW_MS, rules)).toBe(expected);
  });

  it('is false for a leaf that is its own anchor', () => {
    const { der, pem } = acme.issue({ uris });
    const rules = { anchors: [pem], trustDomains: new Set(one.map(mustTrustDomain)) };
    expect(isAnchored(mustLeaf(der), NOW_MS, rules)).toBe(false);
  });

  it('checks the validity of an anchor on each use', () => {
    const leaf = mustLeaf(acme.issue({ uris, notAfterMs: NOW_MS * 2 }).der);
    const rules = { anchors: [acme.certificate.pem], trustDomains: new Set(one.map(mustTrustDomain)) };
    expect(isAnchored(leaf, NOW_MS, rules)).toBe(true);
    expect(isAnchored(leaf, NOW_MS + 24 * 3_600_000, rules)).toBe(false);
  });
});

function mustLeaf(der: Uint8Array): LeafCertificate {
  return must(leafFromDer(der));
}
