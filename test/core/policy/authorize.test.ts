import { describe, expect, it } from '@jest/globals';
import { authorize, authorizeGrant } from '../../../src/core/policy/authorize.ts';
import { issueQuestion } from '../../../src/core/policy/issue-question.ts';
import { folderWith, mustLoad } from '../../builders/policy-folder.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const issue = (effect: string, id: string, condition = 'true', annotations = '') =>
  `@id("${id}") ${annotations} ${effect} (principal, action == Remit::Action::"issue", resource) when { ${condition} };\n`;

async function decisionBy(policies: string, ttlSeconds = 1) {
  const set = await mustLoad(folderWith(policies));
  const question = questionTo(set, { ttlSeconds });
  const decision = authorize(set, question);
  for (const _ of ['first', 'again']) expect(authorizeGrant(set, question, 0)).toEqual(decision);
  return decision;
}

function questionTo(set: PolicySet, { ttlSeconds = 1, purpose = '' }) {
  const agent = mustSpiffeId('spiffe://acme.test/a');
  const server = set.catalog.servers.get('files');
  if (server === undefined) throw new Error('no server');
  const requested = { action: 'files.list', risk: 'low', constraints: unconstrained } as const;
  return issueQuestion(
    { agent, server, purpose, actions: ['files.list'], requested, ttlSeconds, taskSeconds: 900, nowMs: 0 },
    set.catalog,
  );
}

describe('authorize', () => {
  const overflow = 'context.ttlSeconds * 9223372036854775807 > 0';
  const rows: readonly (readonly [string, string, unknown])[] = [
    ['a permit', issue('permit', 'b') + issue('permit', 'a'), { kind: 'allow', policyIds: ['a', 'b'], observed: null }],
    [
      'no permit',
      issue('permit', 'a', 'false'),
      { reason: 'policy.not-permitted', detail: 'no policy permits `issue`', policyIds: [], advice: null },
    ],
    [
      'a forbid',
      issue('permit', 'a') + issue('forbid', 'f'),
      { reason: 'policy.forbidden', detail: 'forbidden by `f`', policyIds: ['f'], advice: null },
    ],
    [
      'forbids, the first advice by id',
      issue('forbid', 'c', 'true', '@reason("of c")') +
        issue('forbid', 'b', 'true', '@reason("of b")') +
        issue('forbid', 'a'),
      { reason: 'policy.forbidden', detail: 'forbidden by `a`, `b`, `c`', policyIds: ['a', 'b', 'c'], advice: 'of b' },
    ],
    [
      'a forbid that errs',
      issue('permit', 'a') + issue('forbid', 'f', overflow),
      { reason: 'policy.error', detail: 'a policy could not be evaluated', policyIds: ['f'] },
    ],
    [
      'a permit that errs beside another',
      issue('permit', 'a') + issue('permit', 'p', overflow),
      { reason: 'policy.error', policyIds: ['p'] },
    ],
    ['no policies', '', { reason: 'policy.unavailable', detail: 'the policy set is empty' }],
    ['shadow policies alone', issue('permit', 'a', 'true', '@shadow("true")'), { reason: 'policy.unavailable' }],
    [
      'a forbid in shadow',
      issue('permit', 'a') + issue('forbid', 'f', 'true', '@shadow("true")'),
      { kind: 'allow', policyIds: ['a'], observed: null },
    ],
    [
      'a permit in shadow',
      issue('permit', 'a', 'true', '@shadow("true")') + issue('forbid', 'f', 'false'),
      { reason: 'policy.not-permitted' },
    ],
  ];
  it.each(rows)('decides by %s', async (_name, policies, expected) => {
    expect(await decisionBy(policies, 2)).toMatchObject(expected as object);
  });

  it('denies what the engine cannot read', async () => {
    expect(await decisionBy(issue('permit', 'a'), Number.NaN)).toMatchObject({
      reason: 'policy.error',
      detail: 'the engine refused the question',
    });
  });
});

describe('authorizeGrant', () => {
  const invoices = 'context.intent.purpose == "invoices" && context.ttlSeconds <= 60';

  it('remembers the answer to tasks that do not differ in what the policies read', async () => {
    const set = await mustLoad(folderWith(issue('permit', 'a', invoices)));
    for (const ttlSeconds of [30, 31, 32])
      expect(authorizeGrant(set, questionTo(set, { purpose: 'invoices', ttlSeconds }), 0)).toMatchObject({
        kind: 'allow',
      });
    expect(set.sizes().cached).toEqual({ allows: 1, denials: 0 });
  });

  it.each([{ purpose: 'refunds' }, { purpose: 'invoices', ttlSeconds: 61 }])(
    'decides %o anew, right after a like task that was granted',
    async (other) => {
      const set = await mustLoad(folderWith(issue('permit', 'a', invoices)));
      expect(authorizeGrant(set, questionTo(set, { purpose: 'invoices' }), 0).kind).toBe('allow');
      expect(authorizeGrant(set, questionTo(set, other), 0)).toMatchObject({ reason: 'policy.not-permitted' });
    },
  );
});
