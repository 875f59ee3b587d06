import { beforeAll, describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { coverageText, gapsOf } from '../../../../src/tools/policy/cases/coverage.ts';
import { runSuites } from '../../../../src/tools/policy/cases/run-suites.ts';
import type { SuiteResult } from '../../../../src/tools/policy/cases/run-suites.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { examplePolicies, mustCases, planner, reporter } from './folder.ts';
import { must } from '../../../builders/must.ts';

let set: PolicySet;
beforeAll(async () => {
  set = await examplePolicies();
});

function run(text: string, policies = set, progress: number[] = []): SuiteResult {
  const cases = mustCases(`defaults: { agent: ${planner} }\ncases:\n${text}`);
  return must(
    runSuites({ files: 1, cases, cedarTests: [] }, policies, {
      isUnlistedTried: false,
      onProgress: (decided) => progress.push(decided),
    }),
  );
}

const messages = (text: string): readonly string[] => run(text).cases.flatMap((one) => one.messages);

describe('runSuites', () => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ['nothing wrong', '{ action: payments.list, expect: allow, policies: [payments-read], shadow: [] }', []],
    ['another decision', '{ action: payments.list, expect: deny }', ['expected deny, got allow by payments-read']],
    [
      'another reason',
      '{ action: payments.create, args: { amount: 501 }, expect: deny, reason: policy.not-permitted }',
      ['expected the reason policy.not-permitted, got deny policy.forbidden by payments-limit'],
    ],
    [
      'fewer policies',
      '{ action: payments.create, args: { amount: 501, currency: USD }, expect: deny, policies: [payments-limit] }',
      ['expected the policies payments-limit, got payments-euro-only, payments-limit'],
    ],
    [
      'policies if none was asked',
      "{ call: { method: GET, url: 'https://a.test/' }, expect: deny, policies: [a], shadow: [b] }",
      ['expected the policies a, got none', 'expected the shadow policies b, got none'],
    ],
    [
      'a policy on trial',
      '{ action: payments.refund, now: 2026-01-15T22:00:00Z, expect: allow, shadow: [] }',
      ['expected the shadow policies none, got night-freeze'],
    ],
    [
      'an attempt that cannot be made',
      '{ action: payments.burn, expect: deny }',
      ['the catalog has no action `payments.burn`'],
    ],
  ];
  it.each(rows)('reports %s', (_name, item, expected) => {
    expect(messages(`  - { name: a, ${item.slice(1)}`)).toEqual(expected);
  });

  it('does not judge a skipped case', () => {
    expect(run('  - { name: a, action: payments.list, expect: deny, skip: not yet }').cases).toEqual([
      { file: 's.test.yaml', line: 3, column: 5, name: 'a', status: 'skipped', messages: ['not yet'], decision: null },
    ]);
    expect(run('  - { name: a, action: payments.list, expect: deny, skip: not yet }').coverage.covered).toBe(0);
  });

  it('reports progress every 1,000 decisions', () => {
    const progress: number[] = [];
    const ids = Array.from({ length: 50 }, () => 'payments.burn').join(', ');
    run(`  - { name: a, action: [${ids}], expect: deny }\n`.repeat(41), set, progress);
    expect(progress).toEqual([1000, 2000]);
  });
});

describe('coverage', () => {
  const policies = `@id("p") permit (principal, action == Remit::Action::"payments.list", resource)
when { principal == Remit::Agent::"${planner}" }
unless { context.risk == "medium" };
@id("f") forbid (principal, action == Remit::Action::"payments.list", resource)
when { context.risk == "high" };`;

  it('counts matches, and both outcomes of each reached clause', async () => {
    const own = await mustLoad(folderWith(policies));
    const cover = (text: string) => run(text, own).coverage;
    expect(cover(`  - { name: a, agent: ${reporter}, action: payments.list, expect: deny }`)).toMatchObject({
      points: 8,
      covered: 2,
      percent: 25,
      policies: [
        {
          id: 'p',
          effect: 'permit',
          matched: 0,
          clauses: [
            { kind: 'when', held: 0, failed: 1, line: 2, column: 1 },
            { kind: 'unless', held: 0, failed: 0 },
          ],
        },
        { id: 'f', effect: 'forbid', matched: 0, clauses: [{ kind: 'when', held: 0, failed: 1 }] },
      ],
    });
    const all = cover(`  - { name: a, agents: [${planner}, ${reporter}], action: payments.list, expect: allow }
  - { name: b, action: payments.list, task: { risk: medium }, expect: deny }
  - { name: c, action: payments.list, task: { risk: high }, expect: deny }`);
    expect(all.percent).toBe(100);
    expect(coverageText(all)).toBe(
      'clause coverage 100 % (8 of 8): 1 of 1 permits, 1 of 1 forbids, 6 of 6 outcomes of clauses',
    );
    expect(all.policies.flatMap(gapsOf)).toEqual([]);
  });

  it('lists what no case covers', async () => {
    const own = await mustLoad(folderWith(policies));
    const { coverage } = run('  - { name: a, action: payments.list, expect: allow }', own);
    expect(coverage.policies.map(gapsOf)).toEqual([
      ['`when` at 2:1 never kept it from matching', '`unless` at 3:1 never kept it from matching'],
      ['never matched', '`when` at 5:1 never let it match'],
    ]);
  });

  it('counts nothing if the policies were not asked', async () => {
    const own = await mustLoad(folderWith(policies));
    expect(
      run('  - { name: a, action: files.list, task: { state: revoked }, expect: deny }', own).coverage.covered,
    ).toBe(0);
  });
});
