import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { digestOfToken } from '../../../../src/core/token/jose/jwt.ts';
import { VerifiedSignatures } from '../../../../src/core/token/jose/verified-signatures.ts';
import { es256Key } from '../../../builders/tokens.ts';

const [first, second] = [createPublicKey(es256Key().privateKey), createPublicKey(es256Key().privateKey)];
const [a, b, c] = [digestOfToken('a'), digestOfToken('b'), digestOfToken('c')];

describe('VerifiedSignatures', () => {
  it('knows the key of each token', () => {
    const signatures = new VerifiedSignatures(10);
    signatures.add(a, first);
    signatures.add(b, second);
    expect([a, b, c].map((digest) => signatures.keyOf(digest))).toEqual([first, second, null]);
  });

  it('keeps the latest key of a token, also if the same key comes again', () => {
    const signatures = new VerifiedSignatures(10);
    signatures.add(a, first);
    signatures.add(a, first);
    signatures.add(b, first);
    signatures.add(a, second);
    expect(signatures.keyOf(a)).toBe(second);
    expect(signatures.keyOf(b)).toBe(first);
  });

  it('forgets the least recently used token, and no key of another', () => {
    const signatures = new VerifiedSignatures(2);
    signatures.add(a, first);
    signatures.add(b, second);
    signatures.keyOf(a);
    signatures.add(c, second);
    expect([a, b, c].map((digest) => signatures.keyOf(digest))).toEqual([first, null, second]);
  });
});
