import { describe, expect, it } from '@jest/globals';
import { compileInWorker } from '../../../../src/core/policy/loading/compile.ts';
import { policySetFrom } from '../../../../src/core/policy/loading/load.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import type { CacheResult } from '../../../../src/core/policy/answers/cache.ts';
import type { Question } from '../../../../src/core/policy/question.ts';
import { issueQuestion } from '../../../../src/core/policy/issue-question.ts';
import { unconstrained } from '../../../../src/core/token/authorization-details.ts';
import { findingsOf, folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';

const END = Date.UTC(2027, 0, 31);
const agent = mustSpiffeId('spiffe://acme.test/ns/agents/sa/planner');
const ending = (end = '2027-01-31', more = ''): string =>
  `@id("for-now") @until("${end}")\npermit (principal, action == Remit::Action::"issue", resource)${more}; // ;\n`;

const askedAt = ({ catalog }: PolicySet, nowMs: number): Question => {
  const action = must(catalog.actions.get('payments.read') ?? { problem: 'no such action' });
  return issueQuestion(
    {
      agent,
      server: action.server,
      purpose: 'look',
      actions: [action.id],
      requested: { action: action.id, risk: action.risk, constraints: unconstrained },
      ttlSeconds: 60,
      taskSeconds: 60,
      nowMs,
    },
    catalog,
  );
};

/** The answer at an instant and how the cache took part in it. */
const answeredAt = (set: PolicySet, nowMs: number): readonly [string, CacheResult | null] => {
  let cache: CacheResult | null = null;
  const onCache = (result: CacheResult): void => void (cache = result);
  const { kind } = set.ask(askedAt(set, nowMs), { nowMs, untilMs: nowMs + 60_000, onCache });
  return [kind, cache];
};

describe('a permit with `@until`', () => {
  it('permits to its end and counts as absent from then on (issue 43, point 4)', async () => {
    const set = await mustLoad(folderWith(ending()));
    expect([END - 86_400_000, END - 1000, END, END + 86_400_000].map((now) => answeredAt(set, now)[0])).toEqual([
      'permitted',
      'permitted',
      'not-permitted',
      'not-permitted',
    ]);
  });

  it.each(['2027-01-31T12:00:00Z', '2027-01-31T12:00:00.000Z'])('takes the instant %s too', async (instant) => {
    const set = await mustLoad(folderWith(ending(instant)));
    const noon = END + 12 * 3_600_000;
    expect([noon - 1000, noon].map((now) => answeredAt(set, now)[0])).toEqual(['permitted', 'not-permitted']);
  });

  it('leaves no cached answer beyond its end, and is answered from the cache before', async () => {
    const set = await mustLoad(folderWith(ending()));
    expect(answeredAt(set, END - 3000)).toEqual(['permitted', 'miss']);
    expect(answeredAt(set, END - 1000)).toEqual(['permitted', 'hit']);
    expect(answeredAt(set, END)).toEqual(['not-permitted', 'miss']);
    expect(answeredAt(set, END + 1000)).toEqual(['not-permitted', 'miss']);
    expect(answeredAt(set, END + 2000)).toEqual(['not-permitted', 'hit']);
  });

  it('takes no right that another permit gives', async () => {
    const other = '@id("always") permit (principal, action == Remit::Action::"issue", resource);';
    const set = await mustLoad(folderWith(`${ending()}${other}`));
    expect(set.ask(askedAt(set, END - 1))).toEqual({ kind: 'permitted', policyIds: ['always', 'for-now'] });
    expect(set.ask(askedAt(set, END))).toEqual({ kind: 'permitted', policyIds: ['always'] });
  });

  it('ends beside conditions of its own, and in the set that a server loads', async () => {
    const source = folderWith(ending('2027-01-31', ' when { context.intent.purpose == "look" || false }'));
    const set = must(await policySetFrom(source, { compile: compileInWorker() }));
    expect([END - 1000, END].map((now) => answeredAt(set, now)[0])).toEqual(['permitted', 'not-permitted']);
  });

  it('ends in every link of a template', async () => {
    const template = ending().replace('principal,', 'principal == ?principal,');
    const links = JSON.stringify([
      {
        templateId: 'for-now',
        newId: 'linked',
        values: { '?principal': { type: 'Remit::Agent', id: agent } },
      },
    ]);
    const source = folderWith(template);
    const set = await mustLoad({
      ...source,
      policies: [...source.policies, { name: 'l.cedarlinks.json', file: 'p/l.cedarlinks.json', text: links }],
    });
    expect([END - 1000, END].map((now) => answeredAt(set, now)[0])).toEqual(['permitted', 'not-permitted']);
  });
});

describe('policySetFrom refuses', () => {
  it.each([
    ['no day', ending('soon'), /^p\/a\.cedar:1:16: `@until` is the day from which the permit is absent/],
    ['a day that does not exist', ending('2027-02-30'), /^p\/a\.cedar:1:16: `@until` is the day/],
    // `context.now` is in whole seconds: the permit would be alive until the next.
    ['milliseconds', ending('2027-01-31T12:00:00.500Z'), /^p\/a\.cedar:1:16: `@until` is in whole seconds/],
    ['an offset, which the cache cannot read', ending('2027-01-31T12:00:00+0100'), /`@until` is the day/],
    ['a forbid', ending().replace('permit', 'forbid'), /^p\/a\.cedar:1:16: `@until` is for a `permit`/],
    ['a template of a forbid', ending().replace('permit (principal', 'forbid (principal == ?principal'), /is for a/],
  ])('`@until` with %s', async (_what, policies, message) => {
    expect(await findingsOf(folderWith(policies))).toEqual([expect.stringMatching(message)]);
  });
});
