import { describe, expect, it } from '@jest/globals';
import { FeedHub } from '../../../../src/authority/feed/hub/feed-hub.ts';
import type { Down } from '../../../../src/core/fleet/messages.ts';

const key = { issuer: 'https://issuer.acme.test', id: 'r1' };
const token = { key, jti_digest: 'digest' };
const change = { root: 'r1', part: 'task' } as const;

/** A hub with one sidecar that holds the task `r1`. */
function hubWithHolder(): FeedHub {
  const hub = new FeedHub({
    epoch: 'epoch',
    position: 8,
    leaseMs: 5_000,
    marginMs: 250,
    maxHeld: 10,
    maxHeldInAll: 100_000,
    inheritedUntilMs: 0,
  });
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
