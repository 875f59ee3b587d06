import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { FairQueue } from '../../../../src/core/runtime/collections/fair-queue.ts';
import { QueueNode } from '../../../../src/core/runtime/collections/linked-queue.ts';

const filled = (names: string): { readonly queue: FairQueue<string>; readonly nodes: readonly QueueNode<string>[] } => {
  const queue = new FairQueue<string>();
  const nodes = names.split('').map((name, index) => new QueueNode(`${name}${index}`));
  for (const node of nodes) queue.join(node, node.value.charAt(0));
  return { queue, nodes };
};

const drained = (queue: FairQueue<string>): string => {
  const values: string[] = [];
  for (let value = queue.shift(); value !== undefined; value = queue.shift()) values.push(value);
  return values.join(' ');
};

describe('FairQueue', () => {
  it.each([
    ['one party', 'aaa', 'a0 a1 a2'],
    ['one that came late', 'aaaab', 'a0 b4 a1 a2 a3'],
    ['three parties', 'aabbbc', 'a0 b2 c5 a1 b3 b4'],
  ])('lets parties take turns: %s', (_name, names, order) => {
    expect(drained(filled(names).queue)).toBe(order);
  });

  it('puts a party that begins anew behind those that wait', () => {
    const { queue } = filled('aab');
    expect([queue.shift(), queue.shift()]).toEqual(['a0', 'b2']);
    queue.join(new QueueNode('b9'), 'b');
    expect(drained(queue)).toBe('a1 b9');
  });

  it('puts a node before those of its party, which keeps its turn', () => {
    const { queue } = filled('aab');
    queue.joinFirst(new QueueNode('b9'), 'b');
    queue.joinFirst(new QueueNode('c8'), 'c');
    expect(drained(queue)).toBe('a0 b9 c8 a1 b2');
  });

  it('is left by nodes in any order, also by a node that joins again', () => {
    const { queue, nodes } = filled('ab');
    nodes[0]?.leave();
    nodes[0]?.leave();
    expect(queue.length).toBe(1);
    if (nodes[1] !== undefined) queue.join(nodes[1], 'b');
    expect([queue.length, drained(queue), queue.length]).toEqual([1, 'b1', 0]);
  });

  it('gives each value once, in the order of its party, and counts those that wait', () => {
    const step = fc.oneof(fc.constantFrom('a', 'b', 'c', 'd'), fc.constant('shift'), fc.nat(30));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new FairQueue<number>();
        const waiting: { readonly node: QueueNode<number>; readonly party: string }[] = [];
        for (const [index, one] of steps.entries()) {
          if (one === 'shift') {
            const value = queue.shift();
            const at = waiting.findIndex(({ node }) => node.value === value);
            expect(at === -1).toBe(waiting.length === 0);
            // Nobody of its party waited before it.
            expect(waiting.slice(0, Math.max(0, at)).some(({ party }) => party === waiting[at]?.party)).toBe(false);
            if (at !== -1) waiting.splice(at, 1);
          } else if (typeof one === 'number') waiting.splice(one, 1)[0]?.node.leave();
          else {
            const node = new QueueNode(index);
            queue.join(node, one);
            waiting.push({ node, party: one });
          }
          expect(queue.length).toBe(waiting.length);
        }
      }),
    );
  });
});
