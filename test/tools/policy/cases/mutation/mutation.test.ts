import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../../../src/core/policy/loading/load.ts';
import { probeOf } from '../../../../../src/tools/policy/explain/probe.ts';
import { cedarTestsFrom } from '../../../../../src/tools/policy/cases/cedar-tests.ts';
import { mutatedPolicies } from '../../../../../src/tools/policy/cases/mutation/mutated-policies.ts';
import { mutate } from '../../../../../src/tools/policy/cases/mutation/mutation.ts';
import type { Mutation } from '../../../../../src/tools/policy/cases/mutation/mutation.ts';
import { runSuites } from '../../../../../src/tools/policy/cases/run-suites.ts';
import type { Suites } from '../../../../../src/tools/policy/cases/suite-source.ts';
import { folderWith, mustLoad } from '../../../../builders/policy-folder.ts';
import { mustCases, planner, reporter } from '../folder.ts';
import { must } from '../../../../builders/must.ts';

const entities = readFileSync('cedar-policies/entities.cedarentities.json', 'utf8');
const setOf = (policies: string): Promise<PolicySet> => mustLoad(folderWith(policies, { entities }));

const suitesOf = (text: string, cedarTests: Suites['cedarTests'] = []): Suites => ({
  files: 1,
  cases: mustCases(`defaults: { agent: ${planner} }\ncases:\n${text}`),
  cedarTests,
});

function mutated(suites: Suites, policies: PolicySet, isUnlistedTried = true): Mutation {
  return must(mutate(suites, policies, { isUnlistedTried, onProgress: () => undefined }));
}

const POLICIES = `
@id("pay") permit (principal in Remit::AgentGroup::"payers", action == Remit::Action::"payments.create", resource in Remit::Server::"payments")
when { context.args.amount <= 500 && context.intent.purpose != "" }
unless { context.risk == "high" || context.task.labels.contains("customer-data") };

@id("no-dollars") forbid (principal, action == Remit::Action::"payments.create", resource)
when { context.args has currency && ["USD", "CAD"].contains(context.args.currency) };

@id("trial") @shadow("true") forbid (principal, action in [Remit::Action::"medium", Remit::Action::"high"], resource)
when { context.credential.uses > 3 };`;

/** Every clause holds and fails once: clause coverage is complete. */
const CASES = `
  - { name: 500 is paid, task: { purpose: rent }, action: payments.create, args: { amount: 500 }, expect: allow, shadow: [] }
  - { name: 501 is not, task: { purpose: rent }, action: payments.create, args: { amount: 501 }, expect: deny }
  - { name: not with a risk, task: { purpose: rent, risk: high }, action: payments.create, args: { amount: 1 }, expect: deny }
  - { name: no dollars, task: { purpose: rent }, action: payments.create, args: { amount: 1, currency: USD }, expect: deny }
  - { name: on trial, credential: { uses: 4 }, task: { purpose: rent }, action: payments.create, args: { amount: 1 }, expect: allow, shadow: [trial] }
`;

let set: PolicySet;
beforeAll(async () => {
  set = await setOf(POLICIES);
});

/** Whether the mutant without the purpose survives. */
const isPurposeOpen = (cedarTests: Suites['cedarTests']): boolean =>
  mutated(suitesOf(CASES, cedarTests), set).survivors.some(({ what }) => what.includes('purpose'));

describe('mutate', () => {
  it('finds gaps despite full clause coverage: conditions, bounds and members without a case', () => {
    const suites = suitesOf(CASES);
    const run = must(runSuites(suites, set, { isUnlistedTried: true, onProgress: () => undefined }));
    expect([
      run.coverage.percent,
      run.unlisted?.allowed,
      run.cases.filter(({ status }) => status !== 'passed'),
    ]).toEqual([100, [], []]);
    const { survivors } = mutated(suites, set);
    expect(survivors.map(({ policy, line, what }) => `${policy}:${line}: ${what}`)).toEqual([
      'pay:2: any principal will do: `principal in Remit::AgentGroup::"payers"` is left out',
      'pay:3: `context.intent.purpose != ""` is left out',
      'pay:4: `context.task.labels.contains("customer-data")` is left out',
      'no-dollars:7: `["USD", "CAD"].contains(context.args.currency)` is left out',
      'no-dollars:7: `"CAD"` is left out of the list',
      'trial:9: `Remit::Action::"medium"` is left out of the list',
      'trial:10: `>` is `>=` in `context.credential.uses > 3`',
    ]);
  });

  it('suggests a case that would detect the mutant', () => {
    const { survivors } = mutated(suitesOf(CASES), set);
    expect(survivors.slice(1, 5).map(({ wouldNotice }) => wouldNotice)).toEqual([
      '"500 is paid" with context.intent.purpose "": deny by no policy, but allow by pay with the mutant',
      '"500 is paid" with context.task.labels ["customer-data"]: deny by no policy, but allow by pay with the mutant',
      '"no dollars" with context.args.currency "other": allow by pay, but deny by no-dollars with the mutant',
      '"no dollars" with context.args.currency "CAD": deny by no-dollars, but allow by pay with the mutant',
    ]);
  });

  it('detects exactly the mutants with which the suites fail when loaded', async () => {
    const suites = suitesOf(CASES);
    const all = must(mutatedPolicies(probeOf(set).policies, set));
    const passing = new Set<string>();
    for (const { of, mutant } of all.mutated) {
      const { policy, parts } = of;
      const text = mutant.text === null ? '' : policy.text.slice(0, parts.effect.offset) + mutant.text;
      const other = await setOf(POLICIES.replace(policy.text, text));
      const run = must(runSuites(suites, other, { isUnlistedTried: true, onProgress: () => undefined }));
      const isPassed = run.cases.every(({ status }) => status === 'passed') && run.unlisted?.allowed.length === 0;
      if (isPassed) passing.add(`${policy.id}: ${mutant.what}`);
    }
    const { survivors, mutants, noticed } = mutated(suites, set);
    expect(new Set(survivors.map(({ policy, what }) => `${policy}: ${what}`))).toEqual(passing);
    expect(mutants - noticed).toBe(passing.size);
  });

  it('detects unlisted allows, unless only the cases are run', () => {
    const suites = suitesOf(`${CASES}  - { name: n, agent: ${reporter}, action: files.list, expect: deny }\n`);
    const widened = (isUnlistedTried: boolean): boolean =>
      mutated(suites, set, isUnlistedTried).survivors.some(({ what }) => what.includes('any principal'));
    expect([widened(true), widened(false)]).toEqual([false, true]);
  });

  it('skips mutants that validation refuses, and scopes that cover the same requests', () => {
    const { unloadable, survivors } = mutated(suitesOf(CASES), set);
    // Without `has` the optional currency is a type error; other actions have no amount.
    expect(unloadable).toBeGreaterThanOrEqual(3);
    expect(survivors.filter(({ what }) => what.includes('any resource') || what.includes('has currency'))).toEqual([]);
  });

  it('reports a different answer to a case that does not name its policies', async () => {
    const cases = `${CASES}  - { name: another, task: { purpose: rent }, action: payments.refund, expect: deny }\n`;
    const forbid = `${POLICIES}\n@id("no-refund") forbid (principal, action == Remit::Action::"payments.refund", resource);`;
    const { survivors } = mutated(suitesOf(cases), await setOf(forbid));
    expect(survivors.find(({ what }) => what === 'the policy is left out')?.wouldNotice).toBe(
      '"another", if it named its `policies`: deny by no-refund, but deny by no policy with the mutant',
    );
  });

  it('honours `@accept`, and reports an `@accept` for a mutant that does not survive', async () => {
    const { survivors } = mutated(suitesOf(CASES), set);
    const [, purpose] = survivors;
    const accepting = POLICIES.replace('@id("pay")', `@id("pay") @accept("${purpose?.mutant} mutant-00000000")`);
    const after = mutated(suitesOf(CASES), await setOf(accepting));
    expect(after.accepted.map(({ what }) => what)).toEqual([purpose?.what]);
    expect(after.survivors).toHaveLength(survivors.length - 1);
    expect(after.uselessAccepts).toMatchObject([{ mutant: 'mutant-00000000', policy: 'pay', line: 2 }]);
  });

  it('uses the tests of `cedar run-tests` too', () => {
    const read = must(
      cedarTestsFrom(
        JSON.stringify([
          {
            name: 'no purpose',
            request: {
              principal: `Remit::Agent::"${planner}"`,
              action: 'Remit::Action::"payments.create"',
              resource: 'Remit::Endpoint::"payments:POST /v1/payments"',
              context: contextOf({ purpose: '' }),
            },
            entities: [
              {
                uid: uid('Agent', planner),
                attrs: {},
                parents: [uid('AgentGroup', 'payers'), uid('TrustDomain', 'acme.test')],
              },
              { uid: uid('Endpoint', 'payments:POST /v1/payments'), attrs: {}, parents: [uid('Server', 'payments')] },
            ],
            decision: 'deny',
            reason: [],
            num_errors: 0,
          },
        ]),
        't',
      ),
    );
    expect([isPurposeOpen([]), isPurposeOpen(read)]).toEqual([true, false]);
  });
});

const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });

const contextOf = ({ purpose }: { readonly purpose: string }) => ({
  intent: { purpose, actions: ['payments.create'], ageSeconds: 1 },
  subject: planner,
  actors: [],
  credential: { kind: 'task-token', binding: 'certificate', scope: [], secondsLeft: 1, uses: 1, reuse: [] },
  request: { method: 'POST', host: 'payments.acme.test', path: '/v1/payments' },
  claimed: [],
  attested: [],
  task: { actions: [], labels: [] },
  labels: ['external'],
  risk: 'low',
  now: { __extn: { fn: 'datetime', arg: '2026-01-15T12:00:00Z' } },
  time: { office: { weekday: 4, minuteOfDay: 780, date: { __extn: { fn: 'datetime', arg: '2026-01-15' } } } },
  subjectAttributes: {},
  args: { amount: 1 },
});
