import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { mapSeveral } from '../../../../src/core/runtime/collections/map-several.ts';

async function late(item: number): Promise<string> {
  for (let turns = item % 3; turns > 0; turns -= 1) await turn();
  return `${item}`;
}

describe('mapSeveral', () => {
  it('gives the results in the order of the items, however they end', async () => {
    const items = Array.from({ length: 20 }, (_item, index) => 20 - index);
    expect(await mapSeveral(items, 4, late)).toEqual(items.map(String));
    expect(await mapSeveral([], 4, late)).toEqual([]);
  });

  it('maps no more than so many at the same time', async () => {
    let [now, most] = [0, 0];
    await mapSeveral(Array.from({ length: 30 }), 4, async () => {
      now += 1;
      most = Math.max(most, now);
      await turn();
      now -= 1;
    });
    expect(most).toBe(4);
  });

  it('rejects with the first failure, and begins no other item then', async () => {
    const begun: number[] = [];
    const failing = mapSeveral([0, 1, 2, 3, 4, 5], 2, async (item) => {
      begun.push(item);
      await turn();
      if (item === 0) throw new Error('item 0');
    });
    await expect(failing).rejects.toThrow('item 0');
    await turn();
    expect(begun).toEqual([0, 1]);
  });
});
