import { beforeAll, describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { rehearse } from '../../../../src/tools/policy/cases/rehearse.ts';
import { MAX_ATTEMPTS, unlistedAllows } from '../../../../src/tools/policy/cases/unlisted.ts';
import type { Unlisted } from '../../../../src/tools/policy/cases/unlisted.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { mustCases, planner, reporter } from './folder.ts';
import { must } from '../../../builders/must.ts';

const CATALOG = `servers:
  s:
    hosts: [s.test]
    audience: https://s.test
    routes:
      - { action: read, method: GET, path: /r, risk: low, args: { n: { from: query, type: long, required: true } } }
      - { action: write, method: POST, path: /w, risk: low }
`;

let set: PolicySet;
beforeAll(async () => {
  set = await mustLoad(
    folderWith(
      `@id("read-many") permit (principal, action == Remit::Action::"read", resource) when { context.args.n > 10 };
       @id("issue-write") permit (principal == Remit::Agent::"${planner}", action == Remit::Action::"issue", resource)
       when { context.requested.action == "write" };`,
      { catalog: CATALOG },
    ),
  );
});

function unlisted(cases: string): Unlisted {
  const rehearsed = mustCases(`cases:\n${cases}`).map((test) => {
    const rehearsal = must(rehearse(test.attempt, test.circumstances, set));
    return { test, target: rehearsal.target };
  });
  return must(unlistedAllows(rehearsed, set));
}

const WRITES = { agent: planner, what: 'issue write', policyIds: ['issue-write'], as: null };

describe('unlistedAllows', () => {
  it('finds unlisted allows of plain attempts by agents of the cases', () => {
    expect(unlisted(`  - { name: a, agent: ${planner}, action: read, expect: deny }`)).toEqual({
      attempts: 5,
      allowed: [WRITES],
    });
    expect(unlisted(`  - { name: a, agent: ${reporter}, action: read, expect: deny }`)).toEqual({
      attempts: 5,
      allowed: [],
    });
  });

  it('finds unlisted allows of other agents with calls of cases', () => {
    const cases = `  - { name: twenty, agent: ${planner}, action: read, args: { n: 20 }, expect: allow }
  - { name: b, agent: ${reporter}, action: write, expect: deny }
  - { name: c, agent: ${planner}, issue: write, expect: allow }`;
    expect(unlisted(cases).allowed).toEqual([
      { agent: reporter, what: 'read', policyIds: ['read-many'], as: 'twenty' },
    ]);
  });

  it('counts an expected allow as listed, even if the case fails', () => {
    const cases = `  - { name: a, agent: ${planner}, issue: write, expect: allow }
  - { name: b, agent: ${planner}, action: write, expect: allow }`;
    expect(unlisted(cases).allowed).toEqual([]);
  });

  it('does not count a case that expects a denial as listed', () => {
    expect(unlisted(`  - { name: a, agent: ${planner}, issue: write, expect: deny }`).allowed).toEqual([WRITES]);
  });

  it('refuses more than `MAX_ATTEMPTS`', () => {
    const [test] = mustCases(`cases: [{ name: a, agent: ${planner}, action: read, expect: deny }]`);
    const action = set.catalog.actions.get('read');
    if (test === undefined || action === undefined) throw new Error('no case');
    // Each is of another time, since equal calls are tried once.
    const many = Array.from({ length: MAX_ATTEMPTS + 1 }, (_, n) => ({
      test: { ...test, circumstances: { ...test.circumstances, nowMs: n } },
      target: { action, isIssue: false },
    }));
    expect(unlistedAllows(many, set)).toEqual({
      problem: `there are ${MAX_ATTEMPTS + 5} unlisted calls, more than ${MAX_ATTEMPTS}: name fewer agents`,
    });
  });
});
