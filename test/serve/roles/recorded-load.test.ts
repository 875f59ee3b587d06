import { describe, expect, it } from '@jest/globals';
import type { LedgerRecord } from '../../../src/core/ledger/record.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { recordedLoad } from '../../../src/serve/roles/recorded-load.ts';

const signed = { name: 'prod', signers: ['k-1'], version: '2026-11', serial: 7, issuedAtMs: 4 };
const setOf = (hash: string, bundle: PolicySet['bundle'] = null) =>
  ({
    hash,
    bundle,
    source: { folder: '/etc/remit/policies' },
    policyCount: 3,
    catalog: { actions: new Map([['a', {}]]) },
  }) as unknown as PolicySet;

describe('recordedLoad', () => {
  it('records each set that comes into force, and no other load', async () => {
    const records: LedgerRecord[] = [];
    const loads = [setOf('one'), setOf('one'), { findings: [] }, setOf('two', signed), setOf('one')];
    const kept: string[] = [];
    const order: string[] = [];
    const load = recordedLoad(async () => loads.shift() ?? { findings: [] }, {
      ledger: {
        append: (record) => records.push(record) > 0,
        flush: async () => {
          order.push('flushed');
          return null;
        },
      },
      ports: { nowMs: () => 5 },
      by: 'remit',
      keepText: async ({ hash }) => {
        kept.push(hash);
        return { isKept: hash === 'two', beyond: kept.length === 3 ? ['two'] : [] };
      },
      forgetTexts: async (hashes) => {
        order.push(`forgot ${hashes.join()}`);
      },
    });
    for (let n = 0; n < 5; n++) await load();
    expect(records).toEqual(
      ['one', 'two', 'one'].map((policySet, index) => ({
        kind: 'policy',
        at: 5,
        task: null,
        policySet,
        policies: 3,
        actions: 1,
        origin:
          policySet === 'two'
            ? {
                kind: 'bundle',
                from: '/etc/remit/policies',
                name: 'prod',
                signers: ['k-1'],
                version: '2026-11',
                serial: 7,
                issuedAt: 4,
              }
            : { kind: 'folder', folder: '/etc/remit/policies' },
        by: 'remit',
        isTextKept: policySet === 'two',
        textsGivenUp: index === 2 ? ['two'] : [],
      })),
    );
    expect(kept).toEqual(['one', 'two', 'one']);
    // A text is deleted once the record that says so is on disk.
    expect(order).toEqual(['flushed', 'forgot two']);
  });
});
