import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Proof } from '../../../../src/core/token/proof/proof.ts';
import { ProofMemory } from '../../../../src/core/token/proof/proof-memory.ts';
import { at } from '../proofs.ts';
import { denied, nowMs, nowSeconds } from '../../../builders/tokens.ts';

const proof: Proof = {
  thumbprint: 'a'.repeat(43),
  algorithm: 'ES256',
  proofId: 'e1j3V_bKic8-LAEB',
  issuedAtSeconds: nowSeconds,
};
const numbered = (n: number, issuedAtSeconds: number): Proof => ({ ...proof, proofId: `id-${n}`, issuedAtSeconds });
const startedAtMs = nowMs - 3_600_000;
const memoryOf = (max = 100) => new ProofMemory({ pastSeconds: 60, max, startedAtMs });

const usedBefore = ['token.proof', 'the proof was used before'];
const allFull = ['token.replay-memory-full', 'the replay memory is full'];
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
    expect(memory.use(proof, at(nowMs))).toBeNull();
    expect(denied(memory.use({ ...proof, ...changes }, at(nowMs + laterMs)))).toEqual(expected);
  });

  it('separates key and `jti` unambiguously', () => {
    const memory = memoryOf();
    expect(memory.use({ ...proof, thumbprint: 'a', proofId: 'b.c' }, at(nowMs))).toBeNull();
    expect(memory.use({ ...proof, thumbprint: 'a.', proofId: 'b.c' }, at(nowMs))).toBeNull();
  });

  it('refuses at its limit instead of forgetting, and reports replays first', () => {
    const memory = memoryOf(5);
    const three = ['a', 'b', 'c'].map((id): Proof => Object.assign({}, proof, { proofId: id.repeat(16) }));
    const ofKey = ['token.replay-memory-full', 'the key has used up its share of the replay memory'];
    expect(three.map((each) => denied(memory.use(each, at(nowMs))))).toEqual([null, null, ofKey]);
    expect(three.map((each) => denied(memory.use(each, at(nowMs))))).toEqual([usedBefore, usedBefore, ofKey]);
    expect(memory.size).toBe(2);
  });

  it('leaves room for others under a flood by one key or one agent with many keys (issue 14, point 8)', () => {
    const refused: string[] = [];
    const memory = new ProofMemory({
      pastSeconds: 60,
      max: 300,
      startedAtMs,
      onRefused: (bound) => refused.push(bound),
    });
    const flood = (agent: string, keyOf: (n: number) => string): number => {
      let taken = 0;
      for (let n = 0; n < 400; n += 1) {
        const next = { ...proof, thumbprint: keyOf(n), proofId: `${agent}-${n}` };
        if (memory.use(next, at(nowMs, agent)) === null) taken += 1;
      }
      return taken;
    };
    expect(flood('one', () => 'k'.repeat(43))).toBe(100);
    expect(flood('one', (n) => String(n).padEnd(43, 'x'))).toBe(50);
    expect(new Set(refused)).toEqual(new Set(['key', 'agent']));
    const others = Array.from({ length: 20 }, (_, n) =>
      memory.use({ ...proof, thumbprint: `o${n}` }, at(nowMs, `o${n}`)),
    );
    expect(others).toEqual(others.map(() => null));
  });

  it('refuses a proof of the future, which it would have to remember until then (issue 37, point 7)', () => {
    const memory = memoryOf();
    const future = ['token.proof', 'the proof is issued in the future'];
    expect(memory.use(numbered(1, nowSeconds + 60), at(nowMs))).toBeNull();
    expect(denied(memory.use(numbered(2, nowSeconds + 62), at(nowMs)))).toEqual(future);
    expect(denied(memory.use(numbered(3, 2 ** 52), at(nowMs)))).toEqual(future);
    expect(memory.size).toBe(1);
    // And everything that it takes is forgotten a window later.
    memory.use(numbered(4, nowSeconds + 122), at(nowMs + 122_000));
    expect(memory.size).toBe(1);
  });

  it('leaves room for the agents of other sidecars, whatever a sidecar names (issue 37, point 7)', () => {
    const memory = memoryOf(200);
    const flood = Array.from({ length: 400 }, (_, n) => {
      const asked = { ...at(nowMs, `agent-${n}`), sidecar: 'spiffe://acme.test/hostile' };
      return denied(memory.use({ ...proof, thumbprint: `k-${n}`, proofId: `id-${n}` }, asked));
    });
    expect(flood.filter((refused) => refused === null)).toHaveLength(160);
    expect(flood.at(-1)).toEqual(allFull);
    // In the names of the honest agent and its key.
    const named = { ...at(nowMs, 'planner'), sidecar: 'spiffe://acme.test/hostile' };
    memory.use(proof, named);
    const honest = { ...at(nowMs, 'planner'), sidecar: 'spiffe://acme.test/honest' };
    expect(memory.use({ ...proof, proofId: 'honest' }, honest)).toBeNull();
  });

  it('has room for a newcomer after any floods', () => {
    const flood = fc.record({ agent: fc.nat(4), key: fc.nat(3), count: fc.nat(200) });
    fc.assert(
      fc.property(fc.array(flood, { maxLength: 12 }), (floods) => {
        const memory = memoryOf(200);
        let id = 0;
        for (const { agent, key, count } of floods) {
          for (let n = 0; n < count; n += 1) {
            const next = { ...proof, thumbprint: `${agent}.${key}`, proofId: `id-${(id += 1)}` };
            memory.use(next, at(nowMs, String(agent)));
          }
        }
        return memory.use(proof, at(nowMs, 'newcomer')) === null;
      }),
      { numRuns: 30 },
    );
  });

  it('releases the share of forgotten proofs', () => {
    const memory = memoryOf(5);
    expect([1, 2].map((n) => memory.use(numbered(n, nowSeconds), at(nowMs)))).toEqual([null, null]);
    const later = at(nowMs + 61_000);
    expect([3, 4].map((n) => memory.use(numbered(n, nowSeconds + 61), later))).toEqual([null, null]);
  });

  it('accepts current proofs after a fast wall clock is corrected, and no replays', () => {
    const memory = memoryOf();
    const aheadSeconds = nowSeconds + 600;
    const ahead = { agent: 'a', clocks: { wallMs: nowMs + 600_000, floorMs: nowMs } };
    const during = { ...proof, proofId: 'during', issuedAtSeconds: aheadSeconds };
    expect(memory.use(during, ahead)).toBeNull();
    expect(memory.use(proof, at(nowMs + 1_000))).toBeNull();
    expect(denied(memory.use(during, at(nowMs + 600_000)))).toEqual(usedBefore);
  });

  it('has room again when remembered proofs have expired', () => {
    const memory = memoryOf(1);
    const next = { ...proof, proofId: 'b'.repeat(16), issuedAtSeconds: nowSeconds + 61 };
    expect(memory.use(proof, at(nowMs))).toBeNull();
    expect(denied(memory.use({ ...next, issuedAtSeconds: nowSeconds + 60 }, at(nowMs + 60_000)))).toEqual(allFull);
    expect(memory.use(next, at(nowMs + 61_000))).toBeNull();
    expect(memory.size).toBe(1);
  });

  it('accepts no forgotten proof when the clock steps back', () => {
    const memory = memoryOf();
    expect(memory.use(proof, at(nowMs))).toBeNull();
    expect(
      memory.use({ ...proof, proofId: 'b'.repeat(16), issuedAtSeconds: nowSeconds + 70 }, at(nowMs + 70_000)),
    ).toBeNull();
    expect(denied(memory.use(proof, at(nowMs)))).toEqual(older);
  });

  it('refuses a proof issued before its start', () => {
    const memory = new ProofMemory({ pastSeconds: 60, startedAtMs: nowMs });
    expect(denied(memory.use({ ...proof, issuedAtSeconds: nowSeconds - 1 }, at(nowMs)))).toEqual(older);
    expect(memory.use(proof, at(nowMs))).toBeNull();
  });

  it('enforces a long window to the second, with coarser buckets', () => {
    const memory = new ProofMemory({ pastSeconds: 600, max: 10, startedAtMs });
    expect(memory.use(proof, at(nowMs))).toBeNull();
    expect(denied(memory.use(proof, at(nowMs + 600_000)))).toEqual(usedBefore);
    expect(denied(memory.use(proof, at(nowMs + 600_001)))).toEqual(older);
    expect(memory.use({ ...proof, issuedAtSeconds: nowSeconds + 620 }, at(nowMs + 620_000))).toBeNull();
    expect(memory.size).toBe(1);
  });

  it('accepts each proof once within its window, in any order of proofs and instants', () => {
    const use = fc.record({ id: fc.nat(3), issued: fc.nat(20), laterMs: fc.integer({ min: -500, max: 3_000 }) });
    fc.assert(
      fc.property(fc.array(use, { maxLength: 60 }), (uses) => {
        const memory = new ProofMemory({ pastSeconds: 10, max: 20, startedAtMs: 0 });
        const taken = new Set<string>();
        let now = 20_000;
        return uses.every(({ id, issued, laterMs }) => {
          now += laterMs;
          const issuedAtSeconds = Math.floor(now / 1000) - issued;
          if (issuedAtSeconds < 0 || now / 1000 > issuedAtSeconds + 10) return true;
          const key = `${id} ${issuedAtSeconds}`;
          const isTaken = memory.use({ ...proof, proofId: String(id), issuedAtSeconds }, at(now)) === null;
          if (!isTaken) return memory.size <= 20;
          if (taken.has(key)) return false;
          taken.add(key);
          return memory.size <= 20;
        });
      }),
    );
  });

  it('remembers 100,000 proofs by default', () => {
    const memory = new ProofMemory({ pastSeconds: 60, startedAtMs });
    let refused = 0;
    for (let index = 0; index < 100_050; index++) {
      const issuedAtSeconds = nowSeconds - (index % 60);
      const use = at(nowMs, `agent ${index}`);
      const answer = memory.use({ ...proof, thumbprint: `key ${index}`, issuedAtSeconds }, use);
      if (answer !== null) refused += 1;
    }
    expect([memory.size, refused]).toEqual([100_000, 50]);
  });
});
