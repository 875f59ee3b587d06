import { trustDomainOf } from '../identity/spiffe-id.ts';
import { DecisionCache } from './answers/cache.ts';
import type { CacheResult, FullAnswer } from './answers/cache.ts';
import { freshCedar } from './cedar.ts';
import type { Cedar } from './cedar.ts';
import { entityKey } from './entities.ts';
import type { Entity, EntityUid } from './entities.ts';
import { Evaluator, isFailure, routeOf } from './evaluator.ts';
import { readsAny } from './answers/split-by-volatility.ts';
import type { Asked, EvaluatorAnswer, EvaluatorOptions, Keeping, PolicyFacts } from './evaluator.ts';
import { lineageText } from './answers/key.ts';
import type { SlicePart } from './answers/key.ts';
import { isPlainValue } from './plain-value.ts';
import { SlicePool } from './pool.ts';
import { getOrAdd } from './answers/slice.ts';
import { PER_CALL } from './question.ts';
import type { Question } from './question.ts';
import { NAMESPACE } from './namespace.ts';

/** What the engine says; not yet a decision. Ids are sorted, since the engine's own order is not stable. */
export type EngineAnswer =
  | { readonly kind: 'permitted'; readonly policyIds: readonly string[] }
  | { readonly kind: 'forbidden'; readonly policyIds: readonly string[] }
  | { readonly kind: 'not-permitted' }
  /** Of the policies that erred, where it was they. */
  | { readonly kind: 'error'; readonly policyIds: readonly string[]; readonly detail: string };

/** A policy as an engine takes it; proved beforehand that it parses and cannot trap. */
export interface EnginePolicy extends PolicyFacts {
  readonly id: string;
  readonly text: string;
}

/** What an engine answers from. */
export interface EngineRules {
  /** Stands for everything else here: rules that differ in anything have another. */
  readonly generation: string;
  readonly policies: readonly EnginePolicy[];
  /** By `entityKey`. */
  readonly entities: ReadonlyMap<string, Entity>;
  /** Groups of each action by its id; an action that is not here is refused. */
  readonly actionGroups: ReadonlyMap<string, readonly string[]>;
}

/** How an answer may be kept, and who is told what became of the question at the cache. */
export interface Keep extends Keeping {
  readonly onCache: (result: CacheResult) => void;
}

/** What an engine holds at the moment. */
export interface EngineSizes {
  /** Slices that were asked for and are known. */
  readonly slices: number;
  /** Slices that the engine holds parsed, and the policies in them. */
  readonly parsed: { readonly slices: number; readonly policies: number };
  readonly cached: { readonly allows: number; readonly denials: number };
}

/** What an engine is made with besides its rules; all have defaults. */
export interface EngineOptions extends Partial<EvaluatorOptions> {
  readonly fresh?: () => Cedar;
  /** Shares an instance of Cedar with other engines; default one of its own. */
  readonly pool?: SlicePool;
}

/**
 * Cedar over one policy set, in an instance of its own, with slices and a cache of its own. Made whole by the constructor, let
 * go with the set; `ask` never throws. After a trap, which leaves the instance dead, the answer is an error and the next
 * question meets a new one.
 */
export class Engine {
  readonly #rules: EngineRules;
  readonly #evaluator: Evaluator;
  readonly #pool: SlicePool;
  readonly #cache: DecisionCache | null;
  readonly #names = new NamesMemory();

  constructor(
    rules: EngineRules,
    {
      fresh = freshCedar,
      pool = new SlicePool(fresh),
      slices = true,
      cache = new DecisionCache(),
      varies = (reads) => readsAny(reads, PER_CALL),
    }: EngineOptions = {},
  ) {
    this.#rules = rules;
    this.#pool = pool;
    this.#cache = cache;
    const policySet = (members: readonly number[]) => ({
      staticPolicies: Object.fromEntries(
        members.flatMap((index) => {
          const policy = rules.policies[index];
          return policy === undefined ? [] : [[policy.id, policy.text]];
        }),
      ),
    });
    const { generation, policies } = rules;
    // Entities were proved when the policies were loaded.
    const proved = { schema: null, areEntitiesTaken: true };
    this.#evaluator = new Evaluator({ generation, policies, policySet, ...proved }, this.#pool, {
      slices,
      cache,
      varies,
    });
  }

  /** Makes the engine ready to answer, so that the first question need not wait. What fails here fails the question, with its reason. */
  warm(): this {
    try {
      this.#pool.warm();
    } catch {
      // The next call meets a new instance.
    }
    return this;
  }

  /** What is held at the moment. */
  get sizes(): EngineSizes {
    const cached = this.#cache?.sizes ?? { allows: 0, denials: 0 };
    return { slices: this.#evaluator.slices, parsed: this.#pool.sizes, cached };
  }

  /**
   * Evaluates every policy that can match. Any policy that errs, whatever its effect, makes the answer an error: Cedar itself
   * would skip it, and with it perhaps the `forbid` that mattered.
   */
  ask(question: Question, keep?: Keep): EngineAnswer {
    const groups = this.#rules.actionGroups.get(question.action);
    if (groups === undefined) return failed(`the action \`${question.action}\` is not of the schema`);
    const asked = this.#asked(question, groups);
    const { answer, cache } = this.#evaluator.ask(asked, keep ?? null);
    keep?.onCache(cache);
    return answerFrom(answer);
  }

  /**
   * The engine's own answer, with errors beside reasons; `null` where it has none. Where all policies are permits, these are the
   * ones that match and those that err, each by itself. Not from the cache.
   */
  outcomes(question: Question): Pick<FullAnswer, 'reason' | 'errors'> | null {
    const groups = this.#rules.actionGroups.get(question.action);
    if (groups === undefined) return null;
    const { answer } = this.#evaluator.ask(this.#asked(question, groups), null);
    return isFailure(answer) ? null : answer;
  }

  /** Indices of the policies whose scope the question meets. */
  members(question: Question): readonly number[] {
    const groups = this.#rules.actionGroups.get(question.action);
    return groups === undefined ? [] : this.#evaluator.members(this.#asked(question, groups));
  }

  #asked(question: Question, groups: readonly string[]): Asked {
    return new EngineQuestion(question, this.#namesOf(question, groups), this.#rules.entities);
  }

  #namesOf(question: Question, groups: readonly string[]): Names {
    return this.#names.get(question) ?? this.#names.set(question, namesIn(question, groups));
  }
}

/** The names of questions, by what they follow from. Four looks by texts that are there cost less than one by a text made of them. */
class NamesMemory {
  /** By principal, server, endpoint and action, which are the same texts again and again. */
  #principals = new Map<string, Map<string, Map<string | null, Map<string, Names>>>>();
  #size = 0;

  get({ principal, action, server, endpoint }: Question): Names | undefined {
    return this.#principals.get(principal)?.get(server.id)?.get(endpoint)?.get(action);
  }

  set({ principal, action, server, endpoint }: Question, names: Names): Names {
    if (this.#size >= MAX_NAMES) {
      this.#principals = new Map();
      this.#size = 0;
    }
    const servers = getOrAdd(
      this.#principals,
      principal,
      () => new Map<string, Map<string | null, Map<string, Names>>>(),
    );
    const endpoints = getOrAdd(servers, server.id, () => new Map<string | null, Map<string, Names>>());
    getOrAdd(endpoints, endpoint, () => new Map<string, Names>()).set(action, names);
    this.#size += 1;
    return names;
  }
}

/** A question as the evaluator takes it. Nothing of it is made before it is looked at. */
class EngineQuestion implements Asked {
  readonly route: string;
  readonly principal: EntityUid;
  readonly action: EntityUid;
  readonly resource: EntityUid;
  readonly part: Asked['part'];
  readonly #question: Question;
  readonly #names: Names;
  readonly #entities: EngineRules['entities'];

  constructor(question: Question, names: Names, entities: EngineRules['entities']) {
    this.route = names.route;
    this.principal = names.principal;
    this.action = names.action;
    this.resource = names.resource;
    this.part = question.part === undefined ? undefined : (name) => question.part?.(name);
    this.#question = question;
    this.#names = names;
    this.#entities = entities;
  }

  get context(): unknown {
    return this.#question.context;
  }

  lineageOf(uid: EntityUid): Iterable<string> {
    return lineageOf(uid, this.#names, this.#entities).keys();
  }

  lineageTextOf(uid: EntityUid): string {
    const { lineages } = this.#names;
    const key = entityKey(uid);
    const known = lineages.get(key);
    if (known !== undefined) return known;
    const text = lineageText(this.lineageOf(uid));
    if (lineages.size < MAX_LINEAGES) lineages.set(key, text);
    return text;
  }

  prefix(part: SlicePart, make: () => string): string {
    return (this.#names.keyPrefixes[part] ??= make());
  }

  entities(): readonly unknown[] {
    return entitiesFor(this.#names, this.#entities);
  }

  isTaken(): boolean {
    return this.#question.isPlain?.() ?? isPlainValue(this.#question.context);
  }
}

/** Of the questions asked so far, the names that are kept; beyond that they are made anew. */
const MAX_NAMES = 16_384;
/** Kept for a question: its three names and what a context names. */
const MAX_LINEAGES = 16;

const failed = (detail: string): EngineAnswer => ({ kind: 'error', policyIds: [], detail });

/** The entities of a question by name, and what each is in by its name alone. */
interface Names {
  readonly route: string;
  readonly principal: EntityUid;
  readonly action: EntityUid;
  readonly resource: EntityUid;
  /** What an entity is in besides what is written of it, by its key. */
  readonly alsoIn: ReadonlyMap<string, readonly EntityUid[]>;
  /** What an entity is in, itself included, as it stands in a key; by its own, as far as that was asked. */
  readonly lineages: Map<string, string>;
  /** What the key of a question has of them: of one engine the names are always asked of the same slice. */
  readonly keyPrefixes: Record<SlicePart, string | null>;
}

/** INVARIANT: what a name is in follows from the name, the catalog and the entities; keys of the cache hold names only. */
function namesIn(question: Question, actionGroups: readonly string[]): Names {
  const principal = uid('Agent', question.principal);
  const action = uid('Action', question.action);
  const server = uid('Server', question.server.id);
  const endpoint = question.endpoint === null ? null : uid('Endpoint', `${question.server.id}:${question.endpoint}`);
  const alsoIn = new Map([
    [entityKey(principal), [uid('TrustDomain', trustDomainOf(question.principal))]],
    [entityKey(action), actionGroups.map((group) => uid('Action', group))],
  ]);
  if (endpoint !== null) alsoIn.set(entityKey(endpoint), [server]);
  const resource = endpoint ?? server;
  return {
    route: routeOf(principal, action, resource),
    principal,
    action,
    resource,
    alsoIn,
    lineages: new Map(),
    keyPrefixes: { whole: null, steady: null },
  };
}

const uid = (type: string, id: string): EntityUid => ({ type: `${NAMESPACE}::${type}`, id });

type CedarCall = Parameters<Cedar['statefulIsAuthorized']>[0];

/** The question in Cedar's JSON form, without a schema: the groups of the action are passed along. */
export function callFrom(
  question: Question,
  actionGroups: readonly string[],
  entities: ReadonlyMap<string, Entity>,
): Omit<CedarCall, 'preparsedPolicySetId'> {
  const names = namesIn(question, actionGroups);
  const { principal, action, resource } = names;
  return {
    principal,
    action,
    resource,
    // A question is made of Cedar values; the library's type only lacks `readonly`.
    context: question.context as CedarCall['context'],
    entities: entitiesFor(names, entities) as CedarCall['entities'],
  };
}

const entitiesFor = (names: Names, entities: ReadonlyMap<string, Entity>): readonly Entity[] => {
  const given = new Map<string, Entity>();
  const { principal, action, resource, alsoIn } = names;
  for (const one of [principal, resource]) addWithAncestors(given, one, { entities, alsoIn });
  const groups = alsoIn.get(entityKey(action)) ?? [];
  return [...given.values(), { uid: action, attrs: {}, parents: groups }];
};

/** An entity and everything it is in, by key. */
function lineageOf(
  of: EntityUid,
  { alsoIn }: Pick<Names, 'alsoIn'>,
  entities: ReadonlyMap<string, Entity>,
): ReadonlyMap<string, Entity> {
  const lineage = new Map<string, Entity>();
  addWithAncestors(lineage, of, { entities, alsoIn });
  return lineage;
}

function addWithAncestors(
  given: Map<string, Entity>,
  of: EntityUid,
  by: { readonly entities: ReadonlyMap<string, Entity>; readonly alsoIn: Names['alsoIn'] },
): void {
  const key = entityKey(of);
  if (given.has(key)) return;
  const written = by.entities.get(key) ?? { uid: of, attrs: {}, parents: [] };
  const added = (by.alsoIn.get(key) ?? []).filter(
    (parent) => !written.parents.some((one) => entityKey(one) === entityKey(parent)),
  );
  const entity = { ...written, parents: [...written.parents, ...added] };
  given.set(key, entity);
  for (const parent of entity.parents) addWithAncestors(given, parent, by);
}

function answerFrom(answer: EvaluatorAnswer): EngineAnswer {
  if (isFailure(answer)) return failed(answer.failure);
  const { decision, reason: policyIds, errors } = answer;
  if (errors.length > 0) return { kind: 'error', policyIds: errors, detail: 'a policy could not be evaluated' };
  if (decision === 'allow')
    return policyIds.length > 0 ? { kind: 'permitted', policyIds } : failed('an allow by no policy');
  return policyIds.length > 0 ? { kind: 'forbidden', policyIds } : { kind: 'not-permitted' };
}
