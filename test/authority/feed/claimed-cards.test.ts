import { describe, expect, it } from '@jest/globals';
import { FeedHub } from '../../../src/authority/feed/hub/feed-hub.ts';
import { digestOf, keyOf } from './serving.ts';

const hubOf = () =>
  new FeedHub({
    epoch: 'e',
    position: 0,
    leaseMs: 5_000,
    marginMs: 250,
    maxHeld: 10,
    maxHeldInAll: 10,
    inheritedUntilMs: 0,
  });
const claim = { key: keyOf(1), jti_digests: [digestOf(1)], state: 'active', generation: 1, history_version: 0 };

describe('a task that a sidecar claims to hold', () => {
  it('is not held before its card was read, and never if there is none for this sidecar', () => {
    const hub = hubOf();
    hub.connect('one', { resume: null, held: [claim] }, 0);
    expect(hub.holds('one', keyOf(1))).toBe('unread');
    const read = hub.due().get('one') ?? [];
    expect(read).toHaveLength(1);
    hub.send('one', read, { cards: [null], head: 0 });
    expect(hub.holds('one', keyOf(1))).toBe(false);
  });

  it('is not held by an open whose card was not read', () => {
    const hub = hubOf();
    hub.connect('one', { resume: null, held: [] }, 0);
    const token = { key: keyOf(1), jti_digest: digestOf(1) };
    expect(hub.noting('one', [token], 1)).toBe('ok');
    expect(hub.holds('one', keyOf(1))).toBe('unread');
    expect(hub.noted('one', [{ token, root: keyOf(1).id }], { n: 1, seq: 0 })).toBe('ok');
    expect(hub.holds('one', keyOf(1))).toBe(true);
  });
});
