import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { assert, constantFrom, integer, property, tuple } from 'fast-check';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { type CredentialRules, tokenCredentialFrom } from '../../../src/core/token/credential.ts';
import { IssuedTokens, type SignedWith } from '../../../src/core/token/issued-tokens.ts';
import { TokenCache } from '../../../src/core/token/token-cache.ts';
import type { TestKey } from '../../builders/tokens.ts';
import { denied, es256Key, issuer, jwksOf, mint, nowMs, ringOf, rules as task } from '../../builders/tokens.ts';

const rules: CredentialRules = { task, external: { ...task, types: new Map() } };
const key = es256Key();

const signedWith = ({ algorithm, keyId, privateKey }: TestKey): SignedWith => ({
  algorithm,
  keyId,
  publicKey: createPublicKey(privateKey),
});

/** A process that issues tokens and checks their uses, with what it found in its cache. */
const issuing = () => {
  const lookups: string[] = [];
  const keys = ringOf([key]);
  const verified = new TokenCache({ tokens: 10, signatures: 100 }, (result) => lookups.push(result));
  const issued = new IssuedTokens({ issuer, keys, verified, maxBytes: task.maxBytes, nowMs: () => nowMs });
  const use = (token: string, atMs = nowMs) => tokenCredentialFrom(token, rules, { keys, nowMs: atMs, verified });
  return { keys, issued, lookups, use };
};

const uncached = (token: string, atMs = nowMs): unknown =>
  denied(tokenCredentialFrom(token, rules, { keys: ringOf([key]), nowMs: atMs }));

describe('IssuedTokens', () => {
  it('makes the first use of a noted token a hit, with the credential of a use without a cache', () => {
    const { issued, lookups, use } = issuing();
    const token = mint(key);
    issued.note(token, signedWith(key));
    expect(use(token)).toEqual(uncached(token));
    expect(use(token)).toEqual(uncached(token));
    expect(lookups).toEqual(['hit', 'hit']);
  });

  it.each([
    ['that has expired', { exp: nowMs / 1_000 - 10 }, 'token.expired'],
    ['for another resource', { aud: 'https://tickets.acme.test' }, 'token.audience'],
    ['without a binding', { cnf: undefined }, 'token.binding'],
    ['of another issuer', { iss: 'https://other.acme.test' }, 'token.issuer'],
    ['whose claims are malformed', { txn: 'none' }, 'token.malformed'],
  ])('is no reason to accept a noted token %s', (_which, claims, reason) => {
    const { issued, use } = issuing();
    const token = mint(key, claims);
    issued.note(token, signedWith(key));
    const [first, second] = [use(token), use(token)];
    expect([denied(first), denied(second)]).toEqual([uncached(token), uncached(token)]);
    expect(isDeny(first) && first.reason).toBe(reason);
  });

  it('counts for the whole text alone: a text with any other character is judged as without it', () => {
    const { issued, use } = issuing();
    const token = mint(key);
    issued.note(token, signedWith(key));
    const changed = tuple(integer({ min: 0, max: token.length - 1 }), constantFrom('A', 'b', '-', '.', '')).map(
      ([at, by]) => token.slice(0, at) + by + token.slice(at + 1),
    );
    assert(property(changed, (text) => expect(denied(use(text))).toEqual(uncached(text))));
  });

  it('verifies a token of the same claims that it did not sign', () => {
    const { issued, lookups, use } = issuing();
    issued.note(mint(key), signedWith(key));
    const again = mint(key);
    const forged = mint({ ...es256Key(), keyId: key.keyId });
    expect(use(again)).toEqual(uncached(again));
    expect(denied(use(forged))).toEqual(uncached(forged));
    expect(lookups).toEqual(['miss', 'miss']);
  });

  it('notes nothing under a key by which this process does not verify', () => {
    const { issued, lookups, use } = issuing();
    for (const other of [es256Key('es-2'), { ...es256Key(), keyId: key.keyId }]) {
      const token = mint(other);
      issued.note(token, signedWith(other));
      expect(denied(use(token))).toEqual(uncached(token));
    }
    expect(lookups).toEqual(['miss', 'miss']);
  });

  it('verifies a noted token once its key was replaced or withdrawn', () => {
    const { issued, keys, use } = issuing();
    const token = mint(key);
    issued.note(token, signedWith(key));
    keys.replace(issuer, jwksOf({ ...es256Key(), keyId: key.keyId }));
    expect(isDeny(use(token)) && use(token)).toMatchObject({ reason: 'token.signature' });
    keys.replace(issuer, jwksOf(es256Key('es-2')));
    expect(isDeny(use(token)) && use(token)).toMatchObject({ reason: 'token.signature' });
    keys.replace(issuer, jwksOf(key));
    expect(use(token)).toEqual(uncached(token));
  });
});
