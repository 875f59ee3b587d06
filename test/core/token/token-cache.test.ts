import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { type CredentialKeys, tokenCredentialFrom } from '../../../src/core/token/credential.ts';
import { digestOfToken } from '../../../src/core/token/jose/jwt.ts';
import { TokenCache } from '../../../src/core/token/token-cache.ts';
import type { TokenLimits, VerifiedToken } from '../../../src/core/token/token-cache.ts';
import { es256Key, issuer, jwksOf, mint, nowMs, ringOf, rules as taskRules } from '../../builders/tokens.ts';

const key = es256Key();
const other = { ...es256Key(), keyId: key.keyId };
const external = { ...taskRules, types: new Map() };
const rules = { task: taskRules, external };

/** A cache with a key ring, and its look-ups. */
const caching = (limits: Partial<TokenLimits> = {}) => {
  const lookups: string[] = [];
  const ring = ringOf([key]);
  let keyed = 0;
  const keys: CredentialKeys = {
    kindOf: (of) => ring.kindOf(of),
    isHeld: (...of) => ring.isHeld(...of),
    keyFor: (...of) => {
      keyed += 1;
      return ring.keyFor(...of);
    },
  };
  const verified = new TokenCache({ tokens: 10, signatures: 100, ...limits }, (result) => lookups.push(result));
  const use = async (token: string, changed: { readonly rules?: typeof rules; readonly nowMs?: number } = {}) => {
    const found = tokenCredentialFrom(token, changed.rules ?? rules, { keys, nowMs, verified, ...changed });
    return isDeny(found) ? found.reason : found.kind;
  };
  return { ring, verified, lookups, use, keyed: () => keyed };
};

/** A cache that knows the signature of a token only: another token has taken its place. */
const known = async () => {
  const cache = caching({ tokens: 1 });
  const token = mint(key);
  await cache.use(token);
  await cache.use(mint(key, { jti: 'e'.repeat(22) }));
  return { ...cache, token };
};

describe('TokenCache', () => {
  it('gives the same result with and without a hit', async () => {
    const { use, lookups, ring } = caching();
    const token = mint(key);
    const without = tokenCredentialFrom(token, rules, { keys: ring, nowMs });
    const { verified } = caching();
    const first = tokenCredentialFrom(token, rules, { keys: ring, nowMs, verified });
    const second = tokenCredentialFrom(token, rules, { keys: ring, nowMs, verified });
    expect([first, second]).toEqual([without, without]);
    expect([await use(token), await use(token)]).toEqual(['task-token', 'task-token']);
    expect(lookups).toEqual(['miss', 'hit']);
  });

  it('checks times and audience on every use', async () => {
    const { use, lookups } = caching();
    const token = mint(key);
    await use(token);
    expect(await use(token, { nowMs: nowMs + 3_600_000 })).toBe('token.expired');
    expect(await use(token, { nowMs: nowMs - 3_600_000 })).toBe('token.not-yet-valid');
    expect(await use(token, { rules: { ...rules, task: { ...taskRules, audiences: new Set() } } })).toBe(
      'token.audience',
    );
    expect(await use(token, { rules: { ...rules, task: { ...taskRules, maxLifetimeSeconds: 1 } } })).toBe(
      'token.lifetime',
    );
    expect(await use(token)).toBe('task-token');
    expect(lookups).toEqual(['miss', 'hit', 'hit', 'hit', 'hit', 'hit']);
  });

  it('drops a token whose key was removed or replaced', async () => {
    const { use, ring, verified } = caching();
    const token = mint(key);
    await use(token);
    ring.replace(issuer, jwksOf(other));
    expect(await use(token)).toBe('token.signature');
    expect(verified.size).toBe(0);
    ring.replace(issuer, jwksOf(key));
    expect(await use(token)).toBe('task-token');
  });

  it('caches no denied token, and never by a part of a token', async () => {
    const { use, verified, lookups } = caching();
    const token = mint(key);
    expect(await use(token, { nowMs: nowMs + 3_600_000 })).toBe('token.expired');
    expect(verified.size).toBe(0);
    await use(token);
    const [header = '', payload = '', signature = ''] = token.split('.');
    const forged = `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    expect(await use(forged)).toBe('token.signature');
    const stranger = mint(key, { scope: 'payments:all' }).split('.');
    expect(await use(`${header}.${stranger[1]}.${signature}`)).toBe('token.signature');
    expect(lookups.filter((result) => result === 'hit')).toEqual([]);
    expect(verified.size).toBe(1);
  });

  it('does not hash a token that is too long', async () => {
    const { use, lookups } = caching();
    expect(await use('a'.repeat(taskRules.maxBytes + 1))).toBe('token.malformed');
    expect(lookups).toEqual([]);
  });

  it('drops expired tokens after 256 that it is given, and no others', async () => {
    const { use, verified, lookups } = caching({ tokens: 10_000, signatures: 10_000 });
    const [live, expired] = [mint(key), mint(key, { jti: 'e'.repeat(22), exp: nowMs / 1_000 + 1 })];
    await use(expired);
    await use(live);
    const signed: VerifiedToken[] = [];
    const taking = {
      get: () => null,
      verifiedBy: () => null,
      set: (_digest: string, token: VerifiedToken) => signed.push(token),
    };
    tokenCredentialFrom(live, rules, { keys: ringOf([key]), nowMs, verified: taking as unknown as TokenCache });
    const [token] = signed;
    if (token === undefined) throw new Error('no token');
    for (let number = 2; number < 255; number += 1)
      verified.set(digestOfToken(`other ${number}`), token, nowMs + 1_000);
    expect(verified.size).toBe(255);
    verified.set(digestOfToken('the 256th'), token, nowMs + 1_000);
    expect(verified.size).toBe(255);
    const laterMs = nowMs + 1_000;
    expect([await use(live, { nowMs: laterMs }), await use(expired, { nowMs: laterMs })]).toEqual([
      'task-token',
      'task-token',
    ]);
    expect(lookups.slice(-2)).toEqual(['hit', 'signature']);
  });

  it('holds at most so many tokens, and the signatures of more', async () => {
    const { use, verified, lookups } = caching({ tokens: 2, signatures: 3 });
    const tokens = ['a', 'b', 'c', 'd'].map((jti) => mint(key, { jti: jti.repeat(22) }));
    for (const token of [...tokens, ...tokens.toReversed()]) expect(await use(token)).toBe('task-token');
    expect(verified.size).toBe(2);
    expect(lookups).toEqual(['miss', 'miss', 'miss', 'miss', 'hit', 'hit', 'signature', 'miss']);
  });

  describe('of a token of which only the signature is known', () => {
    it('gives the same credential as without it', async () => {
      const { ring, verified, lookups, token } = await known();
      const without = tokenCredentialFrom(token, rules, { keys: ring, nowMs });
      expect(tokenCredentialFrom(token, rules, { keys: ring, nowMs, verified })).toEqual(without);
      expect(lookups).toEqual(['miss', 'miss', 'signature']);
    });

    it.each([
      ['by the key that the issuer has now', true, 'task-token'],
      ['by another', false, 'token.signature'],
    ])('takes what was verified %s', (_name, isNow, expected) => {
      const ring = ringOf([key]);
      const now = ring.keyFor(issuer, key.keyId, key.algorithm);
      const verifiedBy = isNow && !isDeny(now) ? now : createPublicKey(es256Key().privateKey);
      const [header = '', payload = ''] = mint(key).split('.');
      const verified = { get: () => null, verifiedBy: () => verifiedBy, set: () => undefined };
      const unverifiable = `${header}.${payload}.${'A'.repeat(86)}`;
      const options = { keys: ring, nowMs, verified: verified as unknown as TokenCache };
      const found = tokenCredentialFrom(unverifiable, rules, options);
      expect(isDeny(found) ? found.reason : found.kind).toBe(expected);
    });

    it('checks times and audience', async () => {
      const { use, token } = await known();
      expect(await use(token, { nowMs: nowMs + 3_600_000 })).toBe('token.expired');
      const nowhere = { ...rules, task: { ...taskRules, audiences: new Set<string>() } };
      expect(await use(token, { rules: nowhere })).toBe('token.audience');
    });

    it('verifies it again by another key of the same name', async () => {
      const { use, ring, token } = await known();
      ring.replace(issuer, jwksOf(other));
      expect(await use(token)).toBe('token.signature');
      ring.replace(issuer, jwksOf(key));
      expect(await use(token)).toBe('task-token');
    });
  });
});
