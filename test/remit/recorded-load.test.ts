import { describe, expect, it } from '@jest/globals';
import type { LedgerRecord } from '../../src/ledger/record.ts';
import type { PolicySet } from '../../src/policy/load.ts';
import { recordedLoad } from '../../src/remit/recorded-load.ts';

const setOf = (hash: string) =>
  ({ hash, policyCount: 3, catalog: { actions: new Map([['a', {}]]) } }) as unknown as PolicySet;

describe('recordedLoad', () => {
  it('records a set when it comes into force, and no other load', async () => {
    const records: LedgerRecord[] = [];
    const loads = [setOf('one'), setOf('one'), { findings: [] }, setOf('two'), setOf('one')];
    const load = recordedLoad(async () => loads.shift() ?? { findings: [] }, {
      ledger: { append: (record) => records.push(record) > 0 },
      ports: { nowMs: () => 5 },
    });
    for (let n = 0; n < 5; n++) await load();
    expect(records).toEqual(
      ['one', 'two', 'one'].map((policySet) => ({
        kind: 'policy',
        at: 5,
        task: null,
        policySet,
        policies: 3,
        actions: 1,
      })),
    );
  });
});
