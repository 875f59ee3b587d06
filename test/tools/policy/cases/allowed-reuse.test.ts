import { describe, expect, it } from '@jest/globals';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { rehearse } from '../../../../src/tools/policy/cases/rehearse.ts';
import type { Rehearsal } from '../../../../src/tools/policy/cases/rehearse.ts';
import { allowedReuse } from '../../../../src/tools/policy/cases/allowed-reuse.ts';
import type { Reuse } from '../../../../src/tools/policy/cases/allowed-reuse.ts';
import { plainCircumstances } from '../../../../src/tools/policy/cases/test-case.ts';
import type { Attempt } from '../../../../src/tools/policy/cases/test-case.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { planner, reporter } from './folder.ts';
import { must } from '../../../builders/must.ts';

const circumstances = plainCircumstances(planner);

function mustRehearse(set: PolicySet, attempt: Attempt): Rehearsal {
  return must(rehearse(attempt, circumstances, set));
}

async function reuse(policies: string, attempt: Partial<Attempt> = {}): Promise<Reuse | null> {
  const set = await mustLoad(folderWith(policies));
  const listed = { kind: 'action', action: 'payments.list', args: {}, ...attempt } as Attempt;
  return allowedReuse(mustRehearse(set, listed), { policies: set, nowMs: circumstances.nowMs });
}

const permit = (rest = '', head = 'principal, action, resource') => `@id("p") permit (${head}) ${rest};\n`;
const create: Partial<Attempt> = { action: 'payments.create' };
const CREATE = 'principal, action == Remit::Action::"payments.create", resource';

describe('allowedReuse', () => {
  const kept: readonly (readonly [string, string, Partial<Attempt>, number, readonly string[]])[] = [
    ['an allow of low risk', permit(), {}, 60_000, []],
    ['an allow of high risk', permit(), create, 1000, []],
    ['a denial of low risk', '@id("f") forbid (principal, action, resource);', {}, 5000, []],
    ['a denial of high risk', '@id("f") forbid (principal, action, resource);', create, 1000, []],
    ['what is read', permit('when { context.risk == "low" }'), {}, 60_000, ['context.risk']],
    [
      'a number by its side',
      permit('when { context.args.amount > 5 }', CREATE),
      create,
      1000,
      ['context.args.amount against long 5'],
    ],
    [
      'what policies of this agent read, and not those of others',
      permit('when { context.risk == "low" }') +
        `@id("q") permit (principal == Remit::Agent::"${reporter}", action, resource) when { context.subject == "x" };`,
      {},
      60_000,
      ['context.risk'],
    ],
    [
      'what policies in force read, and not those on trial',
      `${permit()}@id("s") @shadow("true") forbid (principal, action, resource) when { context.risk == "high" };`,
      {},
      60_000,
      [],
    ],
  ];
  it.each(kept)(
    'tells for how long and with which key an answer is cached: %s',
    async (_name, policies, attempt, forMs, keyReads) => {
      expect(await reuse(policies, attempt)).toEqual({ kind: 'kept', forMs, keyReads });
    },
  );

  const none = 'no policy in force can match, so none is asked';
  const anew: readonly (readonly [string, string, Partial<Attempt>, string])[] = [
    ['no policy can match', permit('', CREATE), {}, none],
    [
      'only a policy on trial can match',
      `${permit('', CREATE)}@id("s") @shadow("true") permit (principal, action, resource);`,
      {},
      none,
    ],
    [
      'a policy errs',
      permit('when { context.args.amount * 9223372036854775807 == 9 }', CREATE),
      { ...create, args: { amount: 3 } },
      'a policy could not be evaluated, and errors are never cached',
    ],
    [
      'a token is asked for',
      permit(),
      { kind: 'issue', ttlSeconds: 60, delegation: null, stopped: null },
      'the policies are asked again for every token',
    ],
  ];
  it.each(anew)('tells why no answer is cached: %s', async (_name, policies, attempt, because) => {
    expect(await reuse(policies, attempt)).toEqual({ kind: 'not-kept', because });
  });

  it('tells why no answer is cached: a value that the engine may refuse', async () => {
    const set = await mustLoad(folderWith(permit()));
    const rehearsal = mustRehearse(set, { kind: 'action', action: 'payments.list', args: {} });
    const { question } = rehearsal;
    if (question === null) throw new Error('the policies were not asked');
    const { principal, action, server, endpoint } = question;
    const odd = { principal, action, server, endpoint, context: { text: '\ud800' } };
    expect(allowedReuse({ ...rehearsal, question: odd }, { policies: set, nowMs: circumstances.nowMs })).toEqual({
      kind: 'not-kept',
      because: 'the call has a value that the engine may refuse, so the answer is not cached',
    });
  });

  it('is null if the policies were not asked', () => {
    const policies: Pick<PolicySet, 'ask' | 'keyReads'> = {
      ask: () => ({ kind: 'not-permitted' }),
      keyReads: () => [],
    };
    const decision = { kind: 'allow', policyIds: [], observed: null } as const;
    expect(allowedReuse({ decision, question: null, target: null }, { policies, nowMs: 0 })).toBeNull();
  });
});
