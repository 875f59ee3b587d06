import { describe, expect, it } from '@jest/globals';
import { FeedHub } from '../../../../src/authority/feed/hub/feed-hub.ts';
import type { Down } from '../../../../src/core/fleet/messages.ts';

const key = { issuer: 'https://issuer.acme.test', id: 'r1' };
const token = { key, jti_digest: 'digest' };
const change = { root: 'r1', part: 'task' } as const;

const OPTIONS = {
  epoch: 'epoch',
  position: 8,
  leaseMs: 5_000,
  marginMs: 250,
  maxHeld: 10,
  maxHeldInAll: 100_000,
  inheritedUntilMs: 0,
};

/** A hub with one sidecar that holds the task `r1`. */
function hubWithHolder(): FeedHub {
  const hub = new FeedHub(OPTIONS);
  hub.connect('s1', { resume: null, held: [] }, 0);
  hub.noting('s1', [token], 1);
  hub.noted('s1', [{ token, root: 'r1' }], { n: 1, seq: 8 });
  return hub;
}

describe('FeedHub.receipt', () => {
  it('does not take an acknowledgement of an earlier change of a task for that of a later change', () => {
    const hub = hubWithHolder();
    hub.changed([change], { seq: 9, mark: '' }, 10);
    for (const [id, cards] of hub.due()) hub.send(id, cards, { cards: cards.map(() => null), head: 9 });
    hub.noting('s1', [token], 2);
    hub.noted('s1', [{ token, root: 'r1' }], { n: 2, seq: 9 });
    hub.changed([change], { seq: 10, mark: '' }, 20);
    // Who waits for the first change is asked after the second one has come.
    expect(hub.receipt(9, 'r1', 30).enforced).toBe(false);
    expect(hub.receipt(10, 'r1', 30)).toEqual({ enforced: false, holders: 1, acknowledged: 0, fenced: 0 });
    hub.ack('s1', 9);
    expect(hub.receipt(10, 'r1', 40).enforced).toBe(false);
  });

  it('waits for a sidecar that has not heard yet that it holds the task no longer', () => {
    const hub = hubWithHolder();
    hub.changed([change], { seq: 9, mark: '' }, 10);
    for (const [id, cards] of hub.due()) hub.send(id, cards, { cards: cards.map(() => null), head: 9 });
    hub.changed([change], { seq: 10, mark: '' }, 20);
    expect(hub.receipt(10, 'r1', 30)).toEqual({ enforced: false, holders: 1, acknowledged: 0, fenced: 0 });
    hub.ack('s1', 9);
    expect(hub.receipt(10, 'r1', 40).enforced).toBe(true);
  });
});

describe('FeedHub.send', () => {
  it('waits, with later changes, for a sidecar whose earlier lease runs and that has not heard that a task is gone', () => {
    const hub = hubWithHolder();
    hub.disconnect('s1', 10);
    const held = { key, jti_digests: ['digest', 'other'], state: 'active', generation: 1, history_version: 0 };
    hub.connect('s1', { resume: { epoch: 'epoch', seq: 8, mark: '' }, held: [held] }, 20);
    // Nothing of it is for the sidecar any more.
    for (const [id, cards] of hub.due()) hub.send(id, cards, { cards: [null], head: 8 });
    hub.disconnect('s1', 30);
    hub.changed([change], { seq: 9, mark: '' }, 40);
    expect(hub.receipt(9, 'r1', 40).enforced).toBe(false);
    expect(hub.receipt(9, 'r1', 20 + 5_000 + 250).enforced).toBe(true);
  });

  it('says that a task is gone also if another token of it was opened meanwhile', () => {
    const hub = hubWithHolder();
    const said = (): readonly Down[] => [...(hub.outgoing().get('s1') ?? [])].filter(({ of }) => of === 'changes');
    said();
    hub.changed([change], { seq: 9, mark: '' }, 10);
    const due = hub.due();
    const other = { ...token, jti_digest: 'other' };
    hub.noting('s1', [other], 2);
    hub.noted('s1', [{ token: other, root: null }], { n: 2, seq: 9 });
    for (const [id, cards] of due) hub.send(id, cards, { cards: [null], head: 9 });
    expect(said()).toEqual([]);
    for (const [id, cards] of hub.due()) hub.send(id, cards, { cards: [null], head: 9 });
    expect(said()).toMatchObject([{ changes: { to: 9, cards: [], gone: [key] } }]);
  });
});

// The sidecar would use it for good: nobody would tell it of the end, which would be acknowledged.
describe('FeedHub.noted', () => {
  it('forgets no task that the sidecar said it holds, if another token of it is not there for the sidecar', () => {
    const held = { key, jti_digests: ['digest'], state: 'active', generation: 1, history_version: 0 };
    const hub = new FeedHub(OPTIONS);
    hub.connect('s1', { resume: { epoch: 'epoch', seq: 8, mark: '' }, held: [held] }, 20);
    const other = { ...token, jti_digest: 'other' };
    hub.noting('s1', [other], 2);
    expect(hub.noted('s1', [{ token: other, root: null }], { n: 2, seq: 8 })).toBe('ok');
    expect(hub.holds('s1', key)).toBe('unread');
    for (const [id, cards] of hub.due()) hub.send(id, cards, { cards: [null], head: 8 });
    expect(hub.outgoing().get('s1')).toMatchObject([{ changes: { cards: [], gone: [key] } }]);
    expect(hub.holds('s1', key)).toBe(false);
  });
});
