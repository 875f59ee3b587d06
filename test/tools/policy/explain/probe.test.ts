import { beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { authorize } from '../../../../src/core/policy/authorize.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { probeOf } from '../../../../src/tools/policy/explain/probe.ts';
import type { Observation, Probe } from '../../../../src/tools/policy/explain/probe.ts';
import type { Question } from '../../../../src/core/policy/question.ts';
import { rehearse } from '../../../../src/tools/policy/cases/rehearse.ts';
import { plainCircumstances, plainCredential, plainTask } from '../../../../src/tools/policy/cases/test-case.ts';
import type { Attempt, CaseCircumstances } from '../../../../src/tools/policy/cases/test-case.ts';
import { examplePolicies, planner, reporter } from '../cases/folder.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';

let set: PolicySet;
let probe: Probe;
beforeAll(async () => {
  set = await examplePolicies();
  probe = probeOf(set);
});

function questionOf(
  attempt: Attempt,
  circumstances: CaseCircumstances = plainCircumstances(planner),
  of = set,
): Question {
  const rehearsal = rehearse(attempt, circumstances, of);
  if ('problem' in rehearsal || rehearsal.question === null) throw new Error(JSON.stringify(rehearsal));
  return rehearsal.question;
}

const pay = (args: Record<string, unknown>): Attempt => ({ kind: 'action', action: 'payments.create', args });

const standings = ({ principal, resource, clauses, matches }: Observation) => ({
  scope: [principal, resource].map(({ standing }) => standing),
  clauses: clauses.map(({ standing, isReached, observed }) => [
    standing,
    isReached,
    ...observed.map((one) => one.standing),
  ]),
  matches,
});

const reached = (question: Question): readonly unknown[] =>
  probe
    .observe(question)
    .filter(({ principal, resource }) => [principal, resource].every(({ standing }) => standing === 'holds'))
    .map((one) => [one.policy.id, standings(one)]);

const observed = (id: string, question: Question) => {
  const found = probe.observe(question).find(({ policy }) => policy.id === id);
  if (found === undefined) throw new Error(`no policy ${id}`);
  return standings(found);
};

const idsFor = (attempt: Attempt): readonly string[] =>
  probe
    .observe(questionOf(attempt))
    .map(({ policy }) => policy.id)
    .filter((id) => id.includes('-') && !id.includes('risk'));

describe('probeOf', () => {
  it('observes equally by action and by matching scope', () => {
    const questions = [pay({ amount: 1 }), pay({ amount: 501, currency: 'USD' })].flatMap((attempt) =>
      [planner, reporter].map((agent) => questionOf(attempt, plainCircumstances(agent))),
    );
    for (const question of [...questions, ...questions]) {
      const observations = probe.observeReached(question).map((one) => [one.policy.id, standings(one)]);
      expect(observations.length).toBeGreaterThan(3);
      expect(observations).toEqual(reached(question));
    }
  });

  it('tells whether each piece holds', () => {
    expect(observed('payments-write', questionOf(pay({ amount: 1 })))).toEqual({
      scope: ['holds', 'holds'],
      clauses: [['holds', true, 'holds', 'holds']],
      matches: true,
    });
    const stale = { ...plainCircumstances(reporter), task: { ...plainTask, ageSeconds: 4000 } };
    expect(observed('payments-write', questionOf(pay({ amount: 1 }), stale))).toEqual({
      scope: ['fails', 'holds'],
      clauses: [['fails', false, 'holds', 'fails']],
      matches: false,
    });
  });

  it("reports an error in a term, and the engine's result for its clause", () => {
    expect(observed('payments-euro-only', questionOf(pay({ amount: 1 }))).clauses).toEqual([
      ['fails', true, 'fails', 'errs'],
    ]);
  });

  it('counts an `unless` with a false body as holding', () => {
    expect(observed('high-risk-bound', questionOf(pay({ amount: 1 }))).clauses).toEqual([['fails', true, 'fails']]);
    const loose = { ...plainCircumstances(planner), credential: { ...plainCredential, binding: 'spiffe-id' as const } };
    expect(observed('high-risk-bound', questionOf(pay({ amount: 1 }), loose)).matches).toBe(true);
  });

  it('observes shadow policies', () => {
    const late = { ...plainCircumstances(planner), nowMs: Date.UTC(2026, 0, 15, 23) };
    expect(observed('night-freeze', questionOf(pay({ amount: 1 }), late)).matches).toBe(true);
  });

  it('observes only the policies about the action, repeatedly', () => {
    const files = ['files-read', 'customer-data-stays', 'home-domain'];
    const list: Attempt = { kind: 'action', action: 'files.list', args: {} };
    expect([idsFor(list), idsFor(pay({})).includes('files-read'), idsFor(list)]).toEqual([files, false, files]);
  });

  it('reaches a clause only if all earlier clauses hold', async () => {
    const policies =
      '@id("a") permit (principal, action == Remit::Action::"payments.list", resource) when { false } when { true };';
    const one = await mustLoad(folderWith(policies));
    const [found] = probeOf(one).observe(
      questionOf({ kind: 'action', action: 'payments.list', args: {} }, plainCircumstances(planner), one),
    );
    expect(found?.clauses.map(({ standing, isReached }) => [standing, isReached])).toEqual([
      ['fails', true],
      ['holds', false],
    ]);
  });

  it('matches exactly if the engine names the policy', () => {
    const agents = fc.constantFrom(planner, reporter, mustSpiffeId('spiffe://evil.test/a'));
    const attempt = fc.oneof(
      fc
        .record(
          { amount: fc.constantFrom(1, 500, 501), currency: fc.constantFrom('EUR', 'USD') },
          { requiredKeys: ['amount'] },
        )
        .map(pay),
      fc.constantFrom(
        ...['payments.refund', 'files.list', 'files.delete', 'tickets.search-customers'].map(
          (action) => ({ kind: 'action', action, args: {} }) as const,
        ),
      ),
      fc.record({
        kind: fc.constant('issue' as const),
        action: fc.constantFrom('payments.create', 'files.delete', 'files.list'),
        ttlSeconds: fc.constant(300),
        taskSeconds: fc.constantFrom(900, 901),
        delegation: fc.constant(null),
        stopped: fc.constant(null),
      }),
    );
    const task = fc.record({
      purpose: fc.constantFrom('', 'x'),
      risk: fc.constantFrom('low' as const, 'high' as const),
      ageSeconds: fc.constantFrom(1, 4000),
    });
    const labels = fc.constantFrom<readonly string[]>([], ['customer-data']);
    fc.assert(
      fc.property(agents, attempt, task, labels, (agent, one, of, history) => {
        const circumstances = {
          ...plainCircumstances(agent),
          task: { ...plainTask, ...of },
          history: { actions: [], labels: history },
        };
        const question = questionOf(one, circumstances);
        const decision = authorize(set, question);
        const matching = probe.observe(question).filter(({ policy, matches }) => matches && !policy.shadow);
        const ids = (effect: string) =>
          matching
            .filter(({ policy }) => policy.effect === effect)
            .map(({ policy }) => policy.id)
            .toSorted();
        const forbids = ids('forbid');
        expect(decision.policyIds).toEqual(forbids.length > 0 ? forbids : ids('permit'));
        expect(isDeny(decision)).toBe(forbids.length > 0 || ids('permit').length === 0);
      }),
      { numRuns: 200 },
    );
  });
});
