import { describe, expect, it } from '@jest/globals';
import { Fault, mapIsolated } from '../../../../src/core/runtime/collections/map-isolated.ts';

describe('mapIsolated', () => {
  it('runs one stage for all items in order before the next stage', () => {
    const order: string[] = [];
    const doubled = mapIsolated([1, 2, 3], (n) => {
      order.push(`double ${n}`);
      return 2 * n;
    });
    const shown = mapIsolated(doubled, (n, index) => {
      order.push(`show ${n}`);
      return `${index}: ${n}`;
    });
    expect(shown).toEqual(['0: 2', '1: 4', '2: 6']);
    expect(order).toEqual(['double 1', 'double 2', 'double 3', 'show 2', 'show 4', 'show 6']);
  });

  it('keeps a fault at its item through later stages', () => {
    const error = new Error('a bug');
    const ran: number[] = [];
    const first = mapIsolated([1, 2, 3], (n) => {
      if (n === 2) throw error;
      return n;
    });
    const second = mapIsolated(first, (n) => ran.push(n));
    expect(second.map((each) => (each instanceof Fault ? each.error : each))).toEqual([1, error, 2]);
    expect(ran).toEqual([1, 3]);
  });
});
