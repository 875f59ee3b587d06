import { describe, expect, it } from '@jest/globals';
import { proofFrom } from '../../../../src/core/token/proof/proof.ts';
import { ProofNonces } from '../../../../src/core/token/proof/proof-nonce.ts';
import { denied, es256Key } from '../../../builders/tokens.ts';
import { proofBy, request } from '../proofs.ts';

const es = es256Key();
const key = new Uint8Array(32).fill(1);

describe('the nonces of proofs', () => {
  it('are accepted in their window of five minutes and the next', () => {
    let nowMs = 3_600_000;
    const nonces = new ProofNonces(key, () => nowMs);
    const nonce = nonces.current();
    expect(nonce).toMatch(/^[\w-]{30}$/);
    nowMs += 299_999;
    expect([nonces.current(), nonces.isAccepted(nonce)]).toEqual([nonce, true]);
    nowMs += 1;
    expect(nonces.current()).not.toBe(nonce);
    expect([nonces.isAccepted(nonce), nonces.isAccepted(nonces.current())]).toEqual([true, true]);
    nowMs += 300_000;
    expect(nonces.isAccepted(nonce)).toBe(false);
  });

  it('of another process, changed or empty are not accepted', () => {
    const nonces = new ProofNonces(key, () => 0);
    const nonce = nonces.current();
    const others = new ProofNonces(new Uint8Array(32).fill(2), () => 0);
    const changed = `${nonce.startsWith('A') ? 'B' : 'A'}${nonce.slice(1)}`;
    for (const other of [others.current(), changed, '', nonce.slice(1), `${nonce}A`, 'é'.repeat(30)]) {
      expect(nonces.isAccepted(other)).toBe(false);
    }
  });

  it('are asked of a proof that is valid otherwise, and of no other', async () => {
    const nonces = new ProofNonces(key, () => 0);
    const answer = async (nonce: unknown, of: Readonly<Record<string, unknown>> = {}) =>
      denied(proofFrom([proofBy(es, nonce === undefined ? of : { ...of, nonce })], { ...request, nonces }));
    expect(await answer(nonces.current())).toMatchObject({ algorithm: 'ES256' });
    expect(await answer(undefined)).toEqual(['token.proof-nonce', 'proof claim `nonce` is required']);
    expect(await answer('stale')).toEqual([
      'token.proof-nonce',
      'proof claim `nonce` is not of this process, or is too old',
    ]);
    expect(await answer(undefined, { htm: 'PUT' })).toEqual(['token.proof', expect.stringContaining('`htm`')]);
    expect(await answer(5)).toEqual(['token.proof', expect.stringContaining('`nonce`')]);
  });
});
