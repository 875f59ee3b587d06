import { beforeAll, describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { Comparison } from '../../../../src/tools/policy/compare/comparison.ts';
import { exampleCatalog, folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { mustCases, planner } from '../cases/folder.ts';
import { NOW, recordedTask, useOf } from '../cases/records.ts';

const permit = (id: string, action: string): string =>
  `@id("${id}") permit (principal, action == Remit::Action::"${action}", resource);\n`;

let old: PolicySet;
let other: PolicySet;
beforeAll(async () => {
  old = await mustLoad(folderWith(permit('payments-read', 'payments.list') + permit('issue', 'issue')));
  other = await mustLoad(
    folderWith(permit('files', 'files.list'), {
      catalog: exampleCatalog.replace('payments.refund', 'payments.give-back'),
    }),
  );
});

const use = (decisionId: string, change: Parameters<typeof useOf>[0] = {}) =>
  useOf({ policySet: old.hash, decisionId, ...change });
const cases = (...items: readonly string[]) =>
  mustCases(`defaults: { agent: ${planner} }\ncases:\n${items.map((item) => `  - ${item}\n`).join('')}`);

const would = (reason: 'policy.not-permitted' | 'token.expired') =>
  ({ decision: 'deny', reason, detail: null, policyIds: [] }) as const;

describe('Comparison', () => {
  it('groups uses with different decisions', () => {
    const comparison = new Comparison(old, other);
    comparison.addUse(use('a'), recordedTask());
    comparison.addUse(use('b'), recordedTask());
    comparison.addUse(
      use('c', {
        action: 'files.list',
        host: 'files.acme.test',
        path: '/v1/files',
        decision: 'deny',
        reason: 'policy.not-permitted',
        policyIds: [],
      }),
      recordedTask(),
    );
    const { compared, groups, ungrouped } = comparison.report();
    expect({ compared, groups, ungrouped }).toEqual({
      compared: 3,
      ungrouped: 0,
      groups: [
        {
          source: 'ledger',
          change: 'allow-to-deny',
          action: 'payments.list',
          agent: planner,
          intent: null,
          reason: null,
          otherwise: 'policy.not-permitted',
          formerIds: ['payments-read'],
          policyIds: [],
          count: 2,
          examples: [
            { decisionId: 'a', atMs: NOW },
            { decisionId: 'b', atMs: NOW },
          ],
        },
        expect.objectContaining({ change: 'deny-to-allow', formerIds: [], policyIds: ['files'], count: 1 }),
      ],
    });
  });

  it('takes an observed use for what enforcing would have decided, not for the allow that was answered', () => {
    const comparison = new Comparison(old, other);
    const passed = { decision: 'allow', reason: null, policyIds: [], mode: 'observe', entry: 'legacy' } as const;
    const files = { action: 'files.list', host: 'files.acme.test', path: '/v1/files' };
    comparison.addUse(use('a', { ...passed, ...files, would: would('policy.not-permitted') }), recordedTask());
    comparison.addUse(use('b', { ...passed, would: would('token.expired') }), recordedTask());
    const { groups, skipped, notRepeatable } = comparison.report();
    expect(notRepeatable.groups).toEqual([]);
    expect(groups).toMatchObject([{ change: 'deny-to-allow', reason: 'policy.not-permitted', count: 1 }]);
    expect(skipped.groups).toMatchObject([{ why: 'denied before the policies: token.expired', count: 1 }]);
  });

  it('counts separately what cannot be repeated and what is skipped', () => {
    const comparison = new Comparison(old, other);
    comparison.addUse(use('a', { decision: 'deny', reason: 'policy.stale', policyIds: [] }), recordedTask());
    comparison.addUse(use('b', { decision: 'deny', reason: 'token.expired', policyIds: [] }), recordedTask());
    comparison.addUse(use('c', { agent: null, decision: 'deny', reason: 'identity.missing', policyIds: [] }), null);
    comparison.skip('the record is not JSON in UTF-8', { seq: 4 });
    const { compared, groups, notRepeatable, skipped } = comparison.report();
    expect({ compared, groups, notRepeatable, skipped }).toEqual({
      compared: 0,
      groups: [],
      notRepeatable: {
        count: 1,
        groups: [
          {
            action: 'payments.list',
            missing: ['state of the policies'],
            count: 1,
            examples: [{ decisionId: 'a', atMs: NOW }],
          },
        ],
      },
      skipped: {
        count: 3,
        groups: [
          { why: 'denied before the policies: token.expired', count: 1, examples: [{ decisionId: 'b', atMs: NOW }] },
          {
            why: 'the caller of the recorded call was not known',
            count: 1,
            examples: [{ decisionId: 'c', atMs: NOW }],
          },
          { why: 'the record is not JSON in UTF-8', count: 1, examples: [{ seq: 4 }] },
        ],
      },
    });
  });

  it('compares cases regardless of their expectation, and token requests', () => {
    const comparison = new Comparison(old, other);
    const tests = cases(
      '{ name: a list, action: payments.list, expect: deny }',
      '{ name: a token, issue: payments.list, expect: allow }',
      '{ name: later, action: payments.list, expect: deny, skip: not yet }',
    );
    for (const test of tests) comparison.addCase(test);
    const { compared, groups, skipped } = comparison.report();
    expect([compared, ...groups.map(({ action, change, examples }) => [action, change, examples])]).toEqual([
      2,
      ['payments.list', 'allow-to-deny', [{ file: 's.test.yaml', line: 3, name: 'a list' }]],
      ['issue payments.list', 'allow-to-deny', [{ file: 's.test.yaml', line: 4, name: 'a token' }]],
    ]);
    expect(skipped.groups).toMatchObject([{ why: 'skipped by its suite', count: 1 }]);
  });

  it('makes the same call to both sets if either catalog lacks the action', () => {
    const comparison = new Comparison(old, other);
    const tests = cases(
      '{ name: a refund, action: payments.refund, args: { id: x }, expect: deny }',
      '{ name: its token, issue: payments.refund, expect: allow }',
      '{ name: nothing, action: payments.burn, expect: deny }',
    );
    for (const test of tests) comparison.addCase(test);
    const { groups, skipped } = comparison.report();
    expect(groups.map(({ action, reason, otherwise }) => [action, reason, otherwise])).toEqual([
      ['issue payments.refund', null, 'action.unknown'],
    ]);
    expect(skipped.groups).toMatchObject([
      { why: 'it cannot be attempted: the catalog has no action `payments.burn`', count: 1 },
    ]);
  });
});
