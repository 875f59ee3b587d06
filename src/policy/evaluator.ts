import type { CacheResult, DecisionCache, FullAnswer } from './cache.ts';
import { nameOfThrown } from './cedar.ts';
import type { Cedar } from './cedar.ts';
import { text } from './encoding.ts';
import { entityKey } from './entities.ts';
import type { EntityUid } from './entities.ts';
import { keyFunction } from './key.ts';
import type { Keyed, KeyOf } from './key.ts';
import type { EnginePolicies, Pooled, SlicePool } from './pool.ts';
import { readsTogether } from './reads.ts';
import type { Reads } from './reads.ts';
import { anyScope, keysOfEntity } from './scope.ts';
import type { Scope } from './scope.ts';
import { SliceIndex } from './slice.ts';
import type { Slice } from './slice.ts';

/** What is known about a policy besides its text. */
export interface PolicyFacts {
  readonly scope: Scope;
  readonly reads: Reads;
}

/** What an evaluator answers from; it never changes. */
export interface EvaluatorRules {
  /** Stands for policies, schema and everything that is written of entities. */
  readonly generation: string;
  readonly policies: readonly PolicyFacts[];
  /** The policies at these indices, in the form in which the engine takes them. */
  readonly policySet: (members: readonly number[]) => EnginePolicies;
  /** In a form in which the engine takes it; `null` where questions are asked without one. */
  readonly schema: unknown;
}

/** A question in Cedar's words. */
export interface Asked extends Keyed {
  /** Equal for questions whose names are equal, and for no others. */
  readonly route: string;
  /** Called where the engine is asked. */
  readonly entities: () => readonly unknown[];
  /** Whether the engine takes the question as such; called where it may not be asked. */
  readonly isTaken: (engine: Probe) => boolean;
  readonly validateRequest?: boolean;
}

/** Has the engine read a question, with no policies and no entities: whether it takes it. */
export type Probe = () => boolean;

/** Why there is no answer. */
export interface EvaluatorFailure {
  readonly failure: string;
  /** The engine's own words, which may quote the question. */
  readonly said: string | null;
}

/** An answer of the engine, or why there is none. */
export type EvaluatorAnswer = FullAnswer | EvaluatorFailure;

/** Whether there is no answer. */
export const isFailure = (answer: EvaluatorAnswer): answer is EvaluatorFailure => 'failure' in answer;

const failed = (failure: string, said: string | null = null): EvaluatorFailure => ({ failure, said });

/** How an answer may be kept. */
export interface Keeping {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** The latest instant until which the answer may be kept. */
  readonly untilMs: number;
}

/** How questions are answered; each is the same without. */
export interface EvaluatorOptions {
  /** `false` has every policy evaluated for each question. */
  readonly slices: boolean;
  /** `null` has the engine asked each time. */
  readonly cache: DecisionCache | null;
}

/** A slice as it is asked. */
interface Askable extends Pooled {
  /** `null` until it is needed. */
  keyOf: KeyOf | null;
}

type CedarCall = Parameters<Cedar['statefulIsAuthorized']>[0];

/** The names of a question as one text. */
export const routeOf = (...names: readonly EntityUid[]): string => names.map((uid) => text(entityKey(uid))).join('');

/** No policy can match: nothing is left to ask. */
const NOTHING_MATCHES = Object.freeze({
  answer: Object.freeze({ decision: 'deny', reason: [], errors: [] }),
  cache: 'bypass',
  policies: 0,
});

const MAX_ROUTES = 16_384;
const nothing: Pooled = { size: 0, policies: () => ({}) };

/**
 * Answers questions by the slice of policies that can match, from the cache where the answer is there. An answer is the same
 * with and without slices and cache: only what is left to the engine differs. Never throws.
 */
export class Evaluator {
  readonly #rules: EvaluatorRules;
  readonly #pool: SlicePool;
  readonly #cache: DecisionCache | null;
  readonly #index: SliceIndex;
  readonly #slices = new WeakMap<Slice, Askable>();
  /** The slice by the names in a question, as long as their lineage is a matter of their names alone. */
  readonly #routes = new Map<string, Slice>();

  constructor(rules: EvaluatorRules, pool: SlicePool, { slices, cache }: EvaluatorOptions) {
    this.#rules = rules;
    this.#pool = pool;
    this.#cache = cache;
    this.#index = new SliceIndex(rules.policies.map(({ scope }) => (slices ? scope : anyScope)));
  }

  /** How many slices were asked for and are kept. */
  get slices(): number {
    return this.#index.size;
  }

  /** Answers a question; without `keep` the cache is left alone. */
  ask(
    asked: Asked,
    keep: Keeping | null,
  ): { readonly answer: EvaluatorAnswer; readonly cache: CacheResult; readonly policies: number } {
    try {
      const slice = this.#sliceOf(asked);
      const askable = this.#askable(slice);
      const policies = slice.members.length;
      if (policies === 0 && asked.isTaken(() => this.#isRead(asked))) return NOTHING_MATCHES;
      const key = this.#cache === null || keep === null ? null : this.#keyOf(slice, askable)(asked);
      if (key === null || keep === null || !asked.isTaken(() => this.#isRead(asked))) {
        return { answer: this.#evaluated(asked, askable), cache: 'bypass', policies };
      }
      const known = this.#cache?.get(key.key, keep.nowMs) ?? null;
      if (known !== null) return { answer: known, cache: 'hit', policies };
      const answer = this.#evaluated(asked, askable);
      const untilMs = Math.min(keep.untilMs, key.untilMs);
      if (!isFailure(answer)) this.#cache?.set(key.key, answer, { nowMs: keep.nowMs, untilMs });
      return { answer, cache: 'miss', policies };
    } catch (thrown) {
      return {
        answer: failed(`the engine threw: ${nameOfThrown(thrown)}`, String(thrown)),
        cache: 'bypass',
        policies: 0,
      };
    }
  }

  /** Indices of the policies that can match, ascending. */
  members(asked: Asked): readonly number[] {
    return this.#sliceOf(asked).members;
  }

  #sliceOf(asked: Asked): Slice {
    const { principal, action, resource, route } = asked;
    const known = this.#routes.get(route);
    if (known !== undefined) return known;
    const keys = (uid: typeof principal): readonly string[] => keysOfEntity(uid, asked.lineageOf(uid));
    const slice = this.#index.sliceFor({ principal: keys(principal), action: keys(action), resource: keys(resource) });
    if (this.#routes.size >= MAX_ROUTES) this.#routes.clear();
    this.#routes.set(route, slice);
    return slice;
  }

  #askable(slice: Slice): Askable {
    const known = this.#slices.get(slice);
    if (known !== undefined) return known;
    const { members } = slice;
    const askable = { size: members.length, policies: () => this.#rules.policySet(members), keyOf: null };
    this.#slices.set(slice, askable);
    return askable;
  }

  #keyOf(slice: Slice, askable: Askable): KeyOf {
    askable.keyOf ??= keyFunction(
      readsTogether(slice.members.flatMap((index) => this.#rules.policies[index]?.reads ?? [])),
      {
        generation: this.#rules.generation,
        slice: slice.name,
      },
    );
    return askable.keyOf;
  }

  #evaluated(asked: Asked, slice: Pooled): EvaluatorAnswer {
    const policies = this.#pool.nameOf(slice);
    if (policies === null) return failed('the engine refused the policies');
    const schema = this.#schemaName();
    if (schema === null) return failed('the engine refused the schema');
    const call = { ...callOf(asked, policies, schema), entities: asked.entities() as CedarCall['entities'] };
    return this.#pool.run((cedar) => answerFrom(cedar.statefulIsAuthorized(call)));
  }

  #isRead(asked: Asked): boolean {
    const [policies, schema] = [this.#pool.nameOf(nothing), this.#schemaName()];
    if (policies === null || schema === null) return false;
    const call = { ...callOf(asked, policies, schema), entities: [] };
    return this.#pool.run((cedar) => cedar.statefulIsAuthorized(call).type === 'success');
  }

  #schemaName(): string | undefined | null {
    return this.#rules.schema === null ? undefined : this.#pool.schemaName(this.#rules.schema);
  }
}

const callOf = (
  { principal, action, resource, context, validateRequest }: Asked,
  policies: string,
  schema: string | undefined,
): Omit<CedarCall, 'entities'> => ({
  principal,
  action,
  resource,
  // The engine reads it itself, and says where it is no Cedar value.
  context: context as CedarCall['context'],
  preparsedPolicySetId: policies,
  ...(schema === undefined ? {} : { preparsedSchemaName: schema }),
  ...(validateRequest === undefined ? {} : { validateRequest }),
});

function answerFrom(answer: ReturnType<Cedar['statefulIsAuthorized']>): EvaluatorAnswer {
  if (answer.type === 'failure') return failed('the engine refused the question', answer.errors[0]?.message);
  const { decision, diagnostics } = answer.response;
  return {
    decision,
    reason: diagnostics.reason.toSorted(),
    errors: diagnostics.errors.map((error) => error.policyId).sort(),
  };
}
