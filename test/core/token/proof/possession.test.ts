import { describe, expect, it } from '@jest/globals';
import * as oauth from 'oauth4webapi';
import { type AuthorizationScheme, credentialFrom } from '../../../../src/core/token/authorization-header.ts';
import type { Confirmation } from '../../../../src/core/token/proof/confirmation.ts';
import { jwkFrom } from '../../../../src/core/token/jose/jwk.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { possessionFrom } from '../../../../src/core/token/proof/possession.ts';
import { defaultProofRules } from '../../../../src/core/token/proof/proof.ts';
import { ProofMemory } from '../../../../src/core/token/proof/proof-memory.ts';
import { targetUriOf } from '../../../../src/core/token/proof/target-uri.ts';
import { accessToken, at, bareJwk, proofBy, request } from '../proofs.ts';
import { certificateSha256, denied, es256Key, nowMs, type TestKey } from '../../../builders/tokens.ts';
import { must } from '../../../builders/must.ts';

const key = es256Key();
const other = es256Key();

function thumbprintOf(by: TestKey): string {
  const read = jwkFrom(bareJwk(by));
  if (isProblem(read) || read.usable === null) throw new Error('no key');
  return read.usable.thumbprint;
}

const boundTo = (by: TestKey): Confirmation => ({ kind: 'jkt', thumbprint: thumbprintOf(by) });

const session = () => {
  const memory = new ProofMemory({ pastSeconds: 60, startedAtMs: nowMs - 60_000 });
  const answer = async (
    values: readonly string[],
    {
      scheme = 'DPoP',
      confirmation = boundTo(key),
    }: { scheme?: AuthorizationScheme; confirmation?: Confirmation | null } = {},
  ) =>
    denied(possessionFrom(values, { scheme, token: accessToken, confirmation }, { ...request, ...at(nowMs), memory }));
  return { memory, answer };
};

describe('possessionFrom', () => {
  it('returns the proof once', async () => {
    const { memory, answer } = session();
    expect(await answer([proofBy(key)])).toMatchObject({ thumbprint: thumbprintOf(key) });
    expect(await answer([proofBy(key)])).toEqual(['token.proof', 'the proof was used before']);
    expect(await answer([proofBy(key, { jti: 'another-identifier' })])).toMatchObject({ algorithm: 'ES256' });
    expect(memory.size).toBe(2);
  });

  it('accepts one of many concurrent uses', async () => {
    const { answer } = session();
    const proof = proofBy(key);
    const answers = await Promise.all(Array.from({ length: 50 }, () => answer([proof])));
    expect(answers.filter((each) => !Array.isArray(each))).toHaveLength(1);
  });

  it('ignores proofs if the token was sent as `Bearer`', async () => {
    const { memory, answer } = session();
    expect(await answer([], { scheme: 'Bearer' })).toBeNull();
    expect(await answer(['rubbish', 'more'], { scheme: 'Bearer' })).toBeNull();
    expect(memory.size).toBe(0);
  });

  it.each<[string, Confirmation | null]>([
    ['another key', boundTo(other)],
    ['a certificate', { kind: 'x5t#S256', thumbprint: certificateSha256 }],
    ['a certificate of the same digest', { kind: 'x5t#S256', thumbprint: thumbprintOf(key) }],
    ['nothing', null],
  ])('remembers no proof for a token bound to %s', async (_name, confirmation) => {
    const { memory, answer } = session();
    expect(await answer([proofBy(key)], { confirmation })).toMatchObject({ thumbprint: thumbprintOf(key) });
    expect(memory.size).toBe(0);
  });

  it('does not remember invalid proofs', async () => {
    const { memory, answer } = session();
    expect(await answer([])).toEqual(['token.proof', 'no `DPoP` header']);
    expect(await answer([proofBy(key, { htm: 'GET' })])).toEqual([
      'token.proof',
      'proof claim `htm` is not the method of the call',
    ]);
    expect(memory.size).toBe(0);
  });
});

describe('possessionFrom with a stock client', () => {
  it.each(['ES256', 'Ed25519', 'RS256'] as const)(
    'accepts the proof of oauth4webapi with a key for %s',
    async (algorithm) => {
      const client: oauth.Client = { client_id: 'planner' };
      const handle = oauth.DPoP(client, await oauth.generateKeyPair(algorithm));
      const url = new URL('https://gateway.acme.test/v1/payments/a%20b?currency=EUR');
      const sent: Record<string, string>[] = [];
      await oauth.protectedResourceRequest(accessToken, 'PUT', url, undefined, null, {
        DPoP: handle,
        [oauth.customFetch]: (_url: string, { headers }: { readonly headers: Record<string, string> }) => {
          sent.push(headers);
          return Promise.resolve(new Response());
        },
      });
      const [headers = {}] = sent;
      const presented = must(credentialFrom([headers['authorization'] ?? '']));
      const confirmation: Confirmation = { kind: 'jkt', thumbprint: await handle.calculateThumbprint() };
      const atMs = Date.now();
      const proof = possessionFrom(
        [headers['dpop'] ?? ''],
        { ...presented, confirmation },
        {
          method: 'PUT',
          url: targetUriOf('https://gateway.acme.test', '/v1/payments/a%20b'),
          ...at(atMs),
          rules: defaultProofRules,
          memory: new ProofMemory({ pastSeconds: 60, startedAtMs: atMs - 60_000 }),
        },
      );
      expect(proof).toMatchObject({ algorithm, thumbprint: confirmation.thumbprint });
    },
  );
});
