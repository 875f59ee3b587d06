import { describe, expect, it } from '@jest/globals';
import { CheckQueue, type QueuedCheck } from '../../../../src/sidecar/envoy/check/check-queue.ts';
import { QueueNode } from '../../../../src/core/runtime/collections/linked-queue.ts';

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

interface NamedCheck extends QueuedCheck {
  readonly name: string;
  readonly takesMs?: number;
}

/** A queue whose clock advances with the cost of its checks. */
const setUp = () => {
  const clock = { nowMs: 1_000 };
  const events: string[] = [];
  const turns = { begun: 0, over: 0 };
  const runs: number[] = [];
  const queue = new CheckQueue<NamedCheck>({
    monotonicMs: () => clock.nowMs,
    onTurn: () => (turns.begun += 1),
    run: (checks) => {
      for (const { name, takesMs = 0 } of checks) {
        events.push(name);
        clock.nowMs += takesMs;
      }
      runs.push(checks.length);
    },
    shed: ({ name, takesMs = 0 }, cause) => {
      events.push(`${cause === 'late' ? 'shed' : 'over'} ${name}`);
      clock.nowMs += takesMs;
    },
    onTurnOver: () => (turns.over += 1),
  });
  const add = (name: string, over: Partial<NamedCheck> = {}) => {
    const place = new QueueNode<NamedCheck>({
      name,
      agent: '',
      arrivedMs: clock.nowMs,
      deadlineMs: clock.nowMs + 200,
      ...over,
    });
    queue.add(place);
    return place;
  };
  return { clock, events, turns, runs, add, queue };
};

describe('CheckQueue', () => {
  it('decides after other work of the event loop, in order of arrival', async () => {
    const { events, add } = setUp();
    add('a');
    add('b');
    events.push('what came with them');
    await nextTurn();
    expect(events).toEqual(['what came with them', 'a', 'b']);
  });

  it('yields to the event loop after half a millisecond of checks, and continues', async () => {
    const { events, add } = setUp();
    for (const name of ['a', 'b', 'c', 'd']) add(name, { takesMs: 0.3 });
    await nextTurn();
    events.push('a commit');
    add('e');
    await nextTurn();
    expect(events).toEqual(['a', 'b', 'c', 'd', 'a commit', 'e']);
    events.length = 0;
    for (const name of ['f', 'g']) add(name, { takesMs: 3 });
    await nextTurn();
    add('h', { takesMs: 3 });
    events.push('a commit');
    await nextTurn();
    events.push('a commit');
    await nextTurn();
    expect(events).toEqual(['f', 'g', 'a commit', 'h', 'a commit']);
  });

  it('decides together as many as should take four milliseconds, at most eight', async () => {
    const { runs, add } = setUp();
    const sum = () => runs.reduce((all, checks) => all + checks, 0);
    for (let n = 0; n < 20; n += 1) add('quick', { takesMs: 0.01 });
    await nextTurn();
    expect([sum(), Math.max(...runs)]).toEqual([20, 8]);
    runs.length = 0;
    for (let n = 0; n < 16; n += 1) add('slow', { takesMs: 2 });
    for (let turns = 0; turns < 16; turns += 1) await nextTurn();
    // Until it knows what they take, it may decide more.
    expect([sum(), Math.max(...runs), Math.max(...runs.slice(1))]).toEqual([16, 8, 2]);
  });

  it('reports the begin of a turn before its first check, and its end', async () => {
    const { turns, add } = setUp();
    for (const name of ['a', 'b']) add(name, { takesMs: 3 });
    expect(turns).toEqual({ begun: 0, over: 0 });
    await nextTurn();
    expect(turns).toEqual({ begun: 1, over: 1 });
    await nextTurn();
    expect(turns).toEqual({ begun: 2, over: 2 });
    await nextTurn();
    expect(turns).toEqual({ begun: 2, over: 2 });
  });

  it('lets agents take turns, so that no agent waits for the checks of another', async () => {
    const { events, add } = setUp();
    for (let n = 0; n < 100; n += 1) add(`noisy-${n}`, { agent: 'noisy' });
    add('modest', { agent: 'modest' });
    await nextTurn();
    expect(events.slice(0, 3)).toEqual(['noisy-0', 'modest', 'noisy-1']);
    expect(events).toHaveLength(101);
  });

  it('skips a check that nobody waits for, and sheds a check at its deadline', async () => {
    const { clock, events, add, queue } = setUp();
    add('gone').leave();
    add('late', { deadlineMs: clock.nowMs + 10 });
    add('good');
    expect(queue.length).toBe(2);
    clock.nowMs += 10;
    await nextTurn();
    expect([events, queue.length]).toEqual([['over late', 'good'], 0]);
  });

  it('yields to the event loop if thousands are too late', async () => {
    const { clock, events, add } = setUp();
    for (let n = 0; n < 5_000; n += 1) add('late', { takesMs: 0.1 });
    clock.nowMs += 200;
    await nextTurn();
    expect(events.length).toBeLessThanOrEqual(8);
    for (let turns = 0; turns < 2_000; turns += 1) await nextTurn();
    expect(events).toHaveLength(5_000);
  });

  it('survives a pause', async () => {
    const { clock, events, add } = setUp();
    add('a');
    clock.nowMs += 150;
    await nextTurn();
    expect(events).toEqual(['a']);
  });

  it('gives checks nine times the time of other work once a turn has left some behind', async () => {
    const { clock, events, add } = setUp();
    for (let n = 0; n < 100; n += 1) add('check', { deadlineMs: 1_000_000, takesMs: 1 });
    clock.nowMs += 2;
    await nextTurn();
    expect(events).toHaveLength(1);
    events.length = 0;
    clock.nowMs += 2;
    await nextTurn();
    // In fours.
    expect(events).toHaveLength(20);
  });

  it('gives checks nine times the time of other work while the queue stands, at most 50 ms', async () => {
    const { clock, events, add } = setUp();
    const lasting = { deadlineMs: 1_000_000, takesMs: 1 };
    for (let n = 0; n < 400; n += 1) add('check', lasting);
    while (clock.nowMs < 1_110) await nextTurn();
    const inTurnAfter = async (elseMs: number) => {
      events.length = 0;
      clock.nowMs += elseMs;
      await nextTurn();
      return events.length;
    };
    // In fours.
    expect([await inTurnAfter(0), await inTurnAfter(2), await inTurnAfter(30)]).toEqual([4, 20, 52]);
  });

  it('sheds checks after half of their time while the queue stands, and recovers when it is empty', async () => {
    const { clock, events, add } = setUp();
    for (let n = 0; n < 60; n += 1) add(`c${n}`, { takesMs: 4 });
    for (let turns = 0; turns < 60; turns += 1) await nextTurn();
    // 26 checks of 4 ms are 100 ms of standing. From then on, checks have waited half of their 200 ms.
    expect(events.filter((event) => !event.startsWith('shed'))).toHaveLength(26);
    expect(events.filter((event) => event.startsWith('shed'))).toHaveLength(34);
    events.length = 0;
    add('after', { deadlineMs: clock.nowMs + 200, arrivedMs: clock.nowMs - 150 });
    await nextTurn();
    expect(events).toEqual(['after']);
  });

  it('calls a few checks that each take long no overload: they have all of their time (issue 37, point 14)', async () => {
    const { events, add } = setUp();
    for (let n = 0; n < 20; n += 1) add(`c${n}`, { takesMs: 12 });
    for (let turns = 0; turns < 60; turns += 1) await nextTurn();
    expect(events.filter((event) => event.startsWith('c')).length).toBeGreaterThanOrEqual(16);
    expect(events.filter((event) => event.startsWith('shed'))).toEqual([]);
    expect(events.filter((event) => event.startsWith('over')).length).toBeGreaterThan(0);
  });
});
