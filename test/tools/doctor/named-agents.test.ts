import { describe, expect, it } from '@jest/globals';
import { namedAgents } from '../../../src/tools/doctor/collect/named-agents.ts';

const A = 'spiffe://acme.test/ns/agents/sa/a';
const B = 'spiffe://acme.test/ns/agents/sa/b';

describe('the agents that a policy set names', () => {
  it.each<readonly [string, string, string, readonly string[]]>([
    ['in a policy', 'a.cedar', `permit (principal == Remit::Agent::"${A}", action, resource);`, [A]],
    [
      'with space between the parts',
      'a.cedar',
      `permit (principal == Remit :: Agent\n:: "${A}", action, resource);`,
      [A],
    ],
    ['twice', 'a.cedar', `// Agent::"${A}" Agent::"${A}"`, [A]],
    ['of another type', 'a.cedar', `permit (principal in Remit::AgentGroup::"${A}", action, resource);`, []],
    ['in entities', 'a.cedarentities.json', JSON.stringify([{ uid: { type: 'Remit::Agent', id: A } }]), [A]],
    ['in entities, the id first', 'a.cedarentities.json', `[{"uid": {"id": "${A}", "type": "Remit::Agent"}}]`, [A]],
    [
      'in entities, with escapes',
      'a.cedarentities.json',
      `[{"uid": {"type": "Remit::Agent", "id": "${A.replace('s', String.raw`\u0073`)}"}}]`,
      [A],
    ],
    [
      'in links',
      'a.cedarlinks.json',
      JSON.stringify([
        { values: { '?principal': { id: A, type: 'Remit::Agent' }, x: { id: B, type: 'Remit::Server' } } },
      ]),
      [A],
    ],
    ['in what is no JSON', 'a.cedarlinks.json', `{"type": "Remit::Agent", "id": "${A}"`, []],
  ])('are found %s', (_where, file, text, agents) => {
    expect(namedAgents({ policies: [{ file, text }], entities: [] })).toEqual(agents);
    expect(namedAgents({ policies: [], entities: [{ file, text }] })).toEqual(agents);
  });
});
