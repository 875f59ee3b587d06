import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { LinkedQueue, QueueNode } from '../../../../src/core/runtime/collections/linked-queue.ts';

describe('LinkedQueue', () => {
  it('behaves like an array with removal anywhere', () => {
    const act = fc.oneof(
      fc.record({ kind: fc.constant('join' as const), line: fc.nat(1), who: fc.nat(7) }),
      fc.record({ kind: fc.constant('leave' as const), who: fc.nat(7) }),
      fc.record({ kind: fc.constant('shift' as const), line: fc.nat(1) }),
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const places = Array.from({ length: 8 }, (_, who) => new QueueNode(who));
        const lines = [new LinkedQueue<number>(), new LinkedQueue<number>()];
        const arrays: number[][] = [[], []];
        const without = (who: number) => {
          for (const array of arrays) if (array.includes(who)) array.splice(array.indexOf(who), 1);
        };
        for (const one of acts) {
          if (one.kind === 'shift') {
            expect(lines[one.line]?.shift()).toBe(arrays[one.line]?.shift());
            continue;
          }
          without(one.who);
          const place = places[one.who];
          if (place === undefined) continue;
          if (one.kind === 'leave') place.leave();
          else {
            lines[one.line]?.join(place);
            arrays[one.line]?.push(one.who);
          }
          expect(lines.map((line) => [...line])).toEqual(arrays);
          expect(lines.map(({ length, first }) => [length, first])).toEqual(
            arrays.map((array) => [array.length, array[0]]),
          );
        }
      }),
      { numRuns: 500 },
    );
  });

  it('iterates on if the current node is removed', () => {
    const line = new LinkedQueue<number>();
    const places = [0, 1, 2, 3].map((value) => new QueueNode(value));
    for (const place of places) line.join(place);
    const seen: number[] = [];
    for (const value of line) {
      seen.push(value);
      places[value]?.leave();
    }
    expect([seen, line.length, line.first]).toEqual([[0, 1, 2, 3], 0, undefined]);
  });
});
