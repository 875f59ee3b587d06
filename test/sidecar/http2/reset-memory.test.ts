import { describe, expect, it } from '@jest/globals';
import { ResetMemory } from '../../../src/sidecar/http2/reset-memory.ts';

describe('ResetMemory', () => {
  it('remembers the latest streams, however many there were', () => {
    const memory = new ResetMemory(100);
    for (let id = 1; id < 20_000; id += 2) memory.add(id);
    expect([memory.has(19_999), memory.has(19_801), memory.has(19_799), memory.has(1)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('remembers a stream that was added twice once', () => {
    const memory = new ResetMemory(2);
    for (const id of [1, 3, 3, 1]) memory.add(id);
    expect([memory.has(1), memory.has(3)]).toEqual([true, true]);
  });
});
