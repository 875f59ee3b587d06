import { describe, expect, it } from '@jest/globals';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import { authorize } from '../../../../src/core/policy/authorize.ts';
import { pieceText } from '../../../../src/tools/policy/explain/explained-piece.ts';
import { explanationOf, MAX_NEAR_MISSES } from '../../../../src/tools/policy/explain/explanation.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { probeOf } from '../../../../src/tools/policy/explain/probe.ts';
import { rehearse } from '../../../../src/tools/policy/cases/rehearse.ts';
import { plainCircumstances } from '../../../../src/tools/policy/cases/test-case.ts';
import { examplePolicies, planner, reporter } from '../cases/folder.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';

function explained(
  set: PolicySet,
  {
    agent = planner,
    action = 'payments.create',
    args = {},
  }: { readonly agent?: SpiffeId; readonly action?: string; readonly args?: Readonly<Record<string, unknown>> } = {},
) {
  const rehearsal = rehearse({ kind: 'action', action, args }, plainCircumstances(agent), set);
  if ('problem' in rehearsal || rehearsal.question === null) throw new Error(JSON.stringify(rehearsal));
  const { question } = rehearsal;
  return explanationOf(authorize(set, question), question, { probe: probeOf(set), policies: set });
}

const ids = (policies: readonly { readonly id: string }[]): readonly string[] => policies.map(({ id }) => id);
const CREATE = 'action == Remit::Action::"payments.create"';

const numbered = (index: number) =>
  `@id("p${index}") permit (principal, ${CREATE}, resource) when { context.args.amount == ${index + 1} };`;

describe('explanationOf', () => {
  it('lists matches, near misses and needed changes', async () => {
    const set = await examplePolicies();
    const { matched, nearMisses, needed } = explained(set, { agent: reporter, args: { amount: 501 } });
    expect(matched).toMatchObject([
      { id: 'payments-limit', effect: 'forbid', file: 'cedar-policies/policies/payments.cedar', line: 21 },
    ]);
    expect(nearMisses[0]).toMatchObject({ id: 'payments-write', effect: 'permit', line: 11 });
    expect(nearMisses[0]?.pieces.map(pieceText)).toEqual([
      '`principal in Remit::AgentGroup::"payers"` (principal is in AgentGroup::"agents", TrustDomain::"acme.test")',
    ]);
    expect(needed).toEqual([
      '`payments-limit` forbids it as long as all of this holds: `context.args.amount > 500` (context.args.amount is 501)',
      '`payments-write` would permit it with `principal in Remit::AgentGroup::"payers"` (principal is in AgentGroup::"agents", TrustDomain::"acme.test"); tried with agent spiffe://acme.test/ns/agents/sa/planner, context.args.amount 500: allow',
    ]);
    expect(ids(nearMisses)).toContain('night-freeze');
    expect(ids(nearMisses)).not.toContain('tickets-use');
  });

  it('locates a piece in its file', async () => {
    const set = await mustLoad(
      folderWith(
        `@id("a")\npermit (\n  principal, ${CREATE}, resource)\nwhen { true &&\n    context.args.amount == 7 };`,
      ),
    );
    expect(explained(set).nearMisses[0]?.pieces).toMatchObject([
      { part: 'when', line: 5, column: 5, standing: 'fails' },
    ]);
  });

  it('tells what would forbid an allowed call', async () => {
    const set = await mustLoad(
      folderWith(
        `@id("a") permit (principal, ${CREATE}, resource);
         @id("b") forbid (principal, ${CREATE}, resource) when { context.args.amount > 5 };
         @id("c") @shadow("true") forbid (principal, ${CREATE}, resource) when { context.args.amount > 5 };
         @id("d") forbid (principal, ${CREATE}, resource) when { context.args.amount > 5 && context.risk == "high" };`,
      ),
    );
    expect(explained(set).needed).toEqual([
      '`b` would forbid it with `context.args.amount > 5` (context.args.amount is 0); tried with context.args.amount 6: deny',
    ]);
  });

  const claims: readonly (readonly [string, string, Readonly<Record<string, unknown>>, string])[] = [
    [
      'has a further failing piece',
      'permit (principal, ACTION, resource) when { context.args has currency && context.args.currency == "EUR" }',
      {},
      '`p` would permit it with `context.args has currency` (context.args.currency is absent) and `context.args.currency == "EUR"`, which could not be evaluated (context.args.currency is absent); tried with context.args.currency "EUR": allow',
    ],
    [
      'contradicts itself',
      'permit (principal, ACTION, resource) when { context.args.amount > 5 && context.args.amount < 3 }',
      {},
      '`p` asks for `context.args.amount > 5` (context.args.amount is 0); tried with context.args.amount 6: deny, not permitted',
    ],
    [
      'is overridden by a forbid once it permits',
      'permit (principal, ACTION, resource) when { context.args.amount > 5 }; @id("f") forbid (principal, ACTION, resource) when { context.args.amount > 4 }',
      {},
      '`p` asks for `context.args.amount > 5` (context.args.amount is 0); tried with context.args.amount 6: deny, forbidden by f',
    ],
    [
      'needs what no change of a call achieves',
      'permit (principal, ACTION, resource == Remit::Endpoint::"files:GET /v1/files")',
      {},
      'not tried: no change of the call is known that achieves it',
    ],
    [
      'needs another time of day',
      'permit (principal, ACTION, resource) when { context.now.toTime() >= duration("20h") }',
      {},
      'tried with context.now 2026-01-15T20:00:00Z: allow',
    ],
    [
      'needs another agent',
      'permit (principal in Remit::TrustDomain::"partner.test", ACTION, resource) unless { context.risk == "low" }',
      {},
      'tried with agent spiffe://partner.test/ns/agents/sa/planner, context.risk "medium": allow',
    ],
    [
      'needs an attested value',
      'permit (principal, ACTION, resource) when { context.attested.contains({name: "a", value: "b", by: "spiffe://acme.test/w"}) }',
      {},
      'tried with context.attested [{"by":"spiffe://acme.test/w","name":"a","value":"b"}]: allow',
    ],
    [
      'needs one of several values',
      'permit (principal, ACTION, resource) when { ["EUR", "SEK"].contains(context.request.host) || context.request.host like "a*z" }',
      {},
      'tried with context.request.host "EUR": allow',
    ],
  ];
  it.each(claims)('claims only what was tried, if a policy %s', async (_name, text, args, expected) => {
    const set = await mustLoad(folderWith(`@id("p") ${text.replaceAll('ACTION', CREATE)};`));
    expect(explained(set, { args }).needed.at(-1)).toContain(expected);
  });

  it('tells with which changes a forbidden call would be allowed', async () => {
    const set = await examplePolicies();
    expect(explained(set, { args: { amount: 501, currency: 'USD' } }).needed.at(-1)).toBe(
      'tried with context.args.amount 500, no context.args.currency: allow',
    );
  });

  it('tells that nothing permits an action, and that an action is always forbidden', async () => {
    const set = await mustLoad(folderWith(`@id("a") forbid (principal, ${CREATE}, resource);`));
    expect(explained(set).needed).toEqual([
      '`a` forbids this action whatever the call',
      'no policy permits `payments.create` to anybody: it needs a `permit`',
    ]);
  });

  it('reports errors only if nothing failed before them', async () => {
    const set = await mustLoad(
      folderWith(
        `@id("a") permit (principal, ${CREATE}, resource) when { context.args has currency && context.args.currency == "EUR" };
         @id("b") permit (principal, ${CREATE}, resource) when { context.args.amount * 9223372036854775807 == 9 };`,
      ),
    );
    const pieces = explained(set, { args: { amount: 3 } }).nearMisses.map(({ pieces: all }) => all.map(pieceText));
    expect(pieces).toEqual([
      ['`context.args has currency` (context.args.currency is absent)'],
      ['`context.args.amount * 9223372036854775807 == 9`, which could not be evaluated (context.args.amount is 3)'],
    ]);
  });

  it('lists at most `MAX_NEAR_MISSES`', async () => {
    const set = await mustLoad(
      folderWith(Array.from({ length: MAX_NEAR_MISSES + 1 }, (_, index) => numbered(index)).join('\n')),
    );
    const { nearMisses, needed } = explained(set);
    expect([nearMisses.length, needed.length]).toEqual([MAX_NEAR_MISSES, MAX_NEAR_MISSES]);
  });
});
