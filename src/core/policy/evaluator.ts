import { AnswerMemory } from './answers/cache.ts';
import type { CacheResult, DecisionCache, FullAnswer, Lasting } from './answers/cache.ts';
import { nameOfThrown } from './cedar.ts';
import type { Cedar } from './cedar.ts';
import { encodedText } from './answers/encoding.ts';
import { entityKey } from './entities.ts';
import type { EntityUid } from './entities.ts';
import { splitByVolatility, combinedAnswer } from './answers/split-by-volatility.ts';
import { keyFunction } from './answers/key.ts';
import type { Keyed, KeyOf, SlicePart } from './answers/key.ts';
import type { EnginePolicies, Pooled, SlicePool } from './pool.ts';
import { trimmerFor } from './answers/trim-question.ts';
import type { TrimQuestion, TrimmedQuestion } from './answers/trim-question.ts';
import { readsTogether } from './answers/reads.ts';
import type { Reads } from './answers/reads.ts';
import { anyScope, keysOfEntity } from './answers/scope.ts';
import type { Scope } from './answers/scope.ts';
import { SliceIndex } from './answers/slice.ts';
import type { Slice } from './answers/slice.ts';
import { BoundedMemo } from '../runtime/collections/bounded-memo.ts';

/** Facts about a policy besides its text. */
export interface PolicyFacts {
  readonly scope: Scope;
  readonly reads: Reads;
}

/** What an evaluator evaluates; immutable. */
export interface EvaluatorRules {
  /** Identifies policies, schema and entities. */
  readonly generation: string;
  readonly policies: readonly PolicyFacts[];
  /** The policies with these indices, in the engine's format. */
  readonly policySet: (members: readonly number[]) => EnginePolicies;
  /** The schema in the engine's format; `null` if questions are evaluated without a schema. */
  readonly schema: unknown;
  /** The index of the policies' scopes, if it was built before. Default: built here. */
  readonly index?: SliceIndex | undefined;
  /** Whether the engine is known to accept all entities and no schema requires data of them. */
  readonly areEntitiesAccepted: boolean;
}

/** A question in Cedar's terms. */
export interface CedarQuestion extends Keyed {
  /** Equal exactly for questions with equal names. */
  readonly route: string;
  /** The entities for the engine; called unless only ancestors are read of them. */
  readonly entities: () => readonly unknown[];
  /** Whether the engine accepts the question; called if the engine might otherwise be skipped. */
  readonly isAccepted: (engine: EngineProbe) => boolean;
  readonly validateRequest?: boolean;
}

/** Has the engine parse a question without policies and entities. Returns whether it accepts it. */
export type EngineProbe = () => boolean;

/** Why there is no answer. */
export interface EvaluatorFailure {
  readonly failure: string;
  /** The engine's message, which may quote the question. */
  readonly said: string | null;
}

/** The engine's answer, or why there is none. */
export type EvaluatorAnswer = FullAnswer | EvaluatorFailure;

/** Whether there is no answer. */
export const isFailure = (answer: EvaluatorAnswer): answer is EvaluatorFailure => 'failure' in answer;

const failed = (failure: string, said: string | null = null): EvaluatorFailure => ({ failure, said });

/** How long an answer may be cached. */
export interface Keeping {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** The latest instant until which the answer may be cached. */
  readonly untilMs: number;
}

/** Optimisations; answers are the same without them. */
export interface EvaluatorOptions {
  /** `false` evaluates every policy for each question. */
  readonly slices: boolean;
  /** `null` calls the engine each time. */
  readonly cache: DecisionCache | null;
  /**
   * Whether policies with these reads are volatile: their answer rarely repeats. The steady policies of a slice then have a
   * cached answer of their own, so that a new question is put to the volatile policies only. Default: none is.
   */
  readonly varies?: (reads: Reads) => boolean;
}

/** A slice as it is evaluated. */
interface Askable extends Pooled {
  /** Derived from what its policies read; `null` until needed. */
  reading: Reading | null;
  /** Its steady and volatile policies; `null` if all are of one kind; `undefined` until needed. */
  split: AskableSplit | null | undefined;
}

interface AskableSplit {
  readonly steady: Pooled & Reading;
  readonly varying: Pooled & Pick<Reading, 'project'>;
}

/** An answer, and until when it may be cached. */
interface Answered {
  readonly answer: EvaluatorAnswer;
  readonly untilMs: number;
}

interface Reading {
  readonly keyOf: KeyOf;
  readonly project: TrimQuestion;
}

type CedarCall = Parameters<Cedar['statefulIsAuthorized']>[0];

/** The names of a question as one text. */
export const routeOf = (...names: readonly EntityUid[]): string =>
  names.map((uid) => encodedText(entityKey(uid))).join('');

/** The answer if no policy can match. */
const NOTHING_MATCHES = Object.freeze({
  answer: Object.freeze({ decision: 'deny', reason: [], errors: [] }),
  cache: 'bypass',
  policies: 0,
});

const MAX_ROUTES = 16_384;
const MAX_ROUTE_CHARS = 8_388_608;
/** Most cached answers of steady policies. */
const MAX_STEADY = 4096;
const nothing: Pooled = { key: {}, size: 0, policies: () => ({}) };

/**
 * Evaluates questions with the slice of policies that can match, from the cache if possible. Answers are the same with and
 * without slices and cache. Never throws.
 */
export class Evaluator {
  readonly #rules: EvaluatorRules;
  readonly #pool: SlicePool;
  readonly #cache: DecisionCache | null;
  readonly #varies: (reads: Reads) => boolean;
  readonly #index: SliceIndex;
  readonly #slices = new WeakMap<Slice, Askable>();
  readonly #steady = new AnswerMemory(MAX_STEADY);
  /** Slices memoised by the names in a question: the ancestors of a name depend on nothing else. */
  readonly #routes = new BoundedMemo<Slice>({ maxKeys: MAX_ROUTES, maxChars: MAX_ROUTE_CHARS, maxKeyChars: 8_192 });

  constructor(rules: EvaluatorRules, pool: SlicePool, { slices, cache, varies = () => false }: EvaluatorOptions) {
    this.#rules = rules;
    this.#pool = pool;
    this.#cache = cache;
    this.#varies = varies;
    this.#index = rules.index ?? new SliceIndex(rules.policies.map(({ scope }) => (slices ? scope : anyScope)));
  }

  /** Number of slices kept. */
  get slices(): number {
    return this.#index.size;
  }

  /** Answers a question; without `keep` the cache is not used. */
  ask(
    asked: CedarQuestion,
    keep: Keeping | null,
  ): { readonly answer: EvaluatorAnswer; readonly cache: CacheResult; readonly policies: number } {
    try {
      const slice = this.#sliceOf(asked);
      const askable = this.#askable(slice);
      const policies = slice.members.length;
      if (policies === 0 && asked.isAccepted(() => this.#isRead(asked))) return NOTHING_MATCHES;
      const reading = this.#cache === null || keep === null ? null : this.#reading(slice, askable);
      const key = reading?.keyOf(asked) ?? null;
      if (reading === null || key === null || keep === null || !asked.isAccepted(() => this.#isRead(asked))) {
        return { answer: this.#evaluated(asked, askable), cache: 'bypass', policies };
      }
      const known = this.#cache?.get(key.key, keep.nowMs) ?? null;
      if (known !== null) return { answer: known, cache: 'hit', policies };
      const lasting = { nowMs: keep.nowMs, untilMs: Math.min(keep.untilMs, key.untilMs) };
      const { answer, untilMs } = this.#bySplit(asked, lasting, this.#splitOf(slice, askable)) ?? {
        answer: this.#evaluated(asked, askable, reading.project(asked)),
        untilMs: lasting.untilMs,
      };
      if (!isFailure(answer)) this.#cache?.set(key.key, answer, { ...lasting, untilMs });
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
  members(asked: CedarQuestion): readonly number[] {
    return this.#sliceOf(asked).members;
  }

  #sliceOf(asked: CedarQuestion): Slice {
    const { principal, action, resource, route } = asked;
    const known = this.#routes.get(route);
    if (known !== undefined) return known;
    const keys = (uid: typeof principal): readonly string[] => keysOfEntity(uid, asked.lineageOf(uid));
    const slice = this.#index.sliceFor({ principal: keys(principal), action: keys(action), resource: keys(resource) });
    this.#routes.set(route, slice);
    return slice;
  }

  /**
   * The answer of a slice from its split; `null` if that is not possible. INVARIANT: an answer derived from a cached answer is not
   * cached longer than that answer.
   */
  #bySplit(asked: CedarQuestion, lasting: Lasting, split: AskableSplit | null): Answered | null {
    const known = split === null ? null : this.#steadyAnswer(asked, lasting, split.steady);
    if (split === null || known === null || isFailure(known.answer)) return null;
    const answer = this.#evaluated(asked, split.varying, split.varying.project(asked));
    return isFailure(answer) ? null : { answer: combinedAnswer(known.answer, answer), untilMs: known.untilMs };
  }

  #steadyAnswer(asked: CedarQuestion, lasting: Lasting, steady: AskableSplit['steady']): Answered | null {
    const key = steady.keyOf(asked)?.key;
    if (key === undefined) return null;
    const { nowMs, untilMs } = lasting;
    const kept = this.#steady.get(key, nowMs);
    // An answer near its end is evaluated again: answers derived from it would expire just as soon.
    if (kept !== null && kept.untilMs - nowMs >= (untilMs - nowMs) / 2)
      return { answer: kept.answer, untilMs: Math.min(untilMs, kept.untilMs) };
    const answer = this.#evaluated(asked, steady, steady.project(asked));
    if (!isFailure(answer)) this.#steady.set(key, answer, lasting);
    return { answer, untilMs };
  }

  #askable(slice: Slice): Askable {
    const known = this.#slices.get(slice);
    if (known !== undefined) return known;
    const askable = { ...this.#pooled(slice.members), reading: null, split: undefined };
    this.#slices.set(slice, askable);
    return askable;
  }

  #pooled(members: readonly number[]): Pooled {
    return { key: {}, size: members.length, policies: () => this.#rules.policySet(members) };
  }

  #reading(slice: Slice, askable: Askable): Reading {
    askable.reading ??= this.#readingOf(slice.members, { slice: slice.name, part: 'whole' });
    return askable.reading;
  }

  #splitOf(slice: Slice, askable: Askable): AskableSplit | null {
    if (askable.split !== undefined) return askable.split;
    const split = splitByVolatility(slice.members, this.#isVarying);
    askable.split =
      split === null
        ? null
        : {
            steady: {
              ...this.#pooled(split.steady),
              ...this.#readingOf(split.steady, { slice: slice.name, part: 'steady' }),
            },
            varying: { ...this.#pooled(split.varying), project: this.#projectionOf(this.#readsOf(split.varying)) },
          };
    return askable.split;
  }

  readonly #isVarying = (index: number): boolean => {
    const policy = this.#rules.policies[index];
    return policy === undefined || this.#varies(policy.reads);
  };

  #readingOf(members: readonly number[], of: { readonly slice: string; readonly part: SlicePart }): Reading {
    const reads = this.#readsOf(members);
    return {
      keyOf: keyFunction(reads, { generation: this.#rules.generation, ...of }),
      project: this.#projectionOf(reads),
    };
  }

  #readsOf(members: readonly number[]): Reads {
    return readsTogether(members.flatMap((index) => this.#rules.policies[index]?.reads ?? []));
  }

  #projectionOf(reads: Reads): TrimQuestion {
    return this.#rules.areEntitiesAccepted ? trimmerFor(reads) : () => null;
  }

  /** @param projected the trimmed question; `null` for the full question */
  #evaluated(asked: CedarQuestion, slice: Pooled, projected: TrimmedQuestion | null = null): EvaluatorAnswer {
    const policies = this.#pool.nameOf(slice);
    if (policies === null) return failed('the engine refused the policies');
    const schema = this.#schemaName();
    if (schema === null) return failed('the engine refused the schema');
    const { context, entities } = projected ?? { context: asked.context, entities: asked.entities() };
    const call = callOf(asked, { context, entities }, { policies, schema });
    return this.#pool.run((cedar) => answerFrom(cedar.statefulIsAuthorized(call)));
  }

  #isRead(asked: CedarQuestion): boolean {
    const [policies, schema] = [this.#pool.nameOf(nothing), this.#schemaName()];
    if (policies === null || schema === null) return false;
    const call = callOf(asked, { context: asked.context, entities: [] }, { policies, schema });
    return this.#pool.run((cedar) => cedar.statefulIsAuthorized(call).type === 'success');
  }

  #schemaName(): string | undefined | null {
    return this.#rules.schema === null ? undefined : this.#pool.schemaName(this.#rules.schema);
  }
}

/** The engine parses context and entities itself and reports invalid values. */
const callOf = (
  { principal, action, resource, validateRequest }: CedarQuestion,
  { context, entities }: TrimmedQuestion,
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
