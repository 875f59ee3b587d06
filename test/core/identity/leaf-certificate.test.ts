import { describe, expect, it } from '@jest/globals';
import { X509Certificate } from 'node:crypto';
import * as fc from 'fast-check';

import { isDeny } from '../../../src/core/decision/decision.ts';
import {
  leafCache,
  leafFromDer,
  leafFromPem,
  leafFromUrlEncodedPem,
} from '../../../src/core/identity/leaf-certificate.ts';
import { anyCharacter } from '../../builders/any-character.ts';
import {
  CLIENT_AUTH,
  extension,
  KEY_USAGES,
  makeAuthority,
  NOW_MS,
  pemOf,
  SERVER_AUTH,
  type CertificateOptions,
} from './certificates.ts';

const ID = 'spiffe://acme.test/ns/agents/sa/planner';
const uris = [ID];

const authority = makeAuthority({ uris: ['spiffe://acme.test'] });
const planner = authority.issue({ uris });

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('leafFromDer', () => {
  it.each<[string, CertificateOptions]>([
    ['a minimal svid', { uris }],
    ['no basic constraints', { uris, ca: null }],
    ['names of other kinds', { uris, dns: ['planner.acme.test', 'planner'] }],
    ['both purposes', { uris, extendedKeyUsage: [SERVER_AUTH, CLIENT_AUTH] }],
    ['more key usages', { uris, keyUsage: KEY_USAGES.digitalSignature | KEY_USAGES.keyEncipherment }],
    ['an expired validity, which is not checked here', { uris, notBeforeMs: 0, notAfterMs: 1000 }],
  ])('accepts %s', (_, options) => {
    const { der, sha256 } = authority.issue(options);
    expect(leafFromDer(der)).toMatchObject({ id: ID, sha256, der });
  });

  it('returns the validity in milliseconds', () => {
    const { der } = authority.issue({ uris, notBeforeMs: NOW_MS - 5000, notAfterMs: NOW_MS + 7000 });
    expect(leafFromDer(der)).toMatchObject({ notBeforeMs: NOW_MS - 5000, notAfterMs: NOW_MS + 7000 });
  });

  const ONE_URI = 'the certificate must have exactly one uri name, it has';
  const BEGIN = 'a spiffe id must begin with `spiffe://`';
  const TRUST_DOMAIN = 'a trust domain must be 1 to 255 of `a-z0-9.-_`, in lower case';
  const SEGMENT = 'each path segment of a spiffe id must be one or more of `A-Za-z0-9.-_`, and neither `.` nor `..`';
  const NUL = 'a name of the certificate contains a nul or could not be read';
  const CA = 'the certificate must not be of a ca';
  const SIGNATURE = 'the certificate must have a key usage with digitalSignature';
  const SIGNS = 'the key usage of the certificate must have neither keyCertSign nor cRLSign';
  const { digitalSignature, keyCertSign, cRLSign, keyEncipherment } = KEY_USAGES;

  it.each<[string, CertificateOptions, string]>([
    ['no names', {}, `${ONE_URI} 0`],
    ['no URI name beside others', { dns: ['acme.test'] }, `${ONE_URI} 0`],
    ['two URI names', { uris: [ID, 'spiffe://acme.test/other'] }, `${ONE_URI} 2`],
    ['the same URI name twice', { uris: [ID, ID] }, `${ONE_URI} 2`],
    ['a second URI name that is not a spiffe id', { uris: [ID, 'https://acme.test/'] }, `${ONE_URI} 2`],
    ['a URI name without a scheme', { uris: ['planner'] }, BEGIN],
    ['an https URI name', { uris: ['https://acme.test/planner'] }, BEGIN],
    ['the root path', { uris: ['spiffe://acme.test/'] }, SEGMENT],
    ['no path', { uris: ['spiffe://acme.test'] }, 'the spiffe id of a workload must have a path'],
    ['an upper-case trust domain', { uris: ['spiffe://ACME.test/a'] }, TRUST_DOMAIN],
    ['percent-encoding', { uris: ['spiffe://acme.test/%61'] }, SEGMENT],
    ['a trailing slash', { uris: [`${ID}/`] }, SEGMENT],
    ['a `..` segment', { uris: ['spiffe://acme.test/a/../b'] }, SEGMENT],
    ['an injected xfcc pair', { uris: [`${ID};By=spiffe://acme.test/proxy`] }, SEGMENT],
    ['2049 bytes', { uris: ['spiffe://acme.test/'.padEnd(2049, 'a')] }, 'a spiffe id must be at most 2048 bytes'],
    ['a NUL in its URI name', { uris: [`${ID}\0.evil.test`] }, NUL],
    ['a NUL in a DNS name', { uris, dns: ['acme.test\0.evil.test'] }, NUL],
    ['a CA', { uris, ca: true, keyUsage: keyCertSign | digitalSignature }, CA],
    ['a CA without keyCertSign', { uris, ca: true }, CA],
    ['a path length alone', { uris, ca: null, extensions: [extension('2.5.29.19', hex('30 03 02 01 00'))] }, CA],
    ['no key usage', { uris, keyUsage: null }, SIGNATURE],
    ['an empty key usage', { uris, keyUsage: 0 }, SIGNATURE],
    ['a key usage without digitalSignature', { uris, keyUsage: keyEncipherment }, SIGNATURE],
    ['a key usage with keyCertSign', { uris, keyUsage: digitalSignature | keyCertSign }, SIGNS],
    ['a key usage with cRLSign', { uris, keyUsage: digitalSignature | cRLSign }, SIGNS],
    [
      'a purpose that is the server alone',
      { uris, extendedKeyUsage: [SERVER_AUTH] },
      'the extended key usage of the certificate must have clientAuth',
    ],
    [
      'the same extension twice',
      { uris, extensions: [extension('2.5.29.17', hex('30 00'))] },
      'the certificate could not be read',
    ],
    [
      'contradicting basic constraints',
      { uris, extensions: [extension('2.5.29.19', hex('30 03 01 01 ff'))] },
      'the certificate could not be read',
    ],
    ['names that are not a sequence', { extensions: [extension('2.5.29.17', hex('04 00'))] }, NUL],
    ['names that end early', { extensions: [extension('2.5.29.17', hex('30 04 86 10 61 62'))] }, NUL],
    ['names and a tail', { extensions: [extension('2.5.29.17', hex('30 00 00'))] }, NUL],
  ])('denies %s', (_, options, detail) => {
    const { der } = authority.issue(options);
    expect(leafFromDer(der)).toMatchObject({ kind: 'deny', reason: 'identity.invalid', detail });
  });

  const UNREADABLE = 'the certificate could not be read';
  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), UNREADABLE],
    ['a truncated certificate', planner.der.subarray(0, -1), UNREADABLE],
    ['a byte after it', Buffer.concat([planner.der, Buffer.of(0)]), UNREADABLE],
    ['two certificates', Buffer.concat([planner.der, planner.der]), UNREADABLE],
    ['its PEM', Buffer.from(planner.pem), UNREADABLE],
    ['16 KiB and a byte', new Uint8Array(16 * 1024 + 1), 'the certificate must be at most 16384 bytes'],
  ])('denies %s', (_, der, detail) => {
    expect(leafFromDer(der)).toMatchObject({ kind: 'deny', reason: 'identity.invalid', detail });
  });

  it('never throws, and reads a changed certificate as another parser does', () => {
    const change = fc.tuple(fc.nat(planner.der.length - 1), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const der = Buffer.from(planner.der);
        for (const [at, mask] of changes) der[at] = (der[at] ?? 0) ^ mask;
        const leaf = leafFromDer(der);
        if (isDeny(leaf)) return;
        expect(leaf.sha256 === planner.sha256).toBe(der.equals(planner.der));
        expect(new X509Certificate(der).subjectAltName).toBe(`URI:${leaf.id}`);
      }),
      { numRuns: 500 },
    );
  });
});

describe('leafFromPem', () => {
  const { pem } = planner;
  const ONE_BLOCK = 'the certificate must be exactly one pem block';
  const body = pem.split('\n').slice(1, -2).join('');

  it.each([
    ['one block', pem],
    ['carriage returns', pem.replaceAll('\n', '\r\n')],
    ['no last line feed', pem.trimEnd()],
  ])('accepts %s', (_, text) => {
    expect(leafFromPem(text)).toMatchObject({ id: ID, sha256: planner.sha256 });
  });

  it.each([
    ['nothing', '', ONE_BLOCK],
    ['two blocks', pem + pem, ONE_BLOCK],
    ['text before it', `subject=CN\n${pem}`, ONE_BLOCK],
    ['text after it', `${pem}x`, ONE_BLOCK],
    ['another label', pem.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'), ONE_BLOCK],
    ['a key', pem.replaceAll('CERTIFICATE', 'PRIVATE KEY'), ONE_BLOCK],
    ['a NUL', pem.replace('\nMII', '\n\0MII'), ONE_BLOCK],
    ['base64 padded too far', pemOf(`${body}=`), 'the base64 of the certificate is not canonical'],
    ['base64 of something else', pemOf('AAAA'), 'the certificate could not be read'],
    ['more than 16 KiB', pem.padEnd(16 * 1024 + 1, '\n'), 'the certificate must be at most 16384 bytes'],
  ])('denies %s', (_, text, detail) => {
    expect(leafFromPem(text)).toMatchObject({ kind: 'deny', reason: 'identity.invalid', detail });
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: anyCharacter }),
        (text) => isDeny(leafFromPem(text)) && isDeny(leafFromPem(pemOf(text))),
      ),
    );
  });
});

describe('leafFromUrlEncodedPem', () => {
  it('accepts the form of Envoy', () => {
    expect(leafFromUrlEncodedPem(planner.urlEncodedPem)).toMatchObject({ id: ID, sha256: planner.sha256 });
  });

  it.each([
    ['a truncated escape', `${planner.urlEncodedPem}%0`, 'the peer certificate must be url-encoded'],
    ['an escape that is not UTF-8', '%ff', 'the peer certificate must be url-encoded'],
    ['encoding twice', encodeURIComponent(planner.urlEncodedPem), 'the certificate must be exactly one pem block'],
    ['more than 16 KiB', '%0A'.repeat(16 * 1024), 'the certificate must be at most 16384 bytes'],
  ])('denies %s', (_, text, detail) => {
    expect(leafFromUrlEncodedPem(text)).toMatchObject({ kind: 'deny', reason: 'identity.invalid', detail });
  });
});

describe('leafCache', () => {
  it('returns the same leaf for the same text until it is evicted', () => {
    const read = leafCache(2);
    const first = read(planner.urlEncodedPem);
    expect(read(planner.urlEncodedPem)).toBe(first);
    for (const name of ['a', 'b']) read(authority.issue({ uris: [`${ID}/${name}`] }).urlEncodedPem);
    const again = read(planner.urlEncodedPem);
    expect(again).not.toBe(first);
    expect(again).toEqual(first);
  });

  it('does not confuse two certificates of the same workload', () => {
    const read = leafCache(2);
    const rotated = authority.issue({ uris });
    expect(read(planner.urlEncodedPem)).toMatchObject({ sha256: planner.sha256 });
    expect(read(rotated.urlEncodedPem)).toMatchObject({ sha256: rotated.sha256 });
  });

  it('does not cache denials', () => {
    const read = leafCache(1);
    const first = read(planner.urlEncodedPem);
    expect(read('junk')).toMatchObject({ kind: 'deny', reason: 'identity.invalid' });
    expect(read(planner.urlEncodedPem)).toBe(first);
  });

  it('throws for an invalid bound', () => {
    expect(() => leafCache(0)).toThrow(TypeError);
  });
});
