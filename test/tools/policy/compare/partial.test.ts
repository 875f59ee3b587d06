import { describe, expect, it } from '@jest/globals';
import { partialAsker } from '../../../../src/tools/policy/compare/partial.ts';
import type { Known } from '../../../../src/tools/policy/compare/partial.ts';
import type { Question } from '../../../../src/core/policy/question.ts';
import { rehearse } from '../../../../src/tools/policy/cases/rehearse.ts';
import { plainCircumstances } from '../../../../src/tools/policy/cases/test-case.ts';
import { planner } from '../cases/folder.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const policy = (id: string, effect: 'permit' | 'forbid', when = 'true'): string =>
  `@id("${id}") ${effect} (principal, action == Remit::Action::"payments.create", resource) when { ${when} };\n`;

const amount = { path: ['args', 'amount'], name: 'argument amount' };
const binding = { path: ['credential', 'binding'], name: 'binding of the token' };
const nobody: Known['matched'] = () => undefined;
const OVERFLOW = 'context.args.amount * 9223372036854775807 < 0';

async function asked(policies: string, known: Partial<Known> = {}, sent = 7) {
  const set = await mustLoad(folderWith(policies));
  const attempt = { kind: 'action', action: 'payments.create', args: { amount: sent } } as const;
  const rehearsal = rehearse(attempt, plainCircumstances(planner), set);
  const question: Question | null = 'problem' in rehearsal ? null : rehearsal.question;
  if (question === null) throw new Error('it was not asked');
  return partialAsker(set)(question, { unknown: [amount, binding], matched: nobody, ...known });
}

const undecided = (...unknown: readonly string[]) => ({ kind: 'undecided', unknown });
const all = policy('all', 'permit');
const limit = policy('limit', 'forbid', 'context.args.amount > 5');
const high = policy('high', 'permit', 'context.args.amount > 5');

describe('partialAsker', () => {
  it.each<[string, string, Partial<Known>, unknown]>([
    ['a permit that reads nothing unknown', all, {}, { kind: 'permitted', policyIds: ['all'] }],
    ['no permit', policy('low', 'permit', 'context.risk == "high"'), {}, { kind: 'not-permitted' }],
    [
      'a forbid, whatever is unknown to the others',
      all + limit + policy('no', 'forbid'),
      {},
      { kind: 'forbidden', policyIds: ['no'] },
    ],
    ['a permit, whatever is unknown to another', all + high, {}, { kind: 'permitted', policyIds: ['all'] }],
    [
      'a policy in shadow as if it were not there',
      `${all}@shadow("true") ${limit}`,
      {},
      { kind: 'permitted', policyIds: ['all'] },
    ],
    ['all of it if all is known', all + limit, { unknown: [] }, { kind: 'forbidden', policyIds: ['limit'] }],
    [
      'what a policy is known to have said',
      all + limit,
      { matched: () => false },
      { kind: 'permitted', policyIds: ['all'] },
    ],
    [
      'what a policy is known to have said, were it made up otherwise',
      all + limit,
      { matched: () => true },
      { kind: 'forbidden', policyIds: ['limit'] },
    ],
    [
      'an error of what reads nothing unknown',
      all + policy('bad', 'permit', OVERFLOW),
      { unknown: [binding] },
      expect.objectContaining({ kind: 'error', policyIds: ['bad'] }),
    ],
    ['no answer if a forbid may match', all + limit, {}, undecided('argument amount')],
    ['no answer if a permit may match', high, {}, undecided('argument amount')],
    [
      'no answer if a policy errs by what was made up',
      all + policy('bad', 'forbid', OVERFLOW),
      {},
      undecided('argument amount'),
    ],
    [
      'everything that it lacks, once',
      policy('a', 'permit', 'context.args.amount > 5 && context.credential.binding == "dpop"') + high,
      {},
      undecided('argument amount', 'binding of the token'),
    ],
  ])('answers with %s', async (_name, policies, known, expected) => {
    expect(await asked(policies, known)).toEqual(expected);
  });
});
