import { describe, expect, it } from '@jest/globals';
import { isDeny } from '../../src/decision/decision.ts';
import { type CredentialKeys, tokenCredentialFrom } from '../../src/token/credential.ts';
import { TokenCache } from '../../src/token/token-cache.ts';
import type { VerifiedToken } from '../../src/token/token-cache.ts';
import { es256Key, issuer, jwksOf, mint, nowMs, ringOf, rules as taskRules } from '../builders/tokens.ts';

const key = es256Key();
const other = { ...es256Key(), keyId: key.keyId };
const external = { ...taskRules, types: new Map() };
const rules = { task: taskRules, external };

/** A cache with a key ring, and its look-ups. */
const caching = (max = 10) => {
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
  const verified = new TokenCache(max, (result) => lookups.push(result));
  const use = async (token: string, changed: { readonly rules?: typeof rules; readonly nowMs?: number } = {}) => {
    const found = tokenCredentialFrom(token, changed.rules ?? rules, { keys, nowMs, verified, ...changed });
    return isDeny(found) ? found.reason : found.kind;
  };
  return { ring, verified, lookups, use, keyed: () => keyed };
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

  it('drops expired tokens after each 256 that it is given, and no others', async () => {
    const { use, verified, lookups } = caching(10_000);
    const [live, expired] = [mint(key), mint(key, { jti: 'e'.repeat(22), exp: nowMs / 1_000 + 1 })];
    await use(expired);
    await use(live);
    const signed: VerifiedToken[] = [];
    const taking = { get: () => null, set: (_digest: string, token: VerifiedToken) => signed.push(token) };
    tokenCredentialFrom(live, rules, { keys: ringOf([key]), nowMs, verified: taking as unknown as TokenCache });
    const [token] = signed;
    if (token === undefined) throw new Error('no token');
    for (let number = 2; number < 255; number += 1) verified.set(`other-${number}`, token, nowMs + 1_000);
    expect(verified.size).toBe(255);
    verified.set('the 256th', token, nowMs + 1_000);
    expect(verified.size).toBe(255);
    const laterMs = nowMs + 1_000;
    expect([await use(live, { nowMs: laterMs }), await use(expired, { nowMs: laterMs })]).toEqual([
      'task-token',
      'task-token',
    ]);
    expect(lookups.slice(-2)).toEqual(['hit', 'miss']);
  });

  it('holds at most `max` tokens', async () => {
    const { use, verified } = caching(2);
    for (const jti of ['a', 'b', 'c']) await use(mint(key, { jti: jti.repeat(22) }));
    expect(verified.size).toBe(2);
  });
});
