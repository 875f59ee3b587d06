import { DecisionCache } from './answers/cache.ts';
import type { CacheResult, FullAnswer } from './answers/cache.ts';
import { freshCedar } from './cedar.ts';
import type { Cedar } from './cedar.ts';
import { entityKey } from './entities.ts';
import type { Entity, EntityUid } from './entities.ts';
import { Evaluator, isFailure } from './evaluator.ts';
import { readsAny } from './answers/split-by-volatility.ts';
import type { CedarQuestion, EvaluatorAnswer, EvaluatorOptions, Keeping, PolicyFacts } from './evaluator.ts';
import { lineageText } from './answers/key.ts';
import type { SliceIndex } from './answers/slice.ts';
import type { SlicePart } from './answers/key.ts';
import { isPlainValue } from './plain-value.ts';
import { SlicePool } from './pool.ts';
import { PER_CALL } from './use-question.ts';
import type { Question } from './question.ts';
import { NamesMemory, namesIn } from './question-names.ts';
import type { QuestionNames } from './question-names.ts';

/** The engine's answer, not yet a decision. Ids are sorted, since the engine's order is not stable. */
export type EngineAnswer =
  | { readonly kind: 'permitted'; readonly policyIds: readonly string[] }
  | { readonly kind: 'forbidden'; readonly policyIds: readonly string[] }
  | { readonly kind: 'not-permitted' }
  /** `policyIds` are the policies that failed, if policies caused it. */
  | { readonly kind: 'error'; readonly policyIds: readonly string[]; readonly detail: string };

/** A policy for the engine; it was proved to parse and not to trap. */
export interface EnginePolicy extends PolicyFacts {
  readonly id: string;
  readonly text: string;
}

/** What an engine evaluates. */
export interface EngineRules {
  /** Identifies all of the rules: rules that differ in anything have different generations. */
  readonly generation: string;
  readonly policies: readonly EnginePolicy[];
  /** Entities by `entityKey`. */
  readonly entities: ReadonlyMap<string, Entity>;
  /** The index of the policies' scopes, if it was built before. Default: built by the constructor. */
  readonly index?: SliceIndex | undefined;
  /** Groups of each action by action id; unknown actions are refused. */
  readonly actionGroups: ReadonlyMap<string, readonly string[]>;
}

/** Caching of an answer, and a listener for the cache result. */
export interface Keep extends Keeping {
  readonly onCache: (result: CacheResult) => void;
}

/** Current sizes of an engine. */
export interface EngineSizes {
  /** Slices kept. */
  readonly slices: number;
  /** Slices held parsed by the engine, and their policies. */
  readonly parsed: { readonly slices: number; readonly policies: number };
  readonly cached: { readonly allows: number; readonly denials: number };
}

/** Options of an engine; all have defaults. */
export interface EngineOptions extends Partial<EvaluatorOptions> {
  readonly fresh?: () => Cedar;
  /** Shares an instance of Cedar with other engines; default an instance of its own. */
  readonly pool?: SlicePool;
}

/**
 * Cedar over one policy set, with its own instance, slices and cache. Fully set up by the constructor; dropped with the set.
 * `ask` never throws. A trap kills the instance: that answer is an error, and the next question gets a new instance.
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
    const { generation, policies, index } = rules;
    // Entities were proved when the policies were loaded.
    const proved = { schema: null, areEntitiesAccepted: true };
    this.#evaluator = new Evaluator({ generation, policies, policySet, index, ...proved }, this.#pool, {
      slices,
      cache,
      varies,
    });
  }

  /** Warms the engine up, so that the first question does not wait. */
  warm(): this {
    this.#pool.warm();
    return this;
  }

  /** Current sizes. */
  get sizes(): EngineSizes {
    const cached = this.#cache?.sizes ?? { allows: 0, denials: 0 };
    return { slices: this.#evaluator.slices, parsed: this.#pool.sizes, cached };
  }

  /**
   * Evaluates all policies that can match. If any policy fails, whatever its effect, the answer is an error: Cedar would skip
   * it, and it might be the `forbid` that matters.
   */
  ask(question: Question, keep?: Keep): EngineAnswer {
    const groups = this.#rules.actionGroups.get(question.action);
    if (groups === undefined) return failed(`unknown action \`${question.action}\`: not in the schema`);
    const asked = this.#asked(question, groups);
    const { answer, cache } = this.#evaluator.ask(asked, keep ?? null);
    keep?.onCache(cache);
    return answerFrom(answer);
  }

  /**
   * The engine's raw answer with errors beside reasons; `null` if it has none. For a set of policies of one effect, these are the
   * matching and the failing policies. Never from the cache.
   */
  outcomes(question: Question): Pick<FullAnswer, 'reason' | 'errors'> | null {
    const groups = this.#rules.actionGroups.get(question.action);
    if (groups === undefined) return null;
    const { answer } = this.#evaluator.ask(this.#asked(question, groups), null);
    return isFailure(answer) ? null : answer;
  }

  /** Indices of the policies whose scope matches the question. */
  members(question: Question): readonly number[] {
    const groups = this.#rules.actionGroups.get(question.action);
    return groups === undefined ? [] : this.#evaluator.members(this.#asked(question, groups));
  }

  #asked(question: Question, groups: readonly string[]): CedarQuestion {
    return new EngineQuestion(question, this.#namesOf(question, groups), this.#rules.entities);
  }

  #namesOf(question: Question, groups: readonly string[]): QuestionNames {
    return this.#names.get(question) ?? this.#names.set(question, namesIn(question, groups));
  }
}

/** A question for the evaluator. Each part is built lazily. */
class EngineQuestion implements CedarQuestion {
  readonly route: string;
  readonly principal: EntityUid;
  readonly action: EntityUid;
  readonly resource: EntityUid;
  readonly part: CedarQuestion['part'];
  readonly #question: Question;
  readonly #names: QuestionNames;
  readonly #entities: EngineRules['entities'];

  constructor(question: Question, names: QuestionNames, entities: EngineRules['entities']) {
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

  isAccepted(): boolean {
    return this.#question.isPlain?.() ?? isPlainValue(this.#question.context);
  }
}

/** Most memoised lineages per question: those of its three names, and of entities in the context. */
const MAX_LINEAGES = 16;

const failed = (detail: string): EngineAnswer => ({ kind: 'error', policyIds: [], detail });

type CedarCall = Parameters<Cedar['statefulIsAuthorized']>[0];

/** The question in Cedar's JSON format without a schema; the action's groups are passed along. */
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
    // A question consists of Cedar values; the library's type only lacks `readonly`.
    context: question.context as CedarCall['context'],
    entities: entitiesFor(names, entities) as CedarCall['entities'],
  };
}

const entitiesFor = (names: QuestionNames, entities: ReadonlyMap<string, Entity>): readonly Entity[] => {
  const given = new Map<string, Entity>();
  const { principal, action, resource, alsoIn } = names;
  for (const one of [principal, resource]) addWithAncestors(given, one, { entities, alsoIn });
  const groups = alsoIn.get(entityKey(action)) ?? [];
  return [...given.values(), { uid: action, attrs: {}, parents: groups }];
};

/** The keys of an entity and all its ancestors. */
function lineageOf(
  of: EntityUid,
  { alsoIn }: Pick<QuestionNames, 'alsoIn'>,
  entities: ReadonlyMap<string, Entity>,
): ReadonlyMap<string, Entity> {
  const lineage = new Map<string, Entity>();
  addWithAncestors(lineage, of, { entities, alsoIn });
  return lineage;
}

function addWithAncestors(
  given: Map<string, Entity>,
  of: EntityUid,
  by: { readonly entities: ReadonlyMap<string, Entity>; readonly alsoIn: QuestionNames['alsoIn'] },
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
    return policyIds.length > 0 ? { kind: 'permitted', policyIds } : failed('the engine allowed and named no policy');
  return policyIds.length > 0 ? { kind: 'forbidden', policyIds } : { kind: 'not-permitted' };
}
