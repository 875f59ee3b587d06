import { trustDomainOf } from '../identity/spiffe-id.ts';
import { freshCedar, isTrap, nameOfThrown } from './cedar.ts';
import type { Cedar } from './cedar.ts';
import { entityKey } from './entities.ts';
import type { Entity, EntityUid } from './entities.ts';
import type { Question } from './question.ts';
import { NAMESPACE } from './schema.ts';

/** What the engine says; not yet a decision. Ids are sorted, since the engine's own order is not stable. */
export type EngineAnswer =
  | { readonly kind: 'permitted'; readonly policyIds: readonly string[] }
  | { readonly kind: 'forbidden'; readonly policyIds: readonly string[] }
  | { readonly kind: 'not-permitted' }
  /** Of the policies that erred, where it was they. */
  | { readonly kind: 'error'; readonly policyIds: readonly string[]; readonly detail: string };

/** What an engine answers from. */
export interface EngineRules {
  /** Text by id; proved beforehand that it parses and cannot trap. */
  readonly policies: ReadonlyMap<string, string>;
  /** By `entityKey`. */
  readonly entities: ReadonlyMap<string, Entity>;
  /** Groups of each action by its id; an action that is not here is refused. */
  readonly actionGroups: ReadonlyMap<string, readonly string[]>;
}

const SET = 'enforced';

/**
 * Cedar over one policy set, in an instance of its own. Made whole by the constructor, let go with the set; `ask` never
 * throws. After a trap, which leaves the instance dead, the answer is an error and the next question meets a new one.
 */
export class Engine {
  readonly #rules: EngineRules;
  readonly #fresh: () => Cedar;
  #cedar: Cedar | null;

  /** Throws where the policies, proved beforehand, are refused all the same. */
  constructor(rules: EngineRules, fresh: () => Cedar = freshCedar) {
    this.#rules = rules;
    this.#fresh = fresh;
    this.#cedar = loaded(fresh(), rules);
  }

  /**
   * Evaluates every policy. Any policy that errs, whatever its effect, makes the answer an error: Cedar itself would
   * skip it, and with it perhaps the `forbid` that mattered.
   */
  ask(question: Question): EngineAnswer {
    try {
      const groups = this.#rules.actionGroups.get(question.action);
      if (groups === undefined) return failed(`the action \`${question.action}\` is not of the schema`);
      this.#cedar ??= loaded(this.#fresh(), this.#rules);
      return answerFrom(this.#cedar.statefulIsAuthorized(callFrom(question, groups, this.#rules.entities)));
    } catch (thrown) {
      if (isTrap(thrown)) this.#cedar = null;
      return failed(`the engine threw: ${nameOfThrown(thrown)}`);
    }
  }
}

function loaded(cedar: Cedar, rules: EngineRules): Cedar {
  const answer = cedar.preparsePolicySet(SET, { staticPolicies: Object.fromEntries(rules.policies) });
  if (answer.type === 'failure') throw new Error('the engine refused policies that were proved beforehand');
  return cedar;
}

const failed = (detail: string): EngineAnswer => ({ kind: 'error', policyIds: [], detail });

type CedarCall = Parameters<Cedar['statefulIsAuthorized']>[0];
type CedarAnswer = ReturnType<Cedar['statefulIsAuthorized']>;

/** The question in Cedar's JSON form, without a schema: the groups of the action are passed along. */
export function callFrom(
  question: Question,
  actionGroups: readonly string[],
  entities: ReadonlyMap<string, Entity>,
): CedarCall {
  const principal = uid('Agent', question.principal);
  const action = uid('Action', question.action);
  const server = uid('Server', question.server.id);
  const endpoint = question.endpoint === null ? null : uid('Endpoint', `${question.server.id}:${question.endpoint}`);
  const given = new Map<string, Entity>();
  addWithAncestors(given, principal, entities, [uid('TrustDomain', trustDomainOf(question.principal))]);
  addWithAncestors(given, server, entities);
  if (endpoint !== null) addWithAncestors(given, endpoint, entities, [server]);
  const groups = actionGroups.map((group) => uid('Action', group));
  return {
    principal,
    action,
    resource: endpoint ?? server,
    // A question is made of Cedar values; the library's type only lacks `readonly`.
    context: question.context as CedarCall['context'],
    preparsedPolicySetId: SET,
    entities: [...given.values(), { uid: action, attrs: {}, parents: groups }] as CedarCall['entities'],
  };
}

const uid = (type: string, id: string): { type: string; id: string } => ({ type: `${NAMESPACE}::${type}`, id });

function addWithAncestors(
  given: Map<string, Entity>,
  of: EntityUid,
  entities: ReadonlyMap<string, Entity>,
  alsoIn: readonly EntityUid[] = [],
): void {
  const key = entityKey(of);
  if (given.has(key)) return;
  const written = entities.get(key) ?? { uid: of, attrs: {}, parents: [] };
  const added = alsoIn.filter((parent) => !written.parents.some((one) => entityKey(one) === entityKey(parent)));
  const entity = { ...written, parents: [...written.parents, ...added] };
  given.set(key, entity);
  for (const parent of entity.parents) addWithAncestors(given, parent, entities);
}

function answerFrom(answer: CedarAnswer): EngineAnswer {
  if (answer.type === 'failure') return failed('the engine refused the question');
  const { decision, diagnostics } = answer.response;
  const policyIds = diagnostics.reason.toSorted();
  const erring = diagnostics.errors.map((error) => error.policyId).sort();
  if (erring.length > 0) return { kind: 'error', policyIds: erring, detail: 'a policy could not be evaluated' };
  if (decision === 'allow')
    return policyIds.length > 0 ? { kind: 'permitted', policyIds } : failed('an allow by no policy');
  return policyIds.length > 0 ? { kind: 'forbidden', policyIds } : { kind: 'not-permitted' };
}
