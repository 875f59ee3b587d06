import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from '@jest/globals';
import { ProofFile } from '../../../src/state/sqlite/proof-file.ts';
import type { ProofFileOptions } from '../../../src/state/sqlite/proof-file.ts';
import type { Proof } from '../../../src/token/proof.ts';
import { at } from '../../token/proofs.ts';
import { denied, nowMs, nowSeconds } from '../../builders/tokens.ts';
import { scratch } from '../../builders/scratch.ts';
import { must } from '../../builders/must.ts';

const { folder, remove } = scratch();
afterAll(remove);

const proof: Proof = {
  thumbprint: 'a'.repeat(43),
  algorithm: 'ES256',
  proofId: 'e1j3V_bKic8-LAEB',
  issuedAtSeconds: nowSeconds,
};
const numbered = (n: number, issuedAtSeconds = nowSeconds): Proof => ({
  ...proof,
  proofId: `proof-${n}`,
  issuedAtSeconds,
});

const usedBefore = ['token.proof', 'the proof was used before'];
const full = ['token.replay-memory-full', 'the agent has used up its share of the replay memory'];
const older = ['token.proof', 'the proof is older than the replay memory'];

/** The memory as one process has it open. */
const openIn = (place: string, change: Partial<ProofFileOptions> = {}): ProofFile =>
  must(
    ProofFile.open(join(place, 'state.db.proofs'), {
      pastSeconds: 60,
      startedAtMs: nowMs - 3_600_000,
      busyTimeoutMs: 20,
      onFatal: () => undefined,
      ...change,
    }),
  );

describe('ProofFile', () => {
  it.each<[string, Partial<Proof>, number, unknown]>([
    ['refuses the same proof', {}, 0, usedBefore],
    ['refuses it in the last millisecond of its window', {}, 60_000, usedBefore],
    ['refuses it once its window is over', {}, 60_001, older],
    ['refuses the same `jti` with another `iat`', { issuedAtSeconds: nowSeconds - 5 }, 0, usedBefore],
    ['accepts the same `jti` of another key', { thumbprint: 'b'.repeat(43) }, 0, null],
    ['accepts another `jti` of the same key', { proofId: 'e1j3V_bKic8-LAEC' }, 0, null],
  ])('%s, at another process', (_name, changes, laterMs, expected) => {
    const place = folder();
    const [one, other] = [openIn(place), openIn(place)].map((file) => file.memoryFor('checks'));
    expect(one?.use(proof, at(nowMs))).toBeNull();
    expect(denied(other?.use({ ...proof, ...changes }, at(nowMs + laterMs)))).toEqual(expected);
  });

  it('separates proofs used at checks from those used at the issuer, as two memories of one process do', () => {
    const file = openIn(folder());
    expect(file.memoryFor('checks').use(proof, at(nowMs))).toBeNull();
    expect(file.memoryFor('issuer').use(proof, at(nowMs))).toBeNull();
    expect(denied(file.memoryFor('issuer').use(proof, at(nowMs)))).toEqual(usedBefore);
  });

  it('remembers after every process has ended', () => {
    const place = folder();
    const before = openIn(place);
    expect(before.memoryFor('checks').use(proof, at(nowMs))).toBeNull();
    before.close();
    expect(denied(openIn(place).memoryFor('checks').use(proof, at(nowMs)))).toEqual(usedBefore);
  });

  it('refuses proofs from before its process started, which may be lost after a power failure', () => {
    const memory = openIn(folder(), { startedAtMs: nowMs }).memoryFor('checks');
    expect(denied(memory.use(numbered(1, nowSeconds - 1), at(nowMs)))).toEqual(older);
    expect(memory.use(numbered(2), at(nowMs))).toBeNull();
  });

  it('refuses at its bound instead of forgetting, reports replays first, and has room again once proofs expire', () => {
    const bounds: string[] = [];
    const memory = openIn(folder(), { max: 5 }).memoryFor('checks', (bound) => bounds.push(bound));
    const ofKey = ['token.replay-memory-full', 'the key has used up its share of the replay memory'];
    expect([1, 2, 3].map((n) => denied(memory.use(numbered(n), at(nowMs))))).toEqual([null, null, ofKey]);
    expect([1, 2, 3].map((n) => denied(memory.use(numbered(n), at(nowMs))))).toEqual([usedBefore, usedBefore, ofKey]);
    expect(bounds).toEqual(['key', 'key']);
    expect(memory.use(numbered(4, nowSeconds + 61), at(nowMs + 61_000))).toBeNull();
    expect(memory.use(numbered(5, nowSeconds + 61), at(nowMs + 61_000))).toBeNull();
    expect(denied(memory.use(numbered(6, nowSeconds + 61), at(nowMs + 61_000)))).toEqual(ofKey);
  });

  it('leaves room for other agents in every process, whatever one agent with many keys sends (issue 14, point 8)', () => {
    const place = folder();
    const [one, other] = [openIn(place, { max: 40 }), openIn(place, { max: 40 })].map((file) =>
      file.memoryFor('checks'),
    );
    const answers = Array.from({ length: 40 }, (_, n) =>
      denied(one?.use({ ...numbered(n), thumbprint: `key ${n}` }, at(nowMs, 'greedy'))),
    );
    expect(answers.filter((answer) => answer === null)).toHaveLength(20);
    expect(answers.at(-1)).toEqual(full);
    expect(other?.use({ ...numbered(1), thumbprint: 'its own' }, at(nowMs, 'modest'))).toBeNull();
  });

  it('accepts no forgotten proof in a process whose clock is behind', () => {
    const place = folder();
    const [one, other] = [openIn(place), openIn(place)].map((file) => file.memoryFor('checks'));
    expect(one?.use(proof, at(nowMs))).toBeNull();
    expect(one?.use(numbered(1, nowSeconds + 61), at(nowMs + 61_000))).toBeNull();
    expect(denied(other?.use(proof, at(nowMs)))).toEqual(older);
  });

  it('denies with a fault of Remit where it cannot write in time, and goes on', () => {
    const place = folder();
    const memory = openIn(place).memoryFor('checks');
    const other = new DatabaseSync(join(place, 'state.db.proofs'));
    other.exec('BEGIN IMMEDIATE');
    const beganMs = performance.now();
    const locked = ['task.state-unavailable', 'the replay memory is locked by another process'];
    for (let n = 0; n < 1_000; n += 1) expect(denied(memory.use(proof, at(nowMs)))).toEqual(locked);
    // The uses waited once in total. If each waited 20 ms, they would take 20 s.
    expect(performance.now() - beganMs).toBeLessThan(10_000);
    other.exec('ROLLBACK');
    other.close();
    expect(memory.use(proof, at(nowMs))).toBeNull();
  });

  it('denies everything once it is closed', () => {
    const file = openIn(folder());
    file.close();
    expect(denied(file.memoryFor('checks').use(proof, at(nowMs)))).toEqual([
      'task.state-unavailable',
      'the replay memory is closed',
    ]);
  });
});
