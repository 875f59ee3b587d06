import { describe, expect, it } from '@jest/globals';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { setHashOf } from '../../../src/core/policy/loading/set-hash.ts';
import { judgedSets, type JudgedSet } from '../../../src/tools/evidence/judged-set.ts';
import { SetTexts } from '../../../src/tools/evidence/set-texts.ts';
import { folderWith } from '../../builders/policy-folder.ts';
import { must } from '../../builders/must.ts';

const nowMs = Date.UTC(2026, 0, 1);

async function judged(policies: string): Promise<JudgedSet> {
  const source = folderWith(policies);
  const hash = setHashOf(source);
  const sets = await judgedSets([hash], {
    texts: new SetTexts(['/nowhere'], [source]),
    trustDomains: ['acme.test'],
    instants: [nowMs],
    onProgress: () => {},
  });
  const set = sets.get(hash);
  if (set === undefined) throw new Error('not judged');
  return must(set);
}

describe('judgedSets', () => {
  it.each<[string, string]>([
    ['no condition', '@id("a") permit (principal, action, resource);'],
    ['a condition that is true', '@id("a") permit (principal, action, resource) when { true && (1 == 1) };'],
    ['an unless that is false', '@id("a") permit (principal, action, resource) unless { !true };'],
    ['an end', '@id("a") @until("2027-01-31") permit (principal, action, resource);'],
    ['the type that every principal has', '@id("a") permit (principal is Remit::Agent, action, resource);'],
    [
      'a value compared with itself',
      '@id("a") permit (principal, action, resource) when { context.risk == context.risk };',
    ],
    ['a pattern of every text', '@id("a") permit (principal, action, resource) when { context.risk like "*" };'],
    [
      'a condition and its opposite',
      '@id("a") permit (principal, action, resource) when { context.risk == "high" || context.risk != "high" };',
    ],
    [
      'a choice without a difference',
      '@id("a") permit (principal, action, resource) when { if context.risk == "high" then true else true };',
    ],
  ])('finds a permit of everything with %s', async (_name, policies) => {
    const set = await judged(policies);
    expect(set.openPermits).toEqual(['a']);
    expect(set.openTo).toBe('acme.test');
  });

  it.each<[string, string]>([
    [
      'two permits that are opposites',
      '@id("a") permit (principal, action, resource) when { context.risk == "high" };\n@id("b") permit (principal, action, resource) when { context.risk != "high" };',
    ],
    ['the only trust domain', '@id("a") permit (principal in Remit::TrustDomain::"acme.test", action, resource);'],
    [
      'every kind of credential but none',
      '@id("a") permit (principal, action, resource) unless { context has credential && context.credential.kind == "workload-identity" };',
    ],
    [
      'whatever was declared',
      '@id("a") permit (principal, action == Remit::Action::"issue", resource);\n@id("b") permit (principal, action, resource) when { context.intent.actions != [""] };',
    ],
    [
      'each risk by itself',
      '@id("a") permit (principal, action in [Remit::Action::"low", Remit::Action::"medium", Remit::Action::"high"], resource);\n@id("b") permit (principal, action == Remit::Action::"issue", resource);',
    ],
  ])('finds a set that lets unknown agents do everything by %s', async (_name, policies) => {
    const set = await judged(policies);
    expect(set.openTo).toBe('acme.test');
  });

  it.each<[string, string]>([
    ['as it is', '@id("a") permit (principal in Remit::TrustDomain::"evil.test", action, resource);'],
    [
      'with an escape',
      String.raw`@id("a") permit (principal in Remit::TrustDomain::"\u{65}vil.test", action, resource);`,
    ],
    ['with a comment', '@id("a") permit (principal in Remit:: // x\nTrustDomain::"evil.test", action, resource);'],
  ])('tries the agents of a trust domain that a policy names, %s', async (_name, policies) => {
    expect((await judged(policies)).openTo).toBe('evil.test');
  });

  it.each<[string, string]>([
    ['an agent', 'permit (principal == Remit::Agent::"spiffe://acme.test/a", action, resource);'],
    ['an action', 'permit (principal, action == Remit::Action::"payments.create", resource);'],
    ['an intent', 'permit (principal, action, resource) when { context.intent.purpose == "pay" };'],
    ['a risk', 'permit (principal, action, resource) when { context.risk == "low" };'],
    ['shadow', '@shadow("true") permit (principal, action, resource);\n@id("x") forbid (principal, action, resource);'],
  ])('finds nothing open in a set that restricts by %s', async (_name, policies) => {
    const set = await judged(`@id("a") ${policies}`);
    expect([set.openPermits, set.openTo]).toEqual([[], null]);
  });

  it('says of each permit how far it restricts', async () => {
    const { policies } = await judged(
      [
        '@id("all") permit (principal, action, resource);',
        '@id("scope") @until("2027-01-31") permit (principal, action == Remit::Action::"issue", resource);',
        '@id("when") permit (principal, action, resource) when { context.risk == "low" };',
        '@id("no") @reason("closed") forbid (principal, action, resource) when { context.risk == "high" };',
      ].join('\n'),
    );
    expect(policies.map(({ id, reach, untilMs, reason }) => [id, reach, untilMs, reason])).toEqual([
      ['all', 'everything', null, null],
      ['scope', 'no condition', Date.UTC(2027, 0, 31), null],
      ['when', 'conditions', null, null],
      ['no', null, null, 'closed'],
    ]);
  });

  it('is a problem without the text, or with a text that does not load', async () => {
    const bad = folderWith('@id("a") permit (principal, action == Remit::Action::"none.such", resource);');
    const hashes = ['sha-256:none', setHashOf(bad)];
    const sets = await judgedSets(hashes, {
      texts: new SetTexts(['/nowhere'], [bad]),
      trustDomains: [],
      instants: [nowMs],
      onProgress: () => {},
    });
    expect(hashes.map((hash) => sets.get(hash))).toEqual([
      { problem: 'its text is not kept beside this ledger' },
      { problem: expect.stringMatching(/^its text does not load: a\.cedar: /) },
    ]);
    expect([...sets.values()].every((set) => isProblem(set))).toBe(true);
  });

  it('judges 64 sets, and knows nothing of further ones', async () => {
    const hashes = Array.from({ length: 66 }, (_, n) => `sha-256:${n}`);
    const sets = await judgedSets(hashes, {
      texts: new SetTexts(['/nowhere']),
      trustDomains: [],
      instants: [],
      onProgress: () => {},
    });
    expect([sets.get('sha-256:63'), sets.get('sha-256:64')]).toEqual([
      { problem: 'its text is not kept beside this ledger' },
      { problem: 'only 64 sets are looked at' },
    ]);
  });
});
