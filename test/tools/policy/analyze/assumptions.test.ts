import { beforeAll, describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import type { Question } from '../../../../src/core/policy/question.ts';
import { namesIn } from '../../../../src/core/policy/question-names.ts';
import { assumptionPolicies, assumptionsOf } from '../../../../src/tools/policy/analyze/assumptions.ts';
import { rehearse } from '../../../../src/tools/policy/cases/rehearse.ts';
import { readSuites } from '../../../../src/tools/policy/cases/suite-source.ts';
import { plainCircumstances } from '../../../../src/tools/policy/cases/test-case.ts';
import { callFrom } from '../../../../src/core/policy/engine.ts';
import { must } from '../../../builders/must.ts';
import { examplePolicies, planner } from '../cases/folder.ts';

let set: PolicySet;
let questions: readonly Question[];

beforeAll(async () => {
  set = await examplePolicies();
  const plain = plainCircumstances(planner);
  const extremes = [
    plain,
    { ...plain, credential: { ...plain.credential, kind: 'workload-identity' as const, binding: 'none' as const } },
    { ...plain, credential: { ...plain.credential, kind: 'external-token' as const, binding: 'none' as const } },
    {
      ...plain,
      credential: { ...plain.credential, secondsLeft: 0 },
      task: { ...plain.task, ageSeconds: 0, purpose: '' },
    },
    { ...plain, nowMs: Date.UTC(1000, 0, 2) },
    { ...plain, nowMs: Date.UTC(9999, 11, 30) },
  ];
  const { cases } = must(await readSuites('cedar-policies'));
  const attempts = [
    ...cases,
    ...extremes.flatMap((circumstances) =>
      [...set.catalog.actions.keys()].map((action) => ({
        attempt: { kind: 'issue', action, ttlSeconds: 0, taskSeconds: 0, delegation: null, stopped: null } as const,
        circumstances,
      })),
    ),
    ...extremes.flatMap((circumstances) => cases.map(({ attempt }) => ({ attempt, circumstances }))),
  ];
  questions = attempts.flatMap(({ attempt, circumstances }) => {
    const rehearsal = rehearse(attempt, circumstances, set);
    return 'problem' in rehearsal || rehearsal.question === null ? [] : [rehearsal.question];
  });
});

/** Asks which of these conditions do not hold for a question, or fail. Each is a permit of one set: an answer names all that hold. */
function asking(action: string): (question: Question) => readonly string[] {
  const { actionGroups, entities } = set.facts;
  const conditions = assumptionsOf(action, set.catalog);
  const cedar = freshCedar();
  cedar.preparsePolicySet('conditions', {
    staticPolicies: Object.fromEntries(
      conditions.map((condition, index) => [`${index}`, `permit (principal, action, resource) when { ${condition} };`]),
    ),
  });
  return (question) => {
    const call = callFrom(question, actionGroups.get(question.action) ?? [], entities);
    const answer = cedar.statefulIsAuthorized({ ...call, preparsedPolicySetId: 'conditions' });
    const held = new Set(answer.type === 'failure' ? [] : answer.response.diagnostics.reason);
    return conditions.filter((_, index) => !held.has(`${index}`));
  };
}

describe('assumptionsOf', () => {
  it('is well typed for every action, since the solver is asked nothing otherwise', () => {
    const texts = ['issue', ...set.catalog.actions.keys()].map((action) =>
      assumptionPolicies(action, assumptionsOf(action, set.catalog)).replaceAll('remit-assumption', action),
    );
    const answer = freshCedar().validate({ schema: set.schema, policies: { staticPolicies: texts.join('\n') } });
    expect(answer).toMatchObject({ type: 'success', validationErrors: [] });
  });

  it('holds for every question that Remit asks (issue 43, point 1)', () => {
    expect(questions.length).toBeGreaterThan(100);
    const byAction = Map.groupBy(questions, ({ action }) => action);
    expect([...set.catalog.actions.keys()].filter((action) => !byAction.has(action))).toEqual([]);
    const found = [...byAction].flatMap(([action, asked]) => {
      const unmet = asking(action);
      return asked.flatMap((question) =>
        unmet(question).map((condition) => `${namesIn(question, []).route} ${condition}`),
      );
    });
    expect(found).toEqual([]);
  });
});
