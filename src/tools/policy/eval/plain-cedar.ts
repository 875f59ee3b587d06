import { cedarStatements } from '../../../core/policy/cedar-text.ts';
import type { Cedar } from '../../../core/policy/cedar.ts';
import { entityKey } from '../../../core/policy/entities.ts';
import type { EntityUid } from '../../../core/policy/entities.ts';
import { Evaluator, routeOf } from '../../../core/policy/evaluator.ts';
import type { EvaluatorOptions, EvaluatorAnswer, PolicyFacts } from '../../../core/policy/evaluator.ts';
import type { EnginePolicies, SlicePool } from '../../../core/policy/pool.ts';
import { readsOf } from '../../../core/policy/answers/reads.ts';
import { member, scopeFrom, scopeUid } from '../../../core/policy/answers/scope.ts';
import type { Slots } from '../../../core/policy/answers/scope.ts';

/** Policies, schema and entities, in any form that the engine accepts. */
export interface PlainRules {
  /** Unique among all rules that share a cache. */
  readonly generation: string;
  /** Cedar text, whose policies are `policy0`, `policy1`, … in order; or Cedar's JSON format with ids, templates and links. */
  readonly policies: unknown;
  /** Cedar text or JSON; `undefined` without a schema. */
  readonly schema: unknown;
  readonly entities: readonly unknown[];
}

/** One policy of the rules, linked policies included, in the engine's format. */
interface PlainPolicy extends PolicyFacts {
  readonly addTo: (set: MutableSet) => void;
}

interface MutableSet {
  readonly staticPolicies: Record<string, unknown>;
  readonly templates: Record<string, unknown>;
  readonly templateLinks: unknown[];
}

/** Answers one plain request. Never throws. */
export type PlainAsk = (request: unknown) => EvaluatorAnswer;

const NO_CLOCK = { nowMs: 0, untilMs: 1 };

/**
 * Evaluates plain Cedar requests with Remit's engine. Input that cannot be split here, such as policies that do not parse, goes
 * to the engine as a whole, without slices and cache, so that the answer is always the engine's own.
 */
export function plainAsk(rules: PlainRules, pool: SlicePool, options: EvaluatorOptions): PlainAsk {
  const { generation, schema } = rules;
  const parts = attempt(() => pool.run((cedar) => partsOf(rules, cedar)));
  const evaluator = new Evaluator(
    {
      generation,
      schema: schema === undefined ? null : schema,
      areEntitiesAccepted:
        schema === undefined && attempt(() => pool.run((cedar) => areAccepted(rules.entities, cedar))) === true,
      policies: parts?.policies ?? [wholeSet],
      policySet: (members) => (parts === null ? wholePolicies(rules.policies) : setOf(members, parts.policies)),
    },
    pool,
    parts === null ? { slices: false, cache: null } : options,
  );
  const parents = parts?.parents ?? new Map<string, readonly EntityUid[]>();
  return (request) => {
    const uids = [member(request, 'principal'), member(request, 'action'), member(request, 'resource')].map(scopeUid);
    const [principal, action, resource] = uids;
    if (!principal || !action || !resource)
      return { failure: 'the request lacks a principal, an action or a resource', said: null };
    const validate = member(request, 'validateRequest');
    const asked = {
      route: routeOf(principal, action, resource),
      principal,
      action,
      resource,
      context: member(request, 'context') ?? {},
      lineageOf: (uid: EntityUid) => lineageOf(uid, parents),
      entities: () => rules.entities,
      isAccepted: (isRead: () => boolean) => isRead(),
      ...(typeof validate === 'boolean' ? { validateRequest: validate } : {}),
    };
    return evaluator.ask(asked, NO_CLOCK).answer;
  };
}

/** Returns `null` on an exception: the engine reports the same error when it is called. */
function attempt<T>(make: () => T | null): T | null {
  try {
    return make();
  } catch {
    return null;
  }
}

const wholeSet: PolicyFacts = {
  scope: scopeFrom(null),
  reads: { everything: true, roots: new Map() },
};

const wholePolicies = (policies: unknown): EnginePolicies =>
  (typeof policies === 'string' ? { staticPolicies: policies } : policies) as EnginePolicies;

function setOf(members: readonly number[], policies: readonly PlainPolicy[]): EnginePolicies {
  const set: MutableSet = { staticPolicies: byName(), templates: byName(), templateLinks: [] };
  for (const index of members) policies[index]?.addTo(set);
  return set as EnginePolicies;
}

/** Names are chosen by the caller, perhaps `__proto__`. */
const byName = (): Record<string, unknown> => Object.create(null) as Record<string, unknown>;

/** Whether the engine accepts the entities for every question. */
const areAccepted = (entities: readonly unknown[], cedar: Cedar): boolean =>
  cedar.checkParseEntities({ entities, schema: null } as Parameters<Cedar['checkParseEntities']>[0]).type === 'success';

interface Parts {
  readonly policies: readonly PlainPolicy[];
  /** Direct parents of each entity, by key. */
  readonly parents: ReadonlyMap<string, readonly EntityUid[]>;
}

function partsOf({ policies, schema, entities }: PlainRules, cedar: Cedar): Parts | null {
  // An error in one policy, or between two, refuses all of them, even if the erroneous policy would not be evaluated.
  if (cedar.checkParsePolicySet(wholePolicies(policies)).type === 'failure') return null;
  const apart = typeof policies === 'string' ? policiesOfText(policies, cedar) : policiesOfJson(policies, cedar);
  const parents = new Map<string, readonly EntityUid[]>();
  const isHierarchy = addEntities(parents, entities) && addActions(parents, schema, cedar);
  return apart === null || !isHierarchy ? null : { policies: apart, parents };
}

/** `null` if the engine does not parse the text statement by statement. */
function policiesOfText(text: string, cedar: Cedar): readonly PlainPolicy[] | null {
  const parts = cedar.policySetTextToParts(text);
  if (parts.type === 'failure' || parts.policy_templates.length > 0) return null;
  const statements = cedarStatements(text).map((statement) => statement.text);
  const [own, split] = [statements.toSorted(), parts.policies.toSorted()];
  if (own.length !== split.length || own.some((statement, index) => statement !== split[index])) return null;
  return allOf(statements.map((statement, index) => policyOf(`policy${index}`, statement, cedar)));
}

function policiesOfJson(set: unknown, cedar: Cedar): readonly PlainPolicy[] | null {
  const { staticPolicies = {}, templates = {}, templateLinks = [], ...rest } = Object(set) as Record<string, unknown>;
  if (typeof staticPolicies === 'string' || Array.isArray(staticPolicies) || Object.keys(rest).length > 0) return null;
  if (!Array.isArray(templateLinks)) return null;
  const statics = Object.entries(Object(staticPolicies)).map(([id, policy]) => policyOf(id, policy, cedar));
  return allOf([...statics, ...templateLinks.map((link) => linkedOf(link, templates, cedar))]);
}

const allOf = <T>(items: readonly (T | null)[]): readonly T[] | null =>
  items.every((item) => item !== null) ? items : null;

type PolicyText = Parameters<Cedar['policyToJson']>[0];
type TemplateText = Parameters<Cedar['templateToJson']>[0];

function policyOf(id: string, policy: unknown, cedar: Cedar): PlainPolicy | null {
  const read = cedar.policyToJson(policy as PolicyText);
  if (read.type === 'failure') return null;
  return {
    scope: scopeFrom(read.json),
    reads: readsOf(read.json),
    addTo: ({ staticPolicies }) => void (staticPolicies[id] = policy),
  };
}

function linkedOf(link: unknown, templates: unknown, cedar: Cedar): PlainPolicy | null {
  const templateId = member(link, 'templateId');
  const template = typeof templateId === 'string' ? member(templates, templateId) : undefined;
  if (template === undefined || typeof templateId !== 'string') return null;
  const read = cedar.templateToJson(template as TemplateText);
  if (read.type === 'failure') return null;
  return {
    scope: scopeFrom(read.json, slotsOf(member(link, 'values'))),
    reads: readsOf(read.json),
    addTo: ({ templates: into, templateLinks }) => {
      into[templateId] = template;
      templateLinks.push(link);
    },
  };
}

const slotsOf = (values: unknown): Slots =>
  Object.fromEntries(
    Object.entries(Object(values)).flatMap(([slot, value]) => {
      const uid = scopeUid(value);
      return uid === null ? [] : [[slot, uid]];
    }),
  );

type Parents = Map<string, readonly EntityUid[]>;

function addEntities(parents: Parents, entities: readonly unknown[]): boolean {
  for (const entity of entities) {
    const [uid, direct] = [scopeUid(member(entity, 'uid')), member(entity, 'parents') ?? []];
    const uids = Array.isArray(direct) ? allOf(direct.map(scopeUid)) : null;
    if (uid === null || uids === null) return false;
    addParents(parents, uid, uids);
  }
  return true;
}

/** The engine adds a schema's actions, with their groups, to the entities. */
function addActions(parents: Parents, schema: unknown, cedar: Cedar): boolean {
  if (schema === undefined) return true;
  const text = schemaText(schema, cedar);
  const resolved = text === null ? null : cedar.schemaToJsonWithResolvedTypes(text);
  if (resolved === null || resolved.type === 'failure') return false;
  for (const [namespace, { actions = {} }] of Object.entries(resolved.json)) {
    const type = namespace === '' ? 'Action' : `${namespace}::Action`;
    for (const [id, action] of Object.entries(actions)) {
      const groups = (action.memberOf ?? []).map((group) => ({ type: group.type ?? type, id: group.id }));
      addParents(parents, { type, id }, groups);
    }
  }
  return true;
}

function schemaText(schema: unknown, cedar: Cedar): string | null {
  if (typeof schema === 'string') return schema;
  const written = cedar.schemaToText(schema as Parameters<Cedar['schemaToText']>[0]);
  return written.type === 'failure' ? null : written.text;
}

function addParents(parents: Parents, uid: EntityUid, direct: readonly EntityUid[]): void {
  const key = entityKey(uid);
  parents.set(key, [...(parents.get(key) ?? []), ...direct]);
}

function lineageOf(uid: EntityUid, parents: ReadonlyMap<string, readonly EntityUid[]>): ReadonlySet<string> {
  const lineage = new Set<string>();
  const open = [uid];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const key = entityKey(next);
    if (lineage.has(key)) continue;
    lineage.add(key);
    open.push(...(parents.get(key) ?? []));
  }
  return lineage;
}
