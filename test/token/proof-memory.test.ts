import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Proof } from '../../src/token/proof.ts';
import { ProofMemory } from '../../src/token/proof-memory.ts';
import { denied, nowMs, nowSeconds } from './tokens.ts';

const proof: Proof = {
  thumbprint: 'a'.repeat(43),
  algorithm: 'ES256',
  proofId: 'e1j3V_bKic8-LAEB',
  issuedAtSeconds: nowSeconds,
};
const startedAtMs = nowMs - 3_600_000;
const memoryOf = (max = 100) => new ProofMemory({ pastSeconds: 60, max, startedAtMs });

const usedBefore = ['token.proof', 'the proof was used before'];
const full = ['token.proof', 'the replay memory is full'];
const older = ['token.proof', 'the proof is older than the replay memory'];

describe('ProofMemory', () => {
  it.each<[string, Partial<Proof>, number, unknown]>([
    ['refuses the same proof', {}, 0, usedBefore],
    ['refuses it in the last millisecond of its window', {}, 60_000, usedBefore],
    ['refuses it once its window is over', {}, 60_001, older],
    ['refuses the same `jti` with another `iat`', { issuedAtSeconds: nowSeconds - 5 }, 0, usedBefore],
    ['takes the same `jti` of another key', { thumbprint: 'b'.repeat(43) }, 0, null],
    ['takes another `jti` of the same key', { proofId: 'e1j3V_bKic8-LAEC' }, 0, null],
  ])('%s', (_name, changes, laterMs, expected) => {
    const memory = memoryOf();
    expect(memory.use(proof, nowMs)).toBeNull();
    expect(denied(memory.use({ ...proof, ...changes }, nowMs + laterMs))).toEqual(expected);
  });

  it('tells key and `jti` apart however they are cut', () => {
    const memory = memoryOf();
    expect(memory.use({ ...proof, thumbprint: 'a', proofId: 'b.c' }, nowMs)).toBeNull();
    expect(memory.use({ ...proof, thumbprint: 'a.', proofId: 'b.c' }, nowMs)).toBeNull();
  });

  it('refuses at its bound rather than forget, and says a replay first', () => {
    const memory = memoryOf(2);
    const three = ['a', 'b', 'c'].map((id): Proof => Object.assign({}, proof, { proofId: id.repeat(16) }));
    expect(three.map((each) => denied(memory.use(each, nowMs)))).toEqual([null, null, full]);
    expect(three.map((each) => denied(memory.use(each, nowMs)))).toEqual([usedBefore, usedBefore, full]);
    expect(memory.size).toBe(2);
  });

  it('has room again when what it remembers is over', () => {
    const memory = memoryOf(1);
    const next = { ...proof, proofId: 'b'.repeat(16), issuedAtSeconds: nowSeconds + 61 };
    expect(memory.use(proof, nowMs)).toBeNull();
    expect(denied(memory.use({ ...next, issuedAtSeconds: nowSeconds + 60 }, nowMs + 60_000))).toEqual(full);
    expect(memory.use(next, nowMs + 61_000)).toBeNull();
    expect(memory.size).toBe(1);
  });

  it('takes nothing back when the clock steps back', () => {
    const memory = memoryOf();
    expect(memory.use(proof, nowMs)).toBeNull();
    expect(
      memory.use({ ...proof, proofId: 'b'.repeat(16), issuedAtSeconds: nowSeconds + 70 }, nowMs + 70_000),
    ).toBeNull();
    expect(denied(memory.use(proof, nowMs))).toEqual(older);
  });

  it('refuses a proof that was issued before it began', () => {
    const memory = new ProofMemory({ pastSeconds: 60, startedAtMs: nowMs });
    expect(denied(memory.use({ ...proof, issuedAtSeconds: nowSeconds - 1 }, nowMs))).toEqual(older);
    expect(memory.use(proof, nowMs)).toBeNull();
  });

  it('holds a long window to the second, in coarser buckets', () => {
    const memory = new ProofMemory({ pastSeconds: 600, max: 10, startedAtMs });
    expect(memory.use(proof, nowMs)).toBeNull();
    expect(denied(memory.use(proof, nowMs + 600_000))).toEqual(usedBefore);
    expect(denied(memory.use(proof, nowMs + 600_001))).toEqual(older);
    expect(memory.use({ ...proof, issuedAtSeconds: nowSeconds + 620 }, nowMs + 620_000)).toBeNull();
    expect(memory.size).toBe(1);
  });

  it('takes each proof once within its window, for any order of proofs and instants', () => {
    const use = fc.record({ id: fc.nat(3), issued: fc.nat(20), at: fc.integer({ min: -500, max: 3_000 }) });
    fc.assert(
      fc.property(fc.array(use, { maxLength: 60 }), (uses) => {
        const memory = new ProofMemory({ pastSeconds: 10, max: 20, startedAtMs: 0 });
        const taken = new Set<string>();
        let now = 20_000;
        return uses.every(({ id, issued, at }) => {
          now += at;
          const issuedAtSeconds = Math.floor(now / 1000) - issued;
          if (issuedAtSeconds < 0 || now / 1000 > issuedAtSeconds + 10) return true;
          const key = `${id} ${issuedAtSeconds}`;
          const isTaken = memory.use({ ...proof, proofId: String(id), issuedAtSeconds }, now) === null;
          if (!isTaken) return memory.size <= 20;
          if (taken.has(key)) return false;
          taken.add(key);
          return memory.size <= 20;
        });
      }),
    );
  });

  it('remembers 100,000 proofs where nothing else is configured', () => {
    const memory = new ProofMemory({ pastSeconds: 60, startedAtMs });
    let refused = 0;
    for (let index = 0; index < 100_050; index++) {
      const issuedAtSeconds = nowSeconds - (index % 60);
      const answer = memory.use({ ...proof, proofId: `proof-number-${index}`, issuedAtSeconds }, nowMs);
      if (answer !== null) refused += 1;
    }
    expect([memory.size, refused]).toEqual([100_000, 50]);
  });
});
