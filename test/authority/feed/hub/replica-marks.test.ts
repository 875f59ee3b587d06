import { describe, expect, it } from '@jest/globals';
import { ReplicaMarks } from '../../../../src/authority/feed/hub/replica-marks.ts';

const mark = (id: string, beat: number, enforcedSeq: number, leaseMs = 900) => ({ id, beat, enforcedSeq, leaseMs });

describe('ReplicaMarks', () => {
  it('waits for every other authority until it has enforced a change, and for this authority not', () => {
    const marks = new ReplicaMarks('me', 100);
    marks.seen([mark('me', 1, 0), mark('a', 1, 5), mark('b', 1, 4)], 0);
    expect(marks.isEnforced(4, 0)).toBe(true);
    expect(marks.isEnforced(5, 0)).toBe(false);
    marks.seen([mark('me', 1, 0), mark('a', 1, 5), mark('b', 2, 5)], 10);
    expect(marks.isEnforced(5, 10)).toBe(true);
  });

  it('counts a replica as fenced once its beat has not changed for lease and margin since it was first seen', () => {
    const marks = new ReplicaMarks('me', 100);
    marks.seen([mark('a', 7, 0)], 0);
    marks.seen([mark('a', 7, 0)], 999);
    expect(marks.isEnforced(1, 999)).toBe(false);
    expect(marks.isEnforced(1, 1_000)).toBe(true);
    marks.seen([mark('a', 8, 0)], 1_001);
    expect(marks.isEnforced(1, 2_000)).toBe(false);
  });

  it('does not mistake an authority that comes back with the same beat for an authority that was silent all the time', () => {
    const marks = new ReplicaMarks('me', 100);
    marks.seen([mark('a', 1, 0)], 0);
    marks.seen([], 500);
    marks.seen([mark('a', 1, 0)], 900);
    expect(marks.isEnforced(1, 1_100)).toBe(false);
    expect(marks.silentFor(1, 1_899)).toEqual([]);
    expect(marks.silentFor(1, 1_900)).toEqual(['a']);
  });

  it('counts an authority with a longer lease as fenced only after that lease, and as gone only after many of them', () => {
    const marks = new ReplicaMarks('me', 100);
    marks.seen([mark('former', 7, 0, 60_000), mark('gone', 7, 0)], 0);
    expect(marks.isEnforced(1, 60_099)).toBe(false);
    expect(marks.isEnforced(1, 60_100)).toBe(true);
    expect(marks.silentFor(20, 60_100)).toEqual(['gone']);
  });
});
