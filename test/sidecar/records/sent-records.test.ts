import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { sentBytes } from '../../../src/sidecar/records/sent-records.ts';
import { methodOf } from '../../../src/core/fleet/service.ts';
import { packedLeaves } from '../../../src/core/ledger/log/written-leaves.ts';

const { requestDeserialize } = methodOf('Append');

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('sentBytes', () => {
  it('writes the message that an authority reads, into the room that it is given or new memory', () => {
    const leaf = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.constantFrom(127, 128, 16_383, 16_384, 65_535).map((length) => new Uint8Array(length).fill(length % 251)),
    );
    const leavesOf = fc.array(leaf, { maxLength: 8 });
    // Too small for some messages.
    const room = Buffer.alloc(2_000);
    fc.assert(
      fc.property(leavesOf, fc.nat(), fc.constantFrom('', 'a checkpoint\n'), (leaves, from, checkpoint) => {
        const log = { origin: 'o', verifier_key: 'k', size: 7, root: Buffer.alloc(32, 1) };
        const rest = { log, from, checkpoint, ended: true };
        const sent = { ...rest, leaves: leaves.length === 0 ? null : packedLeaves({ from, leaves }) };
        for (const message of [sentBytes(sent), sentBytes(sent, room)]) {
          const read = requestDeserialize(message);
          expect({ ...read, leaves: read.leaves.map(hexOf) }).toEqual({ ...rest, leaves: leaves.map(hexOf) });
        }
      }),
      { numRuns: 40 },
    );
  });
});
