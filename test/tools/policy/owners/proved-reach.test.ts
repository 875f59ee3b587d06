import { expect, it, jest } from '@jest/globals';
import { analysisPrograms } from '../../../../src/tools/policy/analyze/programs.ts';
import { Prover } from '../../../../src/tools/policy/analyze/prover.ts';
import { ownedPolicies } from '../../../../src/tools/policy/owners/ownership.ts';
import { ownersFrom } from '../../../../src/tools/policy/owners/owners-file.ts';
import { provedReach } from '../../../../src/tools/policy/owners/proved-reach.ts';
import { must } from '../../../builders/must.ts';
import { folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { analysisPart, describeWith } from '../../../parts.ts';

jest.setTimeout(600_000);

const { owners } = ownersFrom(
  `owners:
  - team: payments
    reviewers: ['@acme/payments']
    paths: [a.cedar]
    servers: [payments]
    actions: ['payments.*', issue]
    agents: ['spiffe://pay.test/*', 'spiffe://acme.test/sa/payer']
    groups: [payers]
`,
  'owners.yaml',
);

const PAYERS = 'principal in Remit::AgentGroup::"payers"';
const OWN = 'resource in Remit::Server::"payments"';
const permit = (head: string, condition: string, effect = 'permit'): string =>
  `@id("p") ${effect} (${head}) when { ${condition} };`;

async function reachOf(engine: string, policies: string, entities?: string): Promise<readonly string[]> {
  const programs = must(await analysisPrograms({ folder: engine, cacheFolder: engine, path: '/usr/bin:/bin' }));
  const set = await mustLoad(folderWith(policies, entities === undefined ? {} : { entities }));
  const prover = await Prover.open(programs, set.schema, { timeoutSeconds: 600 });
  try {
    const outside = ownedPolicies(owners, { ...set, entities: set.facts.entities });
    expect(outside).toHaveLength(1);
    const kinds: string[] = [];
    for (const { policy, owner, isForeignAgents } of outside) {
      if (owner === null) throw new Error('the team owns the file');
      kinds.push((await provedReach(policy, owner, { set, prover, isForeignAgents })).kind);
    }
    return kinds;
  } finally {
    await prover.close();
  }
}

describeWith(analysisPart(), 'provedReach', (engine) => {
  it.each([
    ['a condition of the server', permit(`${PAYERS}, action, resource`, OWN), 'within'],
    ['a condition beside others', permit(`${PAYERS}, action, resource`, `context.risk == "low" && ${OWN}`), 'within'],
    ['a condition of the agents', permit('principal, action, resource', `${OWN} && ${PAYERS}`), 'within'],
    [
      'a condition of a trust domain and an agent',
      permit(
        'principal, action == Remit::Action::"payments.read", resource',
        'principal in Remit::TrustDomain::"pay.test" || principal == Remit::Agent::"spiffe://acme.test/sa/payer"',
      ),
      'within',
    ],
    ['a forbid', permit(`${PAYERS}, action, resource`, OWN, 'forbid'), 'within'],
    [
      'a condition that is another in one branch',
      permit(`${PAYERS}, action, resource`, `${OWN} || context.risk == "high"`),
      'beyond',
    ],
    [
      'a condition of another server',
      permit(`${PAYERS}, action, resource`, OWN.replace('payments', 'files')),
      'beyond',
    ],
    ['a condition of other agents', permit('principal, action, resource', `${OWN} && context.risk == "low"`), 'beyond'],
    [
      'a condition that can fail for calls of others, which Remit then denies',
      permit(
        `${PAYERS}, action in [Remit::Action::"payments.read", Remit::Action::"files.list"], resource`,
        `context.intent.ageSeconds * 9000000000000000000 < 5 && ${OWN}`,
      ),
      'undecided',
    ],
  ])('takes %s for what it is (issue 43, point 2)', async (_what, policies, kind) => {
    expect(await reachOf(engine, policies)).toEqual([kind]);
  });

  it('knows that entities put an endpoint of others into the server', async () => {
    const entities = JSON.stringify([
      {
        uid: { type: 'Remit::Endpoint', id: 'files:GET /v1/files' },
        attrs: {},
        parents: [{ type: 'Remit::Server', id: 'payments' }],
      },
    ]);
    expect(await reachOf(engine, permit(`${PAYERS}, action, resource`, OWN), entities)).toEqual(['beyond']);
  });
});

it('`owners.yaml` of these tests is valid', () => {
  expect(owners).toHaveLength(1);
});
