import { beforeAll, describe, expect, it } from '@jest/globals';
import { keyProofOf, keyProofProblem } from '../../../src/core/identity/key-proof.ts';
import type { Svid } from '../../../src/core/identity/svid.ts';
import { svidOf, trustDomain } from '../../authority/feed/serving.ts';

const HOUR_MS = 3_600_000;
const proofOf = (by: Svid | undefined): string => (by === undefined ? '' : keyProofOf('key 1', by));

describe('keyProofProblem', () => {
  let [own, peer, sidecar, stranger]: Svid[] = [];
  beforeAll(async () => {
    const [acme, evil] = [await trustDomain('acme.test'), await trustDomain('acme.test')];
    own = svidOf(await acme.svid('/authority'), acme);
    peer = svidOf(await acme.svid('/authority'), acme);
    sidecar = svidOf(await acme.svid('/ns/pay/sa/tools-1'), acme);
    stranger = svidOf(await evil.svid('/authority'), evil);
  });
  const verified = (said: string, proof: string | null, nowMs = Date.now()): string | null =>
    own === undefined ? 'no svid' : keyProofProblem(said, proof, { svid: own, nowMs });

  it('takes the proof of another authority, also for an hour after the end of its certificate', () => {
    expect(verified('key 1', proofOf(peer))).toBeNull();
    const endMs = peer?.notAfterMs ?? 0;
    expect(verified('key 1', proofOf(peer), endMs + HOUR_MS - 1)).toBeNull();
    expect(verified('key 1', proofOf(peer), endMs + HOUR_MS + 1)).toBe(
      'has a proof by a certificate that is not valid now',
    );
  });

  it.each([
    ['no proof', () => verified('key 1', null), 'has no proof of an authority'],
    ['the proof of another key', () => verified('key 2', proofOf(peer)), 'has the proof of another key'],
    [
      'that of a sidecar',
      () => verified('key 1', proofOf(sidecar)),
      'has a proof of `spiffe://acme.test/ns/pay/sa/tools-1`, which is no authority',
    ],
    [
      'a proof of another CA of that name',
      () => verified('key 1', proofOf(stranger)),
      'has a proof that the trust bundle does not verify',
    ],
    ['text', () => verified('key 1', 'x'), 'has a proof that cannot be read'],
    ['an empty chain', () => verified('key 1', '{"chain":[],"signature":""}'), 'has a proof without an SVID'],
    ['a long text', () => verified('key 1', 'x'.repeat(40_000)), 'has no proof of an authority'],
    [
      'many certificates',
      () => verified('key 1', '{"chain":["","","","",""],"signature":""}'),
      'has no proof of an authority',
    ],
  ])('refuses %s', (_name, ask, problem) => {
    expect(ask()).toBe(problem);
  });
});
