import { describe, expect, it } from '@jest/globals';
import { leafBytes } from '../../../src/core/ledger/proof/leaf.ts';
import { recordedUseFrom, useFrom } from '../../../src/core/ledger/recorded-use.ts';
import { allowedUse, encoded, endRecord } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';

const leafOf = (record: Uint8Array): Uint8Array =>
  must(leafBytes(record, { boot: 'f'.repeat(32), mono: 1, prev: null, seq: 1 }));
const textOf = ({ bytes }: { readonly bytes: Uint8Array }): string => Buffer.from(bytes).toString('utf8');
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

  it('returns mode, entry, would-be answer and shape of an observed use', () => {
    const observed = {
      mode: 'observe',
      entry: 'legacy',
      would: { decision: 'deny', reason: 'action.unknown', detail: 'no such server', policyIds: [] },
      shape: {
        cut: true,
        members: { amount: 'integer', card: { number: 'string' } },
        protocol: 'mcp',
        query: ['page'],
        rpc: { method: 'tools/call', tool: 'pay' },
      },
    } as const;
    const { bytes } = encoded({ ...must(useFrom(JSON.parse(textOf(allowedUse(1, 5))))), ...observed });
    expect(recordedUseFrom(leafOf(bytes))).toMatchObject(observed);
  });

  it('returns none of them for an enforced use', () => {
    for (const name of ['mode', 'entry', 'would', 'shape'])
      expect(recordedUseFrom(leafOf(allowedUse(1, 5).bytes))).not.toHaveProperty(name);
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
      'a type of no value',
      changed('"spanId"', '"shape":{"members":{"a":"date"},"protocol":"http","query":[]},"spanId"'),
      'the record member `shape` member `members` value `a` must be one of `string`, `number`',
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
