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
      after: () => () => undefined,
      closers: { push: () => undefined },
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

  it('records a set that the ledger refused once it takes records again, as of when it came into force', async () => {
    const records: LedgerRecord[] = [];
    const waiting = new Set<() => void>();
    const closers: (() => unknown)[] = [];
    const forgotten: string[] = [];
    let isRefused = true;
    let nowMs = 0;
    const loads = [setOf('one'), setOf('one'), setOf('two')];
    const load = recordedLoad(async () => loads.shift() ?? { findings: [] }, {
      ledger: { append: (record) => !isRefused && records.push(record) > 0, flush: async () => null },
      ports: { nowMs: () => nowMs },
      after: (_delayMs, run) => {
        waiting.add(run);
        return () => void waiting.delete(run);
      },
      closers: { push: (closer) => void closers.push(closer) },
      by: 'remit',
      keepText: async ({ hash }) => ({ isKept: true, beyond: hash === 'two' ? ['zero'] : [] }),
      forgetTexts: async (hashes) => void forgotten.push(...hashes),
    });
    const recorded = () => records.map((it) => (it.kind === 'policy' ? `${it.policySet} ${it.at}` : it.kind));
    const tick = async () => {
      const due = [...waiting];
      waiting.clear();
      for (const run of due) run();
      await new Promise(setImmediate);
    };
    for (nowMs = 5; nowMs < 8; nowMs++) await load();
    await tick();
    expect([recorded(), forgotten, waiting.size]).toEqual([[], [], 1]);
    isRefused = false;
    await tick();
    expect([recorded(), forgotten, waiting.size]).toEqual([['one 5', 'two 7'], ['zero'], 0]);
    isRefused = true;
    loads.push(setOf('three'));
    await load();
    for (const close of closers) close();
    expect(waiting.size).toBe(0);
  });
});
