import { status } from '@grpc/grpc-js';
import { describe, expect, it } from '@jest/globals';
import { ProofUses } from '../../../src/authority/feed/proof-uses.ts';

const START_MS = 1_000_000_000_000;
const rights = { peer: 'unix', audiences: new Set<string>() };

/** A memory that began at `START_MS`, 30 seconds ago. */
function stage(admits = true) {
  let nowMs = START_MS;
  const asked: unknown[] = [];
  const memory = new ProofUses({
    pastSeconds: 60,
    clocks: () => ({ wallMs: nowMs, floorMs: nowMs }),
    admits: (...input) => asked.push(input) > 0 && admits,
  });
  nowMs += 30_000;
  const use = (...proofs: readonly Partial<ReturnType<typeof proof>>[]) =>
    memory.use({ proofs: proofs.map((one) => Object.assign(proof(), one)) }, rights);
  return { use, asked };
}

const proof = () => ({
  thumbprint: 'key-1',
  proof_id: 'proof-1',
  issued_at_s: START_MS / 1_000 + 10,
  agent: 'spiffe://acme.test/ns/agents/sa/planner',
});

describe('ProofUses', () => {
  it('takes each proof of each key once, whichever sidecar asks, also within one request', () => {
    const { use, asked } = stage();
    expect(use({}, {}, { proof_id: 'proof-2' }, { thumbprint: 'key-2' })).toEqual({
      reasons: ['', 'token.proof', '', ''],
    });
    expect(use({}, { proof_id: 'proof-2' })).toEqual({ reasons: ['token.proof', 'token.proof'] });
    expect(asked).toEqual([
      [rights, 4],
      [rights, 2],
    ]);
  });

  it('refuses proofs from before it began, which a process before it may have seen', () => {
    expect(stage().use({ issued_at_s: START_MS / 1_000 - 1 })).toEqual({ reasons: ['token.proof'] });
  });

  it('bounds the proofs of one key and agent', () => {
    const { use } = stage();
    const all = Array.from({ length: 800 }, (_, batch) =>
      use(...Array.from({ length: 256 }, (_unused, at) => ({ proof_id: `proof-${batch}-${at}` }))),
    ).flatMap((reply) => ('reasons' in reply ? reply.reasons : []));
    expect(new Set(all)).toEqual(new Set(['', 'token.replay-memory-full']));
    // Another agent finds room.
    expect(use({ proof_id: 'last', thumbprint: 'key-2', agent: 'another' })).toEqual({ reasons: [''] });
  });

  it.each<[string, readonly Partial<ReturnType<typeof proof>>[], status]>([
    [
      'more than 256 proofs',
      Array.from({ length: 257 }, (_, at) => ({ proof_id: `p-${at}` })),
      status.INVALID_ARGUMENT,
    ],
    ['a proof without a key', [{ thumbprint: '' }], status.INVALID_ARGUMENT],
    ['a proof without an id', [{ proof_id: '' }], status.INVALID_ARGUMENT],
    ['an id that is too long', [{ proof_id: 'x'.repeat(513) }], status.INVALID_ARGUMENT],
    ['an agent that is too long', [{ agent: 'x'.repeat(4_097) }], status.INVALID_ARGUMENT],
  ])('refuses %s, and remembers none of the request', (_what, proofs, code) => {
    const { use, asked } = stage();
    expect(use(...proofs)).toMatchObject({ code });
    expect(asked).toEqual([]);
  });

  it('refuses an identity that uses too many', () => {
    expect(stage(false).use({})).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});
