import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { sentBytes } from '../../src/fleet/sent-records.ts';
import { methodOf } from '../../src/fleet/service.ts';
import { packedLeaves, partOf } from '../../src/ledger/log/written-leaves.ts';

const { requestDeserialize } = methodOf('Append');

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('sentBytes', () => {
  it('writes the message that an authority reads, whatever part of the leaves is sent', () => {
    const leaf = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.constantFrom(127, 128, 16_383, 16_384, 65_535).map((length) => new Uint8Array(length).fill(length % 251)),
    );
    const part = fc.record({
      leaves: fc.array(leaf, { minLength: 1, maxLength: 4 }),
      skip: fc.nat(3),
      drop: fc.nat(3),
    });
    const parts = fc.array(part, { maxLength: 3 });
    fc.assert(
      fc.property(parts, fc.nat(), fc.constantFrom('', 'a checkpoint\n'), (all, from, checkpoint) => {
        const cut = all.map(({ leaves, skip, drop }) => {
          const first = Math.min(skip, leaves.length - 1);
          const end = Math.max(first + 1, leaves.length - drop);
          return { sent: partOf(packedLeaves({ from, leaves }), first, end), leaves: leaves.slice(first, end) };
        });
        const log = { origin: 'o', verifier_key: 'k', size: 7, root: Buffer.alloc(32, 1) };
        const rest = { log, from, checkpoint, ended: true };
        const read = requestDeserialize(sentBytes({ ...rest, leaves: cut.map(({ sent }) => sent) }));
        const sent = cut.flatMap(({ leaves }) => leaves);
        expect({ ...read, leaves: read.leaves.map(hexOf) }).toEqual({ ...rest, leaves: sent.map(hexOf) });
      }),
      { numRuns: 40 },
    );
  });
});
