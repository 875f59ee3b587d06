import { describe, expect, it } from '@jest/globals';
import { FeedHub } from '../../../src/authority/feed/hub/feed-hub.ts';

const token = (n: number) => ({ key: { issuer: 'i', id: `task-${n}` }, jti_digest: `token-${n}` });
const tokens = (first: number, count: number) => Array.from({ length: count }, (_, n) => token(first + n));
const held = (first: number, count: number) =>
  tokens(first, count).map(({ key, jti_digest }) => ({
    key,
    jti_digests: [jti_digest],
    state: 'active',
    generation: 1,
    history_version: 0,
  }));

const hubOf = (maxHeld: number, maxHeldInAll: number): FeedHub =>
  new FeedHub({
    epoch: 'e',
    position: 0,
    leaseMs: 5_000,
    marginMs: 250,
    maxHeld,
    maxHeldInAll,
    inheritedUntilMs: 0,
  });

describe('what sidecars may hold', () => {
  it('is bounded for each, also by what Hello claims, and grows again by what is dropped', () => {
    const hub = hubOf(10, 1_000);
    hub.connect('a', { resume: null, held: held(1, 4) }, 0);
    // A task and its token count one each.
    expect(hub.noting('a', tokens(1, 5), 1)).toBe('ok');
    expect(hub.noting('a', [token(6)], 2)).toBe('full');
    hub.dropped('a', [token(1).key], 1);
    expect(hub.noting('a', [token(6)], 3)).toBe('ok');
    expect(hub.connect('b', { resume: null, held: held(1, 6) }, 0)).toBe('full');
  });

  it('is bounded for all together, and given back by a sidecar that is gone and fenced', () => {
    const hub = hubOf(10, 13);
    hub.connect('a', { resume: null, held: held(1, 5) }, 0);
    hub.connect('b', { resume: null, held: [] }, 0);
    expect([hub.noting('b', [token(1)], 1), hub.noting('b', [token(2)], 2)]).toEqual(['ok', 'full']);
    hub.disconnect('a', 0);
    expect(hub.noting('b', [token(2)], 3)).toBe('full');
    hub.sweep(5_250);
    expect(hub.noting('b', tokens(2, 4), 4)).toBe('ok');
  });
});
