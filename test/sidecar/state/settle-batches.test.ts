import { expect, it } from '@jest/globals';
import { batchesOf } from '../../../src/sidecar/state/settle-batches.ts';

const useWith = (n: number, bytes: number | null) => ({ n, use: { record: Buffer.alloc(bytes ?? 0), spends: [] } });

it.each([
  ['no use', [], []],
  ['uses without records, 256 at a time', Array.from({ length: 600 }, () => null), [256, 256, 88]],
  ['records of 60,000 bytes, 1 MiB at a time', Array.from({ length: 40 }, () => 60_000), [17, 17, 6]],
  ['a record of more than 1 MiB by itself', [10, 2_000_000, 10], [1, 1, 1]],
])('batchesOf puts %s in requests, in order', (_what, sizes, lengths) => {
  const uses = sizes.map((bytes, n) => useWith(n, bytes));
  const batches = batchesOf(uses);
  expect(batches.map(({ length }) => length)).toEqual(lengths);
  expect(batches.flat()).toEqual(uses);
});
