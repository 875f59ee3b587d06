import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { createAuthority, type CertificateAuthority, type IssuedSvid } from '../../../src/dev/authority.ts';
import {
  certificatesFromDer,
  certificatesFromPem,
  MAX_CERTIFICATES,
} from '../../../src/core/identity/certificate-list.ts';
import { isSameSvid, svidFrom, tlsMaterialOf, type Svid, type SvidParts } from '../../../src/core/identity/svid.ts';
import type { TrustDomain } from '../../../src/core/identity/spiffe-id.ts';
import { NOW_MS } from './certificates.ts';
import { must } from '../../builders/must.ts';

let acme: CertificateAuthority;
let other: CertificateAuthority;
let planner: IssuedSvid;

beforeAll(async () => {
  const ports = { nowMs: () => NOW_MS, randomBytes };
  acme = await createAuthority('acme.test', ports);
  other = await createAuthority('other.test', ports);
  planner = await acme.svid('/ns/agents/sa/planner');
});

const partsOf = (over: Partial<SvidParts> = {}): SvidParts => ({
  chain: [new X509Certificate(planner.certPem)],
  key: createPrivateKey(planner.keyPem),
  bundle: [new X509Certificate(acme.bundlePem)],
  federated: new Map([['other.test' as TrustDomain, [new X509Certificate(other.bundlePem)]]]),
  ...over,
});
const svidOf = (over: Partial<SvidParts> = {}): Svid => must(svidFrom(partsOf(over), NOW_MS));

const der = (): Buffer => new X509Certificate(acme.bundlePem).raw;

describe('svidFrom', () => {
  it('shows neither key nor certificate in its problem', async () => {
    const thief = await other.svid('/ns/agents/sa/planner');
    expect(svidFrom(partsOf({ key: createPrivateKey(thief.keyPem) }), NOW_MS)).toEqual({
      cause: 'wrong-key',
      problem: 'the key does not belong to the certificate',
    });
  });
});

describe('tlsMaterialOf', () => {
  it('has the bundle of the own trust domain and no foreign bundle', () => {
    expect(tlsMaterialOf(svidOf())).toEqual({
      certificate: planner.certPem,
      key: planner.keyPem,
      bundle: acme.bundlePem,
    });
  });
});

describe('isSameSvid', () => {
  it('compares certificate and bundles', async () => {
    const renewed = await acme.svid('/ns/agents/sa/planner');
    const anew = { chain: [new X509Certificate(renewed.certPem)], key: createPrivateKey(renewed.keyPem) };
    expect(isSameSvid(svidOf(), svidOf())).toBe(true);
    expect(isSameSvid(svidOf(), svidOf(anew))).toBe(false);
    expect(isSameSvid(svidOf(), svidOf({ federated: new Map() }))).toBe(false);
  });
});

describe('certificatesFromDer and certificatesFromPem', () => {
  it('read concatenated certificates in order', () => {
    const both = [new X509Certificate(planner.certPem), new X509Certificate(acme.bundlePem)];
    const raws = both.map(({ raw }) => raw);
    expect(certificatesFromDer(Buffer.concat(raws))?.map(({ raw }) => raw)).toEqual(raws);
    expect(certificatesFromPem(both.join(''))?.map(({ raw }) => raw)).toEqual(raws);
    expect([certificatesFromDer(Buffer.alloc(0)), certificatesFromPem('')]).toEqual([[], []]);
  });

  it('read a list at its bound and refuse a longer list', () => {
    const full = Array.from({ length: MAX_CERTIFICATES }, der);
    expect(certificatesFromDer(Buffer.concat(full))?.length).toBe(MAX_CERTIFICATES);
    expect(certificatesFromDer(Buffer.concat([...full, der()]))).toBeNull();
    expect(certificatesFromPem(acme.bundlePem.repeat(MAX_CERTIFICATES + 1))).toBeNull();
  });

  it('refuse truncated input, and never throw', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: der().length - 1 }), (length) => {
        expect(certificatesFromDer(der().subarray(0, length))).toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 30, max: acme.bundlePem.length - 3 }), (length) => {
        expect(certificatesFromPem(acme.bundlePem.slice(0, length))).toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(certificatesFromDer(bytes)?.length ?? 0).toBe(0);
      }),
    );
  });
});
