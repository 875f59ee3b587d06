import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { decimalFrom, tenThousandthsOf } from '../../../core/action/budget/decimal.ts';
import type { LearntCall } from '../learnt-call.ts';
import type { Room } from '../seen/room.ts';
import { SeenCalls } from '../seen/seen-calls.ts';
import { summedArgument } from './summed-argument.ts';
import { SeenSums } from './seen-sums.ts';

/** How the existing policies answer a call. A call that no policy permits can be learnt; a forbidden call cannot. */
export type GivenAnswer = 'permitted' | 'not-permitted' | 'forbidden';

/** How often policies gave each answer. */
export type GivenAnswers = { readonly [answer in GivenAnswer]: number };

/** The calls to an action that the catalog has: who made them, how the policies answer, and the sums of its amount. */
export class KnownCalls {
  readonly action: CatalogAction;
  readonly calls = new SeenCalls();
  readonly #answers = new Map<string, { [answer in GivenAnswer]: number }>();
  readonly #sums = new Map<string, SeenSums>();

  constructor(action: CatalogAction) {
    this.action = action;
  }

  /** Adds a call; `false` if there is no room for it. */
  add(call: LearntCall, answer: GivenAnswer, room: Room): boolean {
    const { agent } = call;
    if (!this.calls.add(call, room)) return false;
    const answers = this.#answers.get(agent) ?? { permitted: 0, 'not-permitted': 0, forbidden: 0 };
    answers[answer] += 1;
    this.#answers.set(agent, answers);
    const summed = summedArgument(this.action);
    if (summed === null) return true;
    const sums = this.#sums.get(agent) ?? new SeenSums();
    this.#sums.set(agent, sums);
    const sent = call.args !== undefined && Object.hasOwn(call.args, summed.name) ? call.args[summed.name] : undefined;
    if (summed.type === 'long') {
      if (typeof sent === 'number') sums.add(call, sent, room);
      return true;
    }
    const decimal = decimalFrom(sent);
    if (decimal !== null) sums.add(call, tenThousandthsOf(decimal), room);
    return true;
  }

  /** How the policies answer an agent. */
  answersTo(agent: string): GivenAnswers {
    return this.#answers.get(agent) ?? { permitted: 0, 'not-permitted': 0, forbidden: 0 };
  }

  /** The sums of its amount in the calls of an agent; `null` if it has none. */
  sumsOf(agent: string): SeenSums | null {
    return this.#sums.get(agent) ?? null;
  }
}
