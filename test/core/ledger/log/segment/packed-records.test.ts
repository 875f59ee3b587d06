import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { packed, unpacked } from '../../../../../src/core/ledger/log/segment/packed-records.ts';

const record = fc.record({ bytes: fc.uint8Array({ maxLength: 40 }), outbox: fc.option(fc.nat()) });

describe('unpacked', () => {
  it('returns what was packed, each with its own bytes, even after a transfer to a thread', () => {
    fc.assert(
      fc.property(fc.array(record), (records) => {
        const handed = packed(records);
        const taken = structuredClone(handed, { transfer: [handed.bytes.buffer] });
        expect(handed.bytes.length).toBe(0);
        expect(unpacked(taken)).toEqual(records);
      }),
    );
  });
});
