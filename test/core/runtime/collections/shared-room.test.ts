import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { SharedRoom } from '../../../../src/core/runtime/collections/shared-room.ts';

/** How many places a party gets that takes until it is refused. */
const takenBy = (room: SharedRoom, party: string): number => {
  let taken = 0;
  while (room.take(party)) taken += 1;
  return taken;
};

describe('SharedRoom', () => {
  it.each([
    ['1', 1, 1],
    ['4', 4, 4],
    ['16', 16, 13],
    ['256', 256, 205],
  ])('leaves one party alone about four fifths of %s', (_name, max, most) => {
    expect(takenBy(new SharedRoom(max), 'a')).toBe(most);
  });

  it('has room for others beside a party that takes all it can', () => {
    const room = new SharedRoom(256);
    takenBy(room, 'noisy');
    expect([takenBy(room, 'b'), takenBy(room, 'c')]).toEqual([41, 8]);
    expect(room.take('noisy')).toBe(false);
  });

  it('takes several places, all or none', () => {
    const room = new SharedRoom(16);
    expect([room.take('a', 14), room.take('a', 13), room.taken]).toEqual([false, true, 13]);
    expect([room.take('b', 4), room.take('b', 2), room.taken]).toEqual([false, true, 15]);
    room.give('a', 13);
    expect([room.take('b', 4), room.taken]).toEqual([true, 6]);
  });

  it('gives the place of one party to another', () => {
    const room = new SharedRoom(4);
    takenBy(room, 'noisy');
    expect(room.take('other')).toBe(false);
    room.give('noisy');
    expect([room.take('noisy'), room.take('other')]).toEqual([true, false]);
    for (let n = 0; n < 4; n += 1) room.give('noisy');
    room.give('noisy');
    expect([room.taken, takenBy(room, 'other')]).toEqual([0, 4]);
  });

  it('never takes more than it has, and refuses nobody that has nothing while a place is free', () => {
    const step = fc.tuple(fc.boolean(), fc.constantFrom('a', 'b', 'c', 'd', 'e'));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 200 }), (max, steps) => {
        const room = new SharedRoom(max);
        const taken: string[] = [];
        for (const [isTaking, party] of steps) {
          if (isTaking) {
            const isNew = !taken.includes(party);
            const isTaken = room.take(party);
            expect(!isNew || isTaken === taken.length < max).toBe(true);
            if (isTaken) taken.push(party);
          } else if (taken.includes(party)) {
            room.give(party);
            taken.splice(taken.indexOf(party), 1);
          }
          expect(room.taken).toBe(taken.length);
          expect(taken.length).toBeLessThanOrEqual(max);
        }
      }),
    );
  });
});
