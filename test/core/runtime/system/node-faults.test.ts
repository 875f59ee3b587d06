import { describe, expect, it } from '@jest/globals';
import { nodeFaults } from '../../../../src/core/runtime/system/node-faults.ts';

describe('nodeFaults', () => {
  it.each([
    ['26.13.1', 0],
    ['26.10.0', 1],
    ['26.0.9', 2],
    ['24.22.3', 0],
    ['24.15.0', 2],
    ['22.23.5', 1],
    ['25.9.0', 2],
    ['28.0.0', 0],
  ])('finds the known faults of node %s', (version, count) => {
    expect(nodeFaults(version)).toHaveLength(count);
  });

  it('names the release with the fix', () => {
    expect(nodeFaults('26.10.0')).toEqual([
      "node 26.10.0: HTTP/2 can leak other streams' buffers when a stream is reset (use-after-free); fixed in 26.13.1",
    ]);
  });
});
