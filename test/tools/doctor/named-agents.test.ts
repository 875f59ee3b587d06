import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../src/core/policy/cedar.ts';
import { policiesIn } from '../../../src/core/policy/loading/policy-files.ts';
import { withFormsOnce } from '../../../src/core/policy/loading/policy-json.ts';
import { namedAgents } from '../../../src/tools/doctor/collect/named-agents.ts';

const A = 'spiffe://acme.test/ns/agents/sa/a';
const B = 'spiffe://acme.test/ns/agents/sa/b';
const cedar = withFormsOnce(freshCedar());

/** The agents that files of policies and links name. */
function inPolicies(...files: readonly (readonly [name: string, text: string])[]): readonly string[] {
  const read = policiesIn(
    files.map(([name, text]) => ({ name, file: name, text })),
    cedar,
  );
  expect(read.findings).toEqual([]);
  return namedAgents({ ...read, entities: [] }, cedar);
}

const inEntities = (text: string): readonly string[] =>
  namedAgents({ policies: [], templates: [], entities: [{ text }] }, cedar);

const permit = (condition: string): string => `@id("a") permit (principal, action, resource) when { ${condition} };`;

describe('the agents that a policy set names', () => {
  it.each<readonly [string, string, readonly string[]]>([
    ['in the scope', `@id("a") permit (principal == Remit::Agent::"${A}", action, resource);`, [A]],
    [
      'in two scopes',
      `@id("a") permit (principal == Remit::Agent::"${A}", action, resource);\n@id("b") forbid (principal == Remit::Agent::"${B}", action, resource);`,
      [A, B],
    ],
    [
      'in the scope, as one of a type',
      `@id("a") permit (principal is Remit::Agent in Remit::Agent::"${A}", action, resource);`,
      [A],
    ],
    [
      'with space between the parts',
      `@id("a") permit (principal == Remit :: Agent\n:: "${A}", action, resource);`,
      [A],
    ],
    [
      'with a comment between the parts',
      `@id("a") permit (principal == Remit:: // x\nAgent::"${A}", action, resource);`,
      [A],
    ],
    [
      'with an escape',
      String.raw`@id("a") permit (principal == Remit::Agent::"\u{73}piffe://acme.test/ns/agents/sa/a", action, resource);`,
      [A],
    ],
    [
      'with a longer escape',
      String.raw`@id("a") permit (principal == Remit::Agent::"\u{000073}piffe://acme.test/ns/agents/sa/a", action, resource);`,
      [A],
    ],
    [
      'with an escape of two digits',
      String.raw`@id("a") permit (principal == Remit::Agent::"\x73piffe://acme.test/ns/agents/sa/a", action, resource);`,
      [A],
    ],
    [
      'in a condition, with an escape',
      permit(String.raw`principal == Remit::Agent::"spiffe:\u{2f}\u{2F}acme.test/ns/agents/sa/a"`),
      [A],
    ],
    ['in a list', permit(`[Remit::Agent::"${A}", Remit::Agent::"${B}"].contains(principal)`), [A, B]],
    ['in a record', permit(`{ a: { b: Remit::Agent::"${A}" } }.a.b == principal`), [A]],
    [
      'at the end of a long condition',
      permit(`${'context.mcp == 1 || '.repeat(60)}principal == Remit::Agent::"${A}"`),
      [A],
    ],
    ['in a comment alone', `// Remit::Agent::"${A}"\n@id("a") permit (principal, action, resource);`, []],
    ['in a string alone', permit(String.raw`context.a == "Remit::Agent::\"${A}\""`), []],
    ['of another type', `@id("a") permit (principal in Remit::AgentGroup::"${A}", action, resource);`, []],
  ])('are found in a policy %s', (_where, text, agents) => {
    expect(inPolicies(['a.cedar', text])).toEqual(agents);
  });

  it('are found in a template, and in its links', () => {
    const template = String.raw`@id("t") permit (principal == ?principal, action, resource) unless { principal == Remit::Agent::"\u{73}piffe://acme.test/ns/agents/sa/b" };`;
    const link = { templateId: 't', newId: 'l', values: { '?principal': { type: 'Remit::Agent', id: A } } };
    expect(inPolicies(['a.cedar', template])).toEqual([B]);
    expect(inPolicies(['a.cedar', template], ['a.cedarlinks.json', JSON.stringify([link])])).toEqual([A, B]);
  });

  it.each<readonly [string, string, readonly string[]]>([
    ['by their type and id', JSON.stringify([{ uid: { type: 'Remit::Agent', id: A } }]), [A]],
    ['the id first', `[{"uid": {"id": "${A}", "type": "Remit::Agent"}}]`, [A]],
    ['with escapes', `[{"uid": {"type": "Remit::Agent", "id": "${A.replace('s', String.raw`\u0073`)}"}}]`, [A]],
    [
      'as an attribute',
      JSON.stringify([{ uid: {}, attrs: { a: [{ __entity: { type: 'Remit::Agent', id: A } }] } }]),
      [A],
    ],
    ['in deep values', `${'[{"a":'.repeat(5_000)}{"type":"Remit::Agent","id":"${A}"}${'}]'.repeat(5_000)}`, [A]],
    ['of another type', JSON.stringify([{ uid: { type: 'Remit::Server', id: A } }]), []],
    ['in what is no JSON', `{"type": "Remit::Agent", "id": "${A}"`, []],
  ])('are found in entities %s', (_where, text, agents) => {
    expect(inEntities(text)).toEqual(agents);
  });
});
