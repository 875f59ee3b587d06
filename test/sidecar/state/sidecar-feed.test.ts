import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { Down, OpenReply, OpenRequest, Up } from '../../../src/core/fleet/messages.ts';
import { SidecarFeed } from '../../../src/sidecar/state/sidecar-feed.ts';
import { digestOf, ModelHub, taskOf } from './model-hub.ts';

const at = (ms: number) => ({ monotonicMs: ms, wallMs: 1_000_000 + ms });
const own = { version: '1', policy_set: '', log: null };
const feedWith = (maxCards = 10) => new SidecarFeed({ instance: 'i', maxCards });
const token = (task: number, number = 0) => ({ key: taskOf(task), jti_digest: digestOf(task, number) });
const lookAt = (feed: SidecarFeed, task: number, number = 0, atMs = 0) =>
  feed.of(taskOf(task), digestOf(task, number), at(atMs));

/** A sidecar that follows a hub, with a lease from 0 to 1 ms. */
function following(maxCards = 10): { feed: SidecarFeed; hub: ModelHub } {
  const [feed, hub] = [feedWith(maxCards), new ModelHub()];
  hub.change(0, null);
  follow(feed, hub);
  return { feed, hub };
}

function follow(feed: SidecarFeed, hub: ModelHub): readonly (readonly Up[] | 'resync')[] {
  const welcome = hub.connect(feed.hello(own));
  const { n } = feed.ping(at(0), null);
  return [{ of: 'welcome', welcome } as const, changesOf(hub), freshOf(hub, n)].map((down) => feed.heard(down));
}

const changesOf = (hub: ModelHub): Down => ({ of: 'changes', changes: hub.changes() });
const freshOf = (hub: ModelHub, n: number): Down => ({ of: 'fresh', fresh: hub.fresh(n) });

function openAt(feed: SidecarFeed, hub: ModelHub, task: number, number = 0): void {
  const request = feed.open([token(task, number)]);
  feed.opened(request, hub.open(request));
}

describe('the feed of a sidecar', () => {
  it('is stale before the first answer to a ping and after the lease, and knows no card before an open', () => {
    const feed = feedWith();
    expect(lookAt(feed, 1)).toBe('stale');
    const hub = new ModelHub();
    follow(feed, hub);
    expect([lookAt(feed, 1), lookAt(feed, 1, 0, 1)]).toEqual(['unknown', 'stale']);
    openAt(feed, hub, 1);
    expect(lookAt(feed, 1)).toMatchObject({ task: { id: taskOf(1).id }, issued: { jtiDigest: digestOf(1, 0) } });
  });

  it('says that a token does not exist, once an open has said so, until the next stream', () => {
    const { feed, hub } = following();
    const request = feed.open([token(1)]);
    expect(feed.opened(request, { ...hub.open(request), opened: [{ card: null }] })).toBe(true);
    expect(lookAt(feed, 1)).toBeUndefined();
    follow(feed, hub);
    expect(lookAt(feed, 1)).toBe('unknown');
  });

  it('acknowledges changes once they are applied, and resumes behind them', () => {
    const { feed, hub } = following();
    openAt(feed, hub, 1);
    hub.change(1, null);
    expect(feed.heard(changesOf(hub))).toEqual([{ of: 'ack', ack: { seq: 2 } }]);
    expect(lookAt(feed, 1)).toMatchObject({ task: { lastUsedMs: 2 } });
    expect(feed.hello(own).resume).toEqual({ epoch: 'e1', seq: 2, mark: '' });
  });

  it('takes cards that were read later than the position they are sent at, and none that is older', () => {
    const { feed, hub } = following();
    openAt(feed, hub, 1);
    hub.change(1, 0);
    const early = hub.changes();
    hub.change(1, 0);
    const { cards } = hub.changes();
    feed.heard({ of: 'changes', changes: { from: 1, to: 1, cards, at: 3, gone: [], mark: '' } });
    expect(lookAt(feed, 1)).toMatchObject({ issued: { revokedAtMs: 3 } });
    feed.heard({ of: 'changes', changes: early });
    expect(lookAt(feed, 1)).toMatchObject({ issued: { revokedAtMs: 3 } });
  });

  it('takes no card of a reply that was read before the feed said that the task is gone', () => {
    const { feed, hub } = following();
    const request = feed.open([token(1)]);
    const late = hub.open(request);
    openAt(feed, hub, 1);
    const gone = { from: 1, to: 1, cards: [], at: 3, gone: [taskOf(1)], mark: '' };
    feed.heard({ of: 'changes', changes: gone });
    expect(feed.opened(request, late)).toBe(true);
    // The next use asks again, and the authority hears that nothing is held.
    expect(lookAt(feed, 1)).toBe('unknown');
    expect(feed.dropped()).toEqual([{ keys: [taskOf(1)], n: 2 }]);
  });

  it.each<[string, (hub: ModelHub) => Down]>([
    [
      'changes after a gap',
      () => ({ of: 'changes', changes: { from: 2, to: 3, cards: [], at: 3, gone: [], mark: '' } }),
    ],
    [
      'changes that run backwards',
      () => ({ of: 'changes', changes: { from: 1, to: 0, cards: [], at: 1, gone: [], mark: '' } }),
    ],
    [
      'a Fresh ahead of it',
      () => ({ of: 'fresh', fresh: { n: 2, position: { epoch: 'e1', seq: 2, mark: '' }, now_ms: 0 } }),
    ],
    [
      'a Fresh of another epoch',
      () => ({ of: 'fresh', fresh: { n: 2, position: { epoch: 'e2', seq: 1, mark: '' }, now_ms: 0 } }),
    ],
    [
      'a malformed card',
      (hub) => {
        const { card } = hub.open({ instance: 'i', tokens: [token(1)], n: 9 }).opened[0] ?? {};
        if (card === null || card === undefined) throw new Error('no card');
        const cards = [{ ...card, task: { ...card.task, claimed_json: '{' } }];
        return { of: 'changes', changes: { from: 1, to: 2, cards, at: 2, gone: [], mark: '' } };
      },
    ],
  ])('begins anew, without a lease, after %s', (_what, wrong) => {
    const { feed, hub } = following();
    openAt(feed, hub, 1);
    feed.ping(at(0), null);
    expect(feed.heard(wrong(hub))).toBe('resync');
    expect(lookAt(feed, 1)).toBe('stale');
    follow(feed, hub);
    expect(lookAt(feed, 1)).toMatchObject({ task: { id: taskOf(1).id } });
  });

  it('keeps its lease while streams change, and renews it by no ping of an ended stream', () => {
    const { feed, hub } = following();
    openAt(feed, hub, 1);
    const { n } = feed.ping(at(50), null);
    feed.heard({ of: 'welcome', welcome: hub.connect(feed.hello(own)) });
    expect(lookAt(feed, 1)).toMatchObject({ task: { id: taskOf(1).id } });
    feed.heard(changesOf(hub));
    expect(feed.heard(freshOf(hub, n))).not.toBe('resync');
    expect(lookAt(feed, 1, 0, 50)).toBe('stale');
  });

  it('drops all cards and the lease in another epoch', () => {
    const { feed, hub } = following();
    openAt(feed, hub, 1);
    const welcome = hub.connect(feed.hello(own));
    feed.heard({ of: 'welcome', welcome: { ...welcome, position: { epoch: 'e2', seq: 0, mark: '' } } });
    expect([feed.cards, lookAt(feed, 1)]).toEqual([0, 'stale']);
    expect(feed.dropped()).toEqual([{ keys: [expect.objectContaining({ id: taskOf(1).id })], n: 1 }]);
    expect(feed.hello(own).resume).toEqual({ epoch: 'e2', seq: 0, mark: '' });
  });

  it('drops a card whose task is gone, unless it was opened since', () => {
    const { feed, hub } = following();
    openAt(feed, hub, 1);
    const gone = [taskOf(1)];
    feed.heard({ of: 'changes', changes: { from: 1, to: 1, cards: [], at: 1, gone, mark: '' } });
    expect([feed.cards, lookAt(feed, 1)]).toEqual([0, 'unknown']);
    hub.change(2, null);
    openAt(feed, hub, 1);
    feed.heard({ of: 'changes', changes: { from: 1, to: 1, cards: [], at: 1, gone, mark: '' } });
    expect(feed.cards).toBe(1);
  });

  it('takes no reply to an open of an ended stream', () => {
    const { feed, hub } = following();
    const request = feed.open([token(1)]);
    const reply = hub.open(request);
    follow(feed, hub);
    expect(feed.opened(request, reply)).toBe(false);
    expect(lookAt(feed, 1)).toBe('unknown');
  });

  it('keeps a change that comes before the reply to the open of its task', () => {
    const { feed, hub } = following();
    const request = feed.open([token(1)]);
    const reply = hub.open(request);
    hub.change(1, 0);
    feed.heard(changesOf(hub));
    expect(lookAt(feed, 1)).toBe('unknown');
    feed.opened(request, reply);
    expect(lookAt(feed, 1)).toMatchObject({ issued: { revokedAtMs: 2 } });
  });

  it('takes a token of an older open for older, also if its task is newer', () => {
    const { feed, hub } = following();
    openAt(feed, hub, 1, 0);
    hub.change(1, 0);
    const late = changesOf(hub);
    openAt(feed, hub, 1, 1);
    feed.heard(late);
    expect(lookAt(feed, 1, 0)).toMatchObject({ issued: { revokedAtMs: 2 } });
  });

  it('takes the card of a use that was not settled, if it holds that task', () => {
    const { feed, hub } = following();
    const { card } = hub.open({ instance: 'i', tokens: [token(1)], n: 99 }).opened[0] ?? {};
    if (card === null || card === undefined) throw new Error('no card');
    const ended = { ...card, task: { ...card.task, state: 'revoked' } };
    feed.settled(ended, { epoch: 'e1', seq: 5, mark: '' });
    expect(lookAt(feed, 1)).toBe('unknown');
    openAt(feed, hub, 1);
    feed.settled(ended, { epoch: 'e1', seq: 5, mark: '' });
    expect(lookAt(feed, 1)).toMatchObject({ task: { state: 'revoked' } });
    feed.settled(card, { epoch: 'e1', seq: 4, mark: '' });
    expect(lookAt(feed, 1)).toMatchObject({ task: { state: 'revoked' } });
  });

  it('drops the least recently used card, and keeps a card that is being opened at the authority', () => {
    const { feed, hub } = following(1);
    openAt(feed, hub, 1);
    openAt(feed, hub, 2);
    expect(feed.dropped()).toEqual([{ keys: [expect.objectContaining({ id: taskOf(1).id })], n: 2 }]);
    feed.open([token(2, 1)]);
    openAt(feed, hub, 3);
    expect(feed.dropped()).toEqual([{ keys: [expect.objectContaining({ id: taskOf(2).id })], n: 2 }]);
  });

  it('forgets tokens a minute after their expiry, and cards with their last token', () => {
    const { feed, hub } = following();
    openAt(feed, hub, 1);
    feed.expire(360_000);
    expect(feed.cards).toBe(1);
    feed.expire(360_001);
    expect([feed.cards, feed.dropped().length]).toEqual([0, 1]);
  });

  it('never shows a state from before a change that was acknowledged, whatever comes when, and keeps following', () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('change' as const), task: fc.nat(1), token: fc.option(fc.nat(1)) }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('open' as const), task: fc.nat(1), token: fc.nat(1) }) },
      {
        weight: 9,
        arbitrary: fc.record({
          kind: fc.constantFrom('serve', 'push', 'reply', 'down', 'up', 'drop'),
          pick: fc.nat(3),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('reconnect' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 60, maxLength: 240 }), (steps) => {
        const [feed, hub] = [feedWith(1), new ModelHub()];
        let downs: Down[] = [];
        let ups: Up[] = [];
        let requests: OpenRequest[] = [];
        const replies: [OpenRequest, OpenReply | null][] = [];
        const reconnect = (): void => {
          [downs, ups, requests] = [[], [], []];
          downs.push({ of: 'welcome', welcome: hub.connect(feed.hello(own)) });
          ups.push({ of: 'ping', ping: feed.ping(at(0), null) });
        };
        const take = (up: Up | undefined): void => {
          if (up?.of === 'ack') hub.ack(up.ack.seq);
          if (up?.of === 'dropped') hub.dropped(up.dropped);
          if (up?.of === 'ping') downs.push(changesOf(hub), freshOf(hub, up.ping.n));
        };
        const hear = (down: Down | undefined): void => {
          const answer = down === undefined ? [] : feed.heard(down);
          expect(answer).not.toBe('resync');
          if (answer !== 'resync') ups.push(...answer);
        };
        follow(feed, hub);
        for (const one of steps) {
          if (one.kind === 'change') hub.change(one.task, one.token);
          else if (one.kind === 'open') {
            if (feed.isFollowing) requests.push(feed.open([token(one.task, one.token)]));
          } else if (one.kind === 'reconnect') reconnect();
          else if (one.kind === 'push') downs.push(changesOf(hub));
          else if (one.kind === 'drop') ups.push(...feed.dropped().map((dropped): Up => ({ of: 'dropped', dropped })));
          else if (one.kind === 'down') hear(downs.shift());
          else if (one.kind === 'up') take(ups.shift());
          else if (one.kind === 'serve') {
            // Calls overtake one another, and their answers may be lost.
            const [request] = requests.splice(one.pick % Math.max(1, requests.length), 1);
            if (request !== undefined)
              replies.push([request, one.pick === 3 ? (hub.open(request), null) : hub.open(request)]);
          } else {
            const [reply] = replies.splice(one.pick % Math.max(1, replies.length), 1);
            if (reply !== undefined) feed.opened(...reply);
          }
          for (const task of [0, 1]) {
            const changed = hub.enforced.get(taskOf(task).id) ?? 0;
            for (const number of [0, 1]) {
              const state = lookAt(feed, task, number);
              if (typeof state !== 'object') continue;
              const isCurrent = hub.isAtLeast(state, { task, token: number, seq: changed });
              expect(isCurrent).toBe(true);
            }
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
