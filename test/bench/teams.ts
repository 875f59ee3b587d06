import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as fc from 'fast-check';
import type { RawQuestion } from '../../src/tools/policy/cases/raw-question.ts';
import { amountAndCurrency, useRequests } from '../builders/use-requests.ts';
import type { UseRequests } from '../builders/use-requests.ts';

/**
 * A policy folder as a company has it: for each team a server, its files of the catalog, of entities and of policies, and its entry in
 * `owners.yaml`, beside the shipped policies, which hold for all.
 */

const shipped = resolve(import.meta.dirname, '../../cedar-policies');

/** What a team's agents can do at its server. */
export const VERBS = ['list', 'read', 'search', 'create', 'change', 'send', 'refund', 'delete'] as const;

/** The name of a team, which is that of its server, and what its actions begin with. */
export const teamName = (index: number): string => `t${String(index).padStart(2, '0')}`;

const catalogOf = (team: string): string => `servers:
  ${team}:
    hosts: [${team}.acme.test]
    audience: https://${team}.acme.test
    routes:
      - { action: ${team}.list, method: GET, path: /v1/items, risk: low }
      - { action: ${team}.read, method: GET, path: '/v1/items/{id}', risk: low }
      - { action: ${team}.search, method: GET, path: /v1/found, risk: low, args: { query: { from: query } } }
${['create', 'change', 'send', 'refund'].map((verb) => routeOf(team, verb)).join('')}      - { action: ${team}.delete, method: DELETE, path: '/v1/items/{name:[A-Za-z0-9._-]{1,128}}', risk: medium }
`;

const routeOf = (team: string, verb: string): string => `      - action: ${team}.${verb}
        method: POST
        path: /v1/${verb}
        risk: ${verb === 'create' ? 'medium' : 'high'}
        labels: [external]
        args: { amount: { from: body, type: long, required: true }, currency: { from: body } }
`;

const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });

/** The id of a team's agent. */
export const agentOf = (team: string, index: number): string => `spiffe://acme.test/ns/${team}/sa/agent-${index}`;

const entitiesOf = (team: string): string =>
  JSON.stringify([
    { uid: uid('AgentGroup', team), attrs: {}, parents: [] },
    { uid: uid('AgentGroup', `${team}-writers`), attrs: {}, parents: [uid('AgentGroup', team)] },
    { uid: uid('Agent', agentOf(team, 0)), attrs: {}, parents: [uid('AgentGroup', `${team}-writers`)] },
  ]);

const ownerOf = (team: string): string => `  - team: ${team}
    reviewers: ['@acme/${team}']
    paths: [policies/${team}.cedar, actions/${team}.yaml, entities/${team}.cedarentities.json]
    servers: [${team}]
    actions: ['${team}.*', issue]
    agents: ['spiffe://acme.test/ns/${team}/*']
    groups: [${team}, ${team}-writers]
`;

const OWNERS = `owners:
  - team: security
    reviewers: ['@acme/security']
    paths: [policies/, actions.yaml, entities.cedarentities.json, owners.yaml]
    servers: ['*']
    actions: ['*']
    agents: ['*']
`;

const action = (team: string, ...verbs: readonly string[]): string =>
  `action in [${verbs.map((verb) => `Remit::Action::"${team}.${verb}"`).join(', ')}]`;

/** The policies that each team has, of the kinds that the shipped policies show. */
function ownPolicies(team: string): readonly string[] {
  const [all, writers] = [team, `${team}-writers`].map((group) => `principal in Remit::AgentGroup::"${group}"`);
  const at = `resource in Remit::Server::"${team}"`;
  const everybody = `principal in Remit::AgentGroup::"${team}"`;
  return [
    `@id("${team}-tasks") permit (${all}, action == Remit::Action::"issue", resource == Remit::Server::"${team}") when { context.requested.risk != "high" || context.taskSeconds <= 900 };`,
    `@id("${team}-reads") permit (${all}, ${action(team, 'list', 'read', 'search')}, ${at});`,
    `@id("${team}-writes") permit (${writers}, ${action(team, 'create', 'change', 'send')}, ${at}) when { context.intent.purpose != "" && context.intent.ageSeconds <= 3600 };`,
    `@id("${team}-refunds") permit (${writers}, ${action(team, 'refund')}, ${at}) when { context.attested.contains({name: "approval", value: "finance", by: "spiffe://acme.test/w"}) };`,
    `@id("${team}-deletes") permit (${writers}, ${action(team, 'delete')}, ${at}) when { context.args.name like "draft-*" };`,
    `@id("${team}-create-limit") @reason("above 500 a person decides") forbid (${everybody}, ${action(team, 'create')}, ${at}) when { context.args.amount > 500 };`,
    `@id("${team}-send-limit") @reason("above 500 a person decides") forbid (${everybody}, ${action(team, 'send')}, ${at}) when { context.args.amount > 500 };`,
    `@id("${team}-euro") @reason("in EUR") forbid (${everybody}, ${action(team, 'create', 'change', 'send')}, ${at}) when { context.args has currency && context.args.currency != "EUR" };`,
  ];
}

/** Conditions of rules for single agents, of the kinds that policies have. */
const CONDITIONS: readonly ((index: number) => string)[] = [
  (index) => `context.args.amount <= ${20 * index} && context.intent.purpose like "order-*"`,
  (index) => `context.intent.purpose == "batch-${index}" && context.credential.binding == "certificate"`,
  (index) =>
    `context.time.office.weekday <= 5 && context.time.office.minuteOfDay >= ${480 + index} && context.args.amount < 100`,
  () => 'context.credential.reuse.contains("first") && context.intent.ageSeconds < 600 && context.args.amount < 250',
  (index) => `!(context has task && context.task.labels.contains("customer-data")) && context.args.amount == ${index}`,
];

/** Rule `index` for an agent of a team: a permit, and now and then a forbid. */
function ruleOf(team: string, index: number): string {
  const head = `principal == Remit::Agent::"${agentOf(team, index)}", ${action(team, ['create', 'change', 'send'][index % 3] ?? 'create')}, resource in Remit::Server::"${team}"`;
  const when = `when { ${CONDITIONS[index % CONDITIONS.length]?.(index) ?? 'true'} };`;
  return index % 8 === 7
    ? `@id("${team}-stop-${index}") @reason("agent ${index} has other work") forbid (${head}) ${when}`
    : `@id("${team}-rule-${index}") permit (${head}) ${when}`;
}

/** The policies of a team, a line each. */
export function policiesOf(team: string, count: number): string {
  const own = ownPolicies(team);
  const rules = Array.from({ length: count - own.length }, (_, index) => ruleOf(team, index + 1));
  return [...own, ...rules, ''].join('\n');
}

/** Writes the folder. @returns its path */
export function companyFolder(
  folder: string,
  { teams, policies }: { readonly teams: number; readonly policies: number },
): string {
  cpSync(shipped, folder, { recursive: true, filter: (from) => !/examples|remit\.cedarschema/.test(from) });
  for (const each of ['actions', 'entities']) mkdirSync(join(folder, each));
  const names = Array.from({ length: teams }, (_, index) => teamName(index + 1));
  for (const team of names) {
    writeFileSync(join(folder, 'actions', `${team}.yaml`), catalogOf(team));
    writeFileSync(join(folder, 'entities', `${team}.cedarentities.json`), entitiesOf(team));
    writeFileSync(join(folder, 'policies', `${team}.cedar`), policiesOf(team, Math.floor(policies / teams)));
  }
  writeFileSync(join(folder, 'owners.yaml'), `${OWNERS}${names.map(ownerOf).join('')}`);
  return folder;
}

const PATHS: Readonly<Record<string, string>> = {
  list: 'GET /v1/items',
  read: 'GET /v1/items/{id}',
  search: 'GET /v1/found',
  delete: 'DELETE /v1/items/{name:[A-Za-z0-9._-]{1,128}}',
};

const ARGS: Readonly<Record<string, UseRequests['args']>> = {
  list: fc.constant({}),
  read: fc.constantFrom('a', 'private-a').map((id) => ({ id })),
  search: fc.constantFrom({}, { query: 'a' }),
  delete: fc.constantFrom('draft-a', 'a-draft-a', 'final').map((name) => ({ name })),
};

/** Requests of agents of a team. */
export const requestsOf = (team: string, verb: (typeof VERBS)[number]): fc.Arbitrary<RawQuestion> =>
  useRequests({
    action: `${team}.${verb}`,
    server: team,
    endpoint: PATHS[verb] ?? `POST /v1/${verb}`,
    agents: ['/a', ...[1, 2, 3, 4, 5, 7, 12].map((index) => agentOf(team, index).replace('spiffe://acme.test', ''))],
    groups: [team, `${team}-writers`, 'agents'],
    purposes: ['pay', 'pay', '', 'order-1', 'batch-2'],
    args: ARGS[verb] ?? amountAndCurrency,
    labels: PATHS[verb] === undefined ? ['external'] : [],
  });
