import { describe, expect, it } from '@jest/globals';
import { leafBytes } from '../../../src/core/ledger/proof/leaf.ts';
import { recordedUseFrom } from '../../../src/core/ledger/recorded-use.ts';
import { allowedUse, endRecord } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';

const leafOf = (record: Uint8Array): Uint8Array =>
  must(leafBytes(record, { boot: 'f'.repeat(32), mono: 1, prev: null, seq: 1 }));
const changed = (from: string, to: string): Uint8Array =>
  leafOf(Buffer.from(Buffer.from(allowedUse(1, 5).bytes).toString('utf8').replace(from, to)));

describe('recordedUseFrom', () => {
  it('returns the use in a leaf with its number', () => {
    expect(recordedUseFrom(leafOf(allowedUse(1, 5).bytes))).toMatchObject({
      kind: 'use',
      seq: 1,
      at: 5,
      decisionId: 'use-1',
      decision: 'allow',
      reason: null,
      reuse: ['first'],
    });
  });

  it('recognises a record of another kind', () => {
    expect(recordedUseFrom(leafOf(endRecord(1).bytes))).toBe('other');
  });

  it.each<[string, Uint8Array, string]>([
    ['bytes that are not a leaf', Buffer.from('x'), 'the record is not JSON in UTF-8'],
    [
      'an invalid decision',
      changed('"allow"', '"maybe"'),
      'the record member `decision` must be one of `allow`, `deny`',
    ],
    [
      'a reason of another version',
      changed('"reason":null', '"reason":"policy.moody"'),
      'the record member `reason` must be a reason code',
    ],
    [
      'an invalid instant',
      changed('"at":5', '"at":"5"'),
      'the record member `at` must be a whole number from 0 to 8640000000000000',
    ],
    [
      'an unknown class of reuse',
      changed('["first"]', '["last"]'),
      'the record member `reuse` entry 0 must be one of `other-identity`, ',
    ],
  ])('refuses %s', (_name, bytes, problem) => {
    expect(recordedUseFrom(bytes)).toEqual({ problem: expect.stringContaining(problem) });
  });
});
