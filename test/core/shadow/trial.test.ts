import { describe, expect, it } from '@jest/globals';
import { decide } from '../../../src/core/decide/decide.ts';
import type { CallFacts } from '../../../src/core/decide/facts.ts';
import { actionFrom } from '../../../src/core/action/action.ts';
import { authorize } from '../../../src/core/policy/authorize.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { issueQuestion } from '../../../src/core/policy/issue-question.ts';
import { noHistory } from '../../../src/core/task/history.ts';
import { newMetrics } from '../../../src/core/telemetry/metrics/metrics.ts';
import { workloadIdentity } from '../../../src/core/token/credential.ts';
import { Trial } from '../../../src/core/shadow/trial.ts';
import { exampleCatalog, folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import { Orders } from '../../../src/core/order/orders.ts';
import { mustFind } from '../../builders/must.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { httpCall } from '../../builders/http-call.ts';

const catalog = exampleCatalog.replace(
  'path: /v1/files, risk: low }',
  'path: /v1/files, risk: low, accepts: [workload-identity] }',
);
const setOf = (policies: string, changed = catalog) => mustLoad(folderWith(policies, { catalog: changed }));
const permit = '@id("p") permit (principal, action, resource);\n';
const forbid = (rest = '', annotation = '') => `@id("f") ${annotation}forbid (principal, action, resource) ${rest};\n`;

const agent = mustSpiffeId('spiffe://acme.test/a');

function trialOf(live: PolicySet, candidate: PolicySet | null) {
  const metrics = newMetrics();
  const deferred: (() => void)[] = [];
  const sets = { live, candidate };
  const trial = new Trial({
    binding: 'certificate',
    live: () => sets.live,
    candidate: () => sets.candidate,
    metrics,
    defer: (run) => deferred.push(run),
  });
  const question = issueQuestion(
    {
      agent,
      server: mustFind(live.catalog.servers.get('files')),
      purpose: 'look',
      actions: ['files.read'],
      requested: { action: 'files.read', risk: 'low', constraints: unconstrained },
      ttlSeconds: 1,
      taskSeconds: 1,
      nowMs: 0,
    },
    live.catalog,
  );
  return {
    trial,
    sets,
    issue: () => trial.granted(question, authorize(live, question), 5),
    check: (facts: CallFacts) =>
      trial.checked({
        decisionId: 'd',
        decision: decide(facts, { binding: 'certificate', policies: live }),
        decided: decide(facts, { binding: 'certificate', policies: live }),
        facts,
        policySet: live.hash,
        policyGeneration: live.generation,
        cache: 'bypass',
        traceId: null,
        took: { gatherMs: 0, decideMs: 0, settleMs: 0 },
      }),
    drain: () => {
      for (let run = deferred.shift(); run !== undefined; run = deferred.shift()) run();
      return trial.report();
    },
    counted: () =>
      metrics
        .scrape('text')
        .body.split('\n')
        .filter((line) => /^remit_policy_trial\w*_total\{?/.test(line)),
  };
}

const call = httpCall({ host: 'files.acme.test', path: '/v1/files' });

describe('Trial', () => {
  it('compares a grant with the candidate, after it was made', async () => {
    const { trial, issue, drain, counted } = trialOf(await setOf(permit), await setOf(permit + forbid()));
    issue();
    issue();
    expect(trial.report()).toMatchObject({ compared: 0, groups: [] });
    expect(drain()).toMatchObject({
      compared: 2,
      skipped: 0,
      ungrouped: 0,
      groups: [
        {
          source: 'candidate',
          change: 'allow-to-deny',
          action: 'issue',
          agent,
          intent: 'look',
          reason: null,
          otherwise: 'policy.forbidden',
          formerIds: ['p'],
          policyIds: ['f'],
          count: 2,
          examples: [
            { decisionId: null, atMs: 5 },
            { decisionId: null, atMs: 5 },
          ],
        },
      ],
    });
    expect(counted()).toEqual(
      expect.arrayContaining([
        'remit_policy_trials_total{source="candidate"} 2',
        'remit_policy_trial_differences_total{source="candidate",change="allow-to-deny",action="issue"} 2',
      ]),
    );
  });

  const permitShadow = '@id("s") @shadow("true") permit (principal, action, resource);\n';
  it.each([
    ['a forbid in shadow against an allow', permit + forbid('', '@shadow("true") '), ['allow-to-deny f']],
    [
      'no forbid in shadow that does not match',
      permit + forbid('when { context.risk == "high" }', '@shadow("true") '),
      [],
    ],
    [
      'a permit in shadow if none permits',
      '@id("n") permit (principal, action, resource) when { context.risk == "high" };' + permitShadow,
      ['deny-to-allow s'],
    ],
    ['no permit in shadow against a forbid', forbid() + permitShadow, []],
    ['no permit in shadow if the policies in force permit', permit + permitShadow, []],
    [
      'each in shadow by itself',
      `${permit}${forbid('', '@shadow("true") ')}@id("g") @shadow("true") forbid (principal, action, resource);${permitShadow}`,
      ['allow-to-deny f', 'allow-to-deny g'],
    ],
  ])('counts %s', async (_name, policies, expected) => {
    const { issue, drain } = trialOf(await setOf(policies), null);
    issue();
    expect(drain().groups.map(({ change, policyIds }) => `${change} ${policyIds.join()}`)).toEqual(expected);
  });

  it('compares a check by the catalog of the candidate', async () => {
    const live = await setOf(permit);
    const { check, drain } = trialOf(live, await setOf(permit, catalog.replace('/v1/files, risk', '/v2/files, risk')));
    const action = actionFrom(call, live.catalog);
    const facts = {
      call,
      caller: { id: agent, source: 'peer', certificateSha256: null },
      secrets: [],
      passing: [],
      credential: workloadIdentity,
      presented: { scheme: 'Bearer', proof: null },
      task: undefined,
      issued: undefined,
      history: noHistory,
      orders: Orders.none,
      action,
      use: 0,
      reuse: [],
      nowMs: 7,
      floorMs: 7,
    } as unknown as CallFacts;
    check(facts);
    expect(drain().groups).toEqual([
      {
        source: 'candidate',
        change: 'allow-to-deny',
        action: 'files.list',
        agent,
        intent: '',
        reason: null,
        otherwise: expect.stringMatching(/^(?:action\.unknown|token\.missing)$/),
        formerIds: ['p'],
        policyIds: [],
        count: 1,
        examples: [{ decisionId: 'd', atMs: 7 }],
      },
    ]);
  });

  it('asks the candidate about a grant with the terms of its own catalog', async () => {
    const zoned = catalog.replace('office: Europe/Berlin', 'tokyo: Asia/Tokyo');
    const open = '@id("p") permit (principal, action, resource) when { context.time.tokyo.weekday <= 7 };\n';
    const { issue, drain } = trialOf(await setOf(permit), await setOf(open, zoned));
    issue();
    expect(drain()).toMatchObject({ compared: 1, groups: [] });
  });

  it('evaluates nothing without a trial, and nothing twice if both sets are equal', async () => {
    const live = await setOf(permit);
    const alone = trialOf(live, null);
    alone.issue();
    expect(alone.drain().compared).toBe(0);
    const same = trialOf(live, live);
    same.issue();
    expect(same.drain().compared).toBe(1);
    expect(same.counted()).toContain('remit_policy_trials_total{source="candidate"} 0');
  });

  it('skips and counts decisions beyond the queue', async () => {
    const { issue, drain } = trialOf(await setOf(permit), await setOf(permit + forbid()));
    for (let at = 0; at < 1003; at += 1) issue();
    expect(drain()).toMatchObject({ compared: 1000, skipped: 3 });
  });

  it('resets the counts when a set changes', async () => {
    const { issue, drain, sets } = trialOf(await setOf(permit), await setOf(permit + forbid()));
    issue();
    expect(drain().groups).toHaveLength(1);
    sets.candidate = await setOf(`${permit}// other\n`);
    issue();
    expect(drain()).toMatchObject({ compared: 1, groups: [] });
  });
});
