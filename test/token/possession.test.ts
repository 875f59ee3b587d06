import { describe, expect, it } from '@jest/globals';
import type { AuthorizationScheme } from '../../src/token/authorization-header.ts';
import type { Confirmation } from '../../src/token/confirmation.ts';
import { jwkFrom } from '../../src/token/jwk.ts';
import { isProblem } from '../../src/token/members.ts';
import { possessionFrom } from '../../src/token/possession.ts';
import { ProofMemory } from '../../src/token/proof-memory.ts';
import { accessToken, bareJwk, proofBy, request } from './proofs.ts';
import { certificateSha256, denied, es256Key, nowMs, type TestKey } from './tokens.ts';

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
  ) => denied(await possessionFrom(values, { scheme, token: accessToken, confirmation }, { ...request, memory }));
  return { memory, answer };
};

describe('possessionFrom', () => {
  it('gives the proof once', async () => {
    const { memory, answer } = session();
    expect(await answer([proofBy(key)])).toMatchObject({ thumbprint: thumbprintOf(key) });
    expect(await answer([proofBy(key)])).toEqual(['token.proof', 'the proof was used before']);
    expect(await answer([proofBy(key, { jti: 'another-identifier' })])).toMatchObject({ algorithm: 'ES256' });
    expect(memory.size).toBe(2);
  });

  it('lets one through of many that come at once', async () => {
    const { answer } = session();
    const proof = proofBy(key);
    const answers = await Promise.all(Array.from({ length: 50 }, () => answer([proof])));
    expect(answers.filter((each) => !Array.isArray(each))).toHaveLength(1);
  });

  it('asks for none where the token was sent as `Bearer`, and looks at none', async () => {
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

  it('remembers no proof that is not valid', async () => {
    const { memory, answer } = session();
    expect(await answer([])).toEqual(['token.proof', 'no `DPoP` header']);
    expect(await answer([proofBy(key, { htm: 'GET' })])).toEqual([
      'token.proof',
      'proof claim `htm` is not the method of the call',
    ]);
    expect(memory.size).toBe(0);
  });
});
