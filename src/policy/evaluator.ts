import type { CacheResult, DecisionCache, FullAnswer } from './cache.ts';
import { nameOfThrown } from './cedar.ts';
import type { Cedar } from './cedar.ts';
import { text } from './encoding.ts';
import { entityKey } from './entities.ts';
import type { EntityUid } from './entities.ts';
import { keyFunction } from './key.ts';
import type { Keyed, KeyOf } from './key.ts';
import type { EnginePolicies, Pooled, SlicePool } from './pool.ts';
import { projection } from './projection.ts';
import type { Project, Projected } from './projection.ts';
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
  /** Whether the engine takes all of the entities for certain, and no schema says what is to be there of them. */
  readonly areEntitiesTaken: boolean;
}

/** A question in Cedar's words. */
export interface Asked extends Keyed {
  /** Equal for questions whose names are equal, and for no others. */
  readonly route: string;
  /** Called where the engine is asked, unless what entities are in is all that is read of them. */
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
  /** What follows from what its policies read; `null` until it is needed. */
  reading: Reading | null;
}

interface Reading {
  readonly keyOf: KeyOf;
  readonly project: Project;
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
      const reading = this.#cache === null || keep === null ? null : this.#reading(slice, askable);
      const key = reading?.keyOf(asked) ?? null;
      if (reading === null || key === null || keep === null || !asked.isTaken(() => this.#isRead(asked))) {
        return { answer: this.#evaluated(asked, askable), cache: 'bypass', policies };
      }
      const known = this.#cache?.get(key.key, keep.nowMs) ?? null;
      if (known !== null) return { answer: known, cache: 'hit', policies };
      const answer = this.#evaluated(asked, askable, reading.project(asked));
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
    const askable = { size: members.length, policies: () => this.#rules.policySet(members), reading: null };
    this.#slices.set(slice, askable);
    return askable;
  }

  #reading(slice: Slice, askable: Askable): Reading {
    if (askable.reading !== null) return askable.reading;
    const { generation, policies, areEntitiesTaken } = this.#rules;
    const reads = readsTogether(slice.members.flatMap((index) => policies[index]?.reads ?? []));
    askable.reading = {
      keyOf: keyFunction(reads, { generation, slice: slice.name }),
      project: areEntitiesTaken ? projection(reads) : () => null,
    };
    return askable.reading;
  }

  /** @param projected what of the question is handed to the engine; `null` for all of it */
  #evaluated(asked: Asked, slice: Pooled, projected: Projected | null = null): EvaluatorAnswer {
    const policies = this.#pool.nameOf(slice);
    if (policies === null) return failed('the engine refused the policies');
    const schema = this.#schemaName();
    if (schema === null) return failed('the engine refused the schema');
    const { context, entities } = projected ?? { context: asked.context, entities: asked.entities() };
    const call = callOf(asked, { context, entities }, { policies, schema });
    return this.#pool.run((cedar) => answerFrom(cedar.statefulIsAuthorized(call)));
  }

  #isRead(asked: Asked): boolean {
    const [policies, schema] = [this.#pool.nameOf(nothing), this.#schemaName()];
    if (policies === null || schema === null) return false;
    const call = callOf(asked, { context: asked.context, entities: [] }, { policies, schema });
    return this.#pool.run((cedar) => cedar.statefulIsAuthorized(call).type === 'success');
  }

  #schemaName(): string | undefined | null {
    return this.#rules.schema === null ? undefined : this.#pool.schemaName(this.#rules.schema);
  }
}

/** The engine reads context and entities itself, and says where they are none. */
const callOf = (
  { principal, action, resource, validateRequest }: Asked,
  { context, entities }: Projected,
  { policies, schema }: { readonly policies: string; readonly schema: string | undefined },
): CedarCall => ({
  principal,
  action,
  resource,
  context: context as CedarCall['context'],
  entities: entities as CedarCall['entities'],
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
