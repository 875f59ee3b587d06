import { beforeAll, describe, expect, it } from '@jest/globals';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { authorize } from '../../../src/core/policy/authorize.ts';
import { lintFindings } from '../../../src/tools/policy/lint/lint.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { issueQuestion } from '../../../src/core/policy/issue-question.ts';
import type { Question } from '../../../src/core/policy/question.ts';
import { baseSchema, findingsOf, folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { unconstrained } from '../../../src/core/token/authorization-details.ts';
import { mustCatalog } from '../../builders/catalog.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const catalog = `servers:
  pay:
    hosts: [pay.test]
    audience: https://pay.test
    attributes: { tier: restricted, level: 2 }
    routes:
      - { action: pay.list, method: GET, path: /, risk: low }
      - { action: pay.read, method: GET, path: '/{id}', risk: low, attributes: { level: 3, zones: [eu, us] } }
  wiki:
    hosts: [wiki.test]
    audience: https://wiki.test
    attributes: { tier: open }
    routes: [{ action: wiki.read, method: GET, path: '/{id}', risk: low }]
`;
const policies = `
@id("open") permit (principal, action, resource in Remit::Server::"wiki") when { resource.tier == "open" };
@id("restricted") permit (principal, action == Remit::Action::"pay.list", resource) when { resource.tier == "restricted" };
@id("zone") permit (principal, action == Remit::Action::"pay.read", resource) when { resource has zones && resource.zones.contains("eu") };
@id("task") permit (principal, action == Remit::Action::"issue", resource is Remit::Server) when { resource.tier == "open" };
@id("level") forbid (principal, action, resource) when { resource has level && resource.level > 2 };
@id("owned") forbid (principal, action, resource is Remit::Server) when { resource has owner && resource.owner == "none" };
`;
const base = baseSchema.replace('entity Server;', 'entity Server = { owner?: String };');
const owner = (id: string, name: string) => ({
  uid: { type: 'Remit::Server', id },
  attrs: { owner: name },
  parents: [],
});
const source = folderWith(policies, { catalog, base, entities: JSON.stringify([owner('wiki', 'none')]) });

let set: PolicySet;
beforeAll(async () => {
  set = await mustLoad(source);
});

function questionOf(id: string, context = {}): Question {
  const action = set.catalog.actions.get(id);
  const principal = mustSpiffeId('spiffe://acme.test/a');
  if (action === undefined) throw new Error('no such action');
  return { principal, action: id, server: action.server, endpoint: action.endpoint, context };
}

const asked = (question: Question): string => {
  const decision = authorize(set, question);
  return `${isDeny(decision) ? decision.reason : decision.kind} ${decision.policyIds.join(',')}`;
};

const permit = (condition: string) =>
  folderWith(`@id("p") permit (principal, action, resource) when { ${condition} };`, { catalog });

describe('attributes of resources from the catalog', () => {
  it.each([
    ['wiki.read', 'allow open'],
    ['pay.list', 'allow restricted'],
    ['pay.read', 'policy.forbidden level'],
  ])('are read of the endpoint of `%s`: %s', (id, expected) => expect(asked(questionOf(id))).toBe(expected));

  it('are part of the cache key', () => {
    const keep = { nowMs: 0, untilMs: 10_000, onCache: () => undefined };
    for (let round = 0; round < 3; round += 1) {
      const answers = ['wiki.read', 'pay.list', 'pay.read'].map((id) => set.ask(questionOf(id), keep).kind);
      expect(answers).toEqual(['permitted', 'permitted', 'forbidden']);
    }
  });

  it('are those of the server for `issue`, besides those in the entities', () => {
    const { principal: agent } = questionOf('wiki.read');
    const of = (id: string) => {
      const server = set.catalog.servers.get(id);
      if (server === undefined) throw new Error('no server');
      const requested = { action: 'a', risk: 'low' as const, constraints: unconstrained };
      return asked(
        issueQuestion(
          { agent, server, purpose: '', actions: [], requested, ttlSeconds: 1, taskSeconds: 1, nowMs: 0 },
          set.catalog,
        ),
      );
    };
    expect(of('wiki')).toBe('policy.forbidden owned');
    expect(of('pay')).toBe('policy.not-permitted ');
  });

  it('appear in `keyReads`', () => {
    expect(set.keyReads(questionOf('pay.list'))).toEqual(
      expect.arrayContaining(['resource.level against long 2', 'resource.tier']),
    );
  });

  it('are type-checked: an optional attribute needs `has`, an unknown attribute is an error', async () => {
    expect(await findingsOf(permit('resource.tier == "open"'))).toEqual([]);
    expect(await findingsOf(permit('resource.level > 2'))).toEqual(
      ['Endpoint', 'Server'].map((type) =>
        expect.stringContaining(
          `unable to guarantee safety of access to optional attribute \`level\` on entity type \`Remit::${type}\``,
        ),
      ),
    );
    expect((await findingsOf(permit('resource.tier > 2'))).length).toBeGreaterThan(0);
    expect((await findingsOf(permit('resource.teir == "open"')))[0]).toMatch(/attribute `teir` .*not found/);
  });

  it('are known to lint', () => {
    const read = mustCatalog(catalog);
    const lint = (condition: string) =>
      lintFindings(
        folderWith(
          `@id("p") permit (principal in Remit::TrustDomain::"a.test", action, resource) when { ${condition} };`,
        ),
        read,
        { warnings: [], nowMs: 0 },
      ).flatMap(({ rule, message, help }) => (rule === 'unknown-value' ? [`${message}: ${help}`] : []));
    expect(lint('resource.tier == "restrcted"')).toEqual([
      '`resource.tier` never has the value "restrcted": did you mean "restricted"?',
    ]);
    expect(lint('resource has zones && resource.zones.contains("asia")')).toEqual([
      '`resource.zones` never has the value "asia": known: "eu", "us"',
    ]);
    expect(lint('resource.tier == "open" && resource.zones.contains("eu")')).toEqual([]);
  });
});
