import type { AttributeValue } from '../../../core/action/catalog/attributes.ts';
import type { Catalog, CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { cedarString } from '../../../core/policy/cedar-text.ts';
import { describedResources } from '../../../core/policy/catalog-entities.ts';

/**
 * What is true of every question that Remit asks, and that the schema does not say, as conditions in Cedar: the solver would otherwise show
 * requests that nobody can make. INVARIANT: each holds for every question of `useQuestion` and `issueQuestion` with this catalog,
 * and none can fail to be evaluated; otherwise a proof would leave requests out. `test/tools/policy/analyze/assumptions.test.ts` asks real questions.
 */
export function assumptionsOf(action: string, catalog: Catalog): readonly string[] {
  const own = catalog.actions.get(action);
  return [
    'principal != Remit::Agent::""',
    'context.now >= datetime("1000-01-01") && context.now <= datetime("9999-12-31")',
    RISKS('context.risk'),
    ...[...catalog.timeZones.keys()].flatMap((zone) => localTime(`context.time[${cedarString(zone)}]`)),
    ...(own === undefined ? ofIssue(catalog) : ofUse(own, catalog)),
  ];
}

const oneOfTexts = (path: string, texts: readonly string[]): string =>
  `[${texts.map(cedarString).join(', ')}].contains(${path})`;

/** Numbers are those of JSON that a double holds exactly: Remit reads no others, and the engine refuses them. */
const wholeNumber = (path: string): string =>
  `${path} >= -${Number.MAX_SAFE_INTEGER} && ${path} <= ${Number.MAX_SAFE_INTEGER}`;
const naturalNumber = (path: string): string => `${path} >= 0 && ${path} <= ${Number.MAX_SAFE_INTEGER}`;

/** In a form that Cedar's type checker follows: an optional value may be read only after a test of its presence. */
const ifPresent = (test: string, condition: string): string => `if (${test}) then (${condition}) else true`;

const RISKS = (path: string): string => oneOfTexts(path, ['low', 'medium', 'high']);

const localTime = (path: string): readonly string[] => [
  `${path}.weekday >= 1 && ${path}.weekday <= 7`,
  `${path}.minuteOfDay >= 0 && ${path}.minuteOfDay <= 1439`,
];

function ofUse(action: CatalogAction, catalog: Catalog): readonly string[] {
  const { server, endpoint, labels } = action;
  const resource = `Remit::Endpoint::${cedarString(`${server.id}:${endpoint}`)}`;
  return [
    `resource == ${resource} && resource in Remit::Server::${cedarString(server.id)}`,
    ...attributesOf(`${server.id}:${endpoint}`, 'Endpoint', catalog),
    oneOfTexts('context.credential.kind', ['task-token', 'external-token', 'workload-identity']),
    oneOfTexts('context.credential.binding', ['certificate', 'spiffe-id', 'dpop', 'none']),
    ...['context.intent.ageSeconds', 'context.credential.secondsLeft', 'context.credential.uses'].map(naturalNumber),
    ...action.args.flatMap(({ name, type, required }) => {
      const path = `context.args[${cedarString(name)}]`;
      if (type !== 'long') return [];
      return required ? wholeNumber(path) : ifPresent(`context.args has ${cedarString(name)}`, wholeNumber(path));
    }),
    'context.credential.kind == "task-token" || context.intent.actions.isEmpty()',
    'context.credential.kind != "workload-identity" || (context.credential.scope.isEmpty() && context.credential.uses == 0)',
    equalsSet('context.labels', [...labels]),
  ];
}

/** Most actions for which the action of a request is tied to its server and risk. */
const MAX_TIED = 300;

function ofIssue({ actions, servers }: Catalog): readonly string[] {
  const requests = [...actions.values()].map(
    ({ id, risk, server }) =>
      `(context.requested.action == ${cedarString(id)} && context.requested.risk == ${cedarString(risk)} && resource == Remit::Server::${cedarString(server.id)})`,
  );
  return [
    ...['context.ttlSeconds', 'context.taskSeconds'].map(naturalNumber),
    RISKS('context.requested.risk'),
    ifPresent(
      'context has delegation',
      `context.delegation.depth >= 1 && ${naturalNumber('context.delegation.depth')}`,
    ),
    ifPresent('context has stopped', naturalNumber('context.stopped.secondsSince')),
    ifPresent('context.requested.constraints has maxCalls', naturalNumber('context.requested.constraints.maxCalls')),
    ifPresent(
      'context.requested.constraints has maxAmount',
      wholeNumber('context.requested.constraints.maxAmount.limit'),
    ),
    ...(requests.length > 0 && requests.length <= MAX_TIED ? [requests.join(' || ')] : []),
    ...(servers.size > 0 && servers.size <= MAX_TIED
      ? [[...servers.keys()].map((id) => `resource == Remit::Server::${cedarString(id)}`).join(' || ')]
      : []),
  ];
}

/** The catalog's attributes of a resource, and that it has no others of the catalog. */
function attributesOf(id: string, type: 'Endpoint' | 'Server', catalog: Catalog): readonly string[] {
  const described = describedResources(catalog)[type];
  const own = described.find(({ uid }) => uid.id === id)?.attributes ?? new Map<string, AttributeValue>();
  const names = new Set(described.flatMap(({ attributes }) => Array.from(attributes.keys())));
  return [...names].map((name) => {
    const value = own.get(name);
    const has = `resource has ${cedarString(name)}`;
    return value === undefined ? `!(${has})` : `${has} && ${equals(`resource[${cedarString(name)}]`, value)}`;
  });
}

function equals(path: string, value: AttributeValue): string {
  if (typeof value === 'object') return equalsSet(path, value);
  return `${path} == ${typeof value === 'string' ? cedarString(value) : String(value)}`;
}

/** Cedar has no literal of an empty set whose type is known. */
const equalsSet = (path: string, texts: readonly string[]): string =>
  texts.length === 0 ? `${path}.isEmpty()` : `${path} == [${texts.map(cedarString).join(', ')}]`;

/** Conditions as policies that keep a set from allowing what does not meet them. */
export const assumptionPolicies = (action: string, conditions: readonly string[]): string =>
  conditions
    .map(
      (condition, index) =>
        `@id("remit-assumption-${index}") forbid (principal, action == Remit::Action::${cedarString(action)}, resource) unless { ${condition} };`,
    )
    .join('\n');
