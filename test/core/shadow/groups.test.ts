import { describe, expect, it } from '@jest/globals';
import type { Difference, DifferenceExample } from '../../../src/core/shadow/difference.ts';
import { Groups } from '../../../src/core/shadow/groups.ts';

const difference = (intent: string): Difference => ({
  source: 'candidate',
  change: 'allow-to-deny',
  action: 'files.read',
  agent: 'spiffe://acme.test/a',
  intent,
  reason: null,
  otherwise: 'policy.forbidden',
  formerIds: ['p'],
  policyIds: ['f'],
});

describe('Groups', () => {
  it('counts equal items, most frequent first, with the first three and the last example', () => {
    const differences = new Groups<Difference, DifferenceExample>();
    differences.add(difference('once'), { decisionId: 'x', atMs: 0 });
    for (let at = 1; at <= 6; at += 1) differences.add(difference('often'), { decisionId: `d${at}`, atMs: at });
    const { groups, ungrouped } = differences.list();
    expect([groups.map(({ intent, count }) => [intent, count]), ungrouped]).toEqual([
      [
        ['often', 6],
        ['once', 1],
      ],
      0,
    ]);
    expect(groups[0]?.examples.map(({ decisionId }) => decisionId)).toEqual(['d1', 'd2', 'd3', 'd6']);
  });

  it('holds 1,000 groups and counts the rest', () => {
    const differences = new Groups<Difference, DifferenceExample>();
    for (let at = 0; at < 1002; at += 1) differences.add(difference(`${at}`), { decisionId: null, atMs: at });
    differences.add(difference('0'), { decisionId: null, atMs: 0 });
    const { groups, ungrouped } = differences.list();
    expect([groups.length, ungrouped, groups[0]?.count]).toEqual([1000, 2, 2]);
    differences.clear();
    expect(differences.list()).toEqual({ groups: [], ungrouped: 0 });
  });
});
