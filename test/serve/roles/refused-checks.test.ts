import { describe, expect, it } from '@jest/globals';
import type { EventRecord } from '../../../src/core/ledger/record.ts';
import { RefusedChecks } from '../../../src/serve/roles/refused-checks.ts';

const setUp = () => {
  const records: EventRecord[] = [];
  const due: (() => void)[] = [];
  const state = { isFull: false };
  const refused = new RefusedChecks({
    ledger: { append: (record) => !state.isFull && records.push(record) > 0 },
    nowMs: () => 7,
    after: (delayMs, run) => {
      expect(delayMs).toBe(1_000);
      due.push(run);
      return () => void due.splice(due.indexOf(run), 1);
    },
  });
  return { refused, records, state, second: () => due.splice(0).forEach((run) => run()) };
};

describe('RefusedChecks', () => {
  it('writes one record for each second with refusals, and no record for a second without', () => {
    const { refused, records, second } = setUp();
    for (let n = 0; n < 3; n += 1) refused.add('full');
    for (const agent of ['spiffe://acme.test/a', 'spiffe://acme.test/a', 'no agent\u0000']) {
      refused.addAgent(agent);
      refused.add('agent');
    }
    expect(records).toEqual([]);
    second();
    second();
    expect(records).toEqual([
      {
        kind: 'event',
        at: 7,
        task: null,
        event: 'refused',
        cause: null,
        note: 'calls were denied without a check',
        by: 'remit',
        details: {
          count: 6,
          causes: { full: 3, agent: 3 },
          agents: { 'spiffe://acme.test/a': 2, unknown: 1 },
        },
      },
    ]);
  });

  it('names at most 16 agents, and keeps counts that could not be recorded', () => {
    const { refused, records, state, second } = setUp();
    state.isFull = true;
    refused.add('agent');
    for (let n = 0; n < 20; n += 1) refused.addAgent(`spiffe://acme.test/${n}`);
    second();
    state.isFull = false;
    refused.add('failed');
    refused.close();
    expect(records).toMatchObject([{ details: { count: 2, causes: { agent: 1, failed: 1 } } }]);
    expect(Object.keys(records[0]?.details['agents'] ?? {})).toHaveLength(16);
  });
});
