/** Tries limits over all tasks on recorded uses and declarations: what they would have denied, by limit and key. */
import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import type { JsonValue } from '../../../core/ledger/canonical-json.ts';
import { enforcedUse } from '../../../core/ledger/enforced-use.ts';
import type { UseRecord } from '../../../core/ledger/record.ts';
import { useFrom } from '../../../core/ledger/recorded-use.ts';
import type { LimitSpend } from '../../../core/limit/limit-spend.ts';
import { limitCountsOf, limitSpends, taskLimitsFor } from '../../../core/limit/limit-spends.ts';
import type { Limit, LimitMeasure } from '../../../core/limit/limit.ts';
import { integer, members, oneOf, optional, orNull, text } from '../../../core/runtime/fields.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { recordedAction } from './recorded-attempt.ts';
import { RecordedLimits } from './recorded-limits.ts';
import type { Untried } from './recorded-limits.ts';
import { TriedCounter } from './tried-counter.ts';
import type { TriedAttempt, TriedDenial, TriedKey } from './tried-counter.ts';

/** What one measure of a limit would have denied. */
export interface TriedLimit {
  readonly limit: string;
  readonly measure: LimitSpend['measure'] | 'openTasks';
  /** In words: `calls`, `amount EUR`, `different account`, `tasks`, `open tasks`. */
  readonly counts: string;
  readonly max: number;
  readonly windowMs: number | null;
  /** Whose uses were counted: those that would have been denied most first, then those that came nearest. */
  readonly keys: readonly TriedKey[];
}

/** What limits would have done to recorded uses and declarations. */
export interface LimitTrialReport {
  /** In the order of the file, and of its measures. */
  readonly limits: readonly TriedLimit[];
  readonly untried: readonly Untried[];
  /** Uses and declarations that at least one limit counted. */
  readonly counted: number;
  /** Those of them that would have been denied. */
  readonly denied: number;
  /** Those that were not counted, because they needed a counter beyond the first 100,000. */
  readonly left: number;
}

/** Most counters that are kept. */
const MAX_COUNTERS = 100_000;
/** Most uses that can be withdrawn: the record that withdraws a use follows it closely. */
const MAX_RECENT = 1_024;
/** Most tasks whose user is remembered, and most open tasks that are followed. */
const MAX_TASKS = 100_000;

type TrialSet = { readonly limits: readonly Limit[]; readonly catalog: Pick<Catalog, 'actions'> };

/**
 * Counts what was allowed, and what a limit denied, as if only these limits had been in force. What would have been denied is not counted, and has
 * no further effect: an agent that `then: stop` would have stopped goes on. Records are added in the order of their instants.
 */
export class LimitTrial {
  readonly #set: TrialSet;
  readonly #subjectOf: (task: string) => string | null;
  readonly #counters = new Map<string, { readonly counter: TriedCounter; readonly of: CounterOf }>();
  readonly #recorded: RecordedLimits;
  readonly #open = new Map<string, readonly TriedCounter[]>();
  /** What undoes a use, by its decision id. */
  readonly #recent = new Map<string, TriedDenial>();
  readonly #subjects = new Map<string, string>();
  #counted = 0;
  #denied = 0;
  #left = 0;

  /** @param subjectOf the subject of a task that was declared before the records; `null` if it is not known */
  constructor(set: TrialSet, subjectOf: (task: string) => string | null) {
    this.#set = set;
    this.#recorded = new RecordedLimits(set.limits);
    this.#subjectOf = subjectOf;
  }

  /** Adds a record. `foreign` if it is malformed; records of other kinds are passed over. */
  add(record: { readonly [name: string]: JsonValue }): 'foreign' | null {
    const { kind, task } = record;
    if (kind === 'end' && typeof task === 'string') this.#ended(task);
    if (kind === 'intent') {
      const intent = intentMembers(record);
      if (isProblem(intent)) return 'foreign';
      this.#declared(intent);
    }
    if (kind === 'use') {
      const use = useFrom(record);
      if (isProblem(use)) return 'foreign';
      this.#use(enforcedUse(use));
    }
    return null;
  }

  report(): LimitTrialReport {
    const limits = this.#set.limits.flatMap((limit) =>
      limit.measures.map((measure): TriedLimit => {
        const name = measureName(measure);
        const keys = Array.from(this.#counters.values())
          .filter(({ of }) => of.limit === limit.id && of.measure === name)
          .map(({ counter }) => counter.result())
          .toSorted((a, b) => b.denied - a.denied || b.most - a.most);
        const windowMs = name === 'openTasks' ? null : limit.windowMs;
        return { limit: limit.id, measure: name, counts: limitCountsOf(name, limit), max: measure.max, windowMs, keys };
      }),
    );
    return {
      limits,
      untried: this.#recorded.untried(),
      counted: this.#counted,
      denied: this.#denied,
      left: this.#left,
    };
  }

  #use(use: UseRecord): void {
    if (use.withdraws !== undefined) this.#withdraw(use.withdraws);
    if (use.decision === 'deny' && use.reason !== 'limit.exceeded') return;
    const agent = use.agent === null ? null : spiffeIdFrom(use.agent);
    const entry = use.action === null ? undefined : this.#set.catalog.actions.get(use.action);
    if (agent === null || isDeny(agent) || entry === undefined || entry.isSession) return;
    const user = this.#userOf(use, agent);
    const action = recordedAction(entry, use);
    const known = { agent, hasUser: user !== null, args: new Set(action.args.keys()) };
    const limits = this.#recorded.limitsOf(entry.id, known);
    const spends = limitSpends(limits, { agent, user: user ?? '', action, isObserved: false });
    // An amount in another currency is denied whatever was counted.
    if (!isDeny(spends)) this.#settle(spends, { atMs: use.at, decisionId: use.decisionId });
  }

  #userOf({ credential, task }: UseRecord, agent: SpiffeId): string | null {
    if (credential === 'workload-identity') return agent;
    return task === null ? null : (this.#subjects.get(task) ?? this.#subjectOf(task));
  }

  #declared({ agent: shown, subject, task, decision, reason, at: atMs, decisionId, deadline }: Declared): void {
    if (decision === 'deny' && reason !== 'limit.exceeded') return;
    const agent = shown === null ? null : spiffeIdFrom(shown);
    if (agent === null || isDeny(agent)) return;
    const user = subject ?? agent;
    if (task !== null && this.#subjects.size < MAX_TASKS) this.#subjects.set(task, user);
    const { spends, open } = taskLimitsFor(this.#set.limits, { agent, user, server: '' });
    const places = open.flatMap(({ limit, who, max }) => {
      const counter = this.#counter({ limit, measure: 'openTasks', who });
      return counter === null ? [] : [{ counter, max }];
    });
    const attempted = { atMs, decisionId };
    const full = places.filter(({ counter, max }) => !counter.hasPlace(max, atMs));
    for (const { counter } of full) counter.deny(attempted).keep();
    if (full.length > 0) {
      this.#counted += 1;
      this.#denied += 1;
      return;
    }
    if (!this.#settle(spends, attempted, places.length > 0) || task === null || this.#open.size >= MAX_TASKS) return;
    for (const { counter } of places) counter.open(task, deadline ?? Infinity);
    if (places.length > 0)
      this.#open.set(
        task,
        places.map(({ counter }) => counter),
      );
  }

  #ended(task: string): void {
    for (const counter of this.#open.get(task) ?? []) counter.end(task);
    this.#open.delete(task);
  }

  /** Takes all, or nothing; whether it was taken. */
  #settle(spends: readonly LimitSpend[], attempted: TriedAttempt, isCounted = spends.length > 0): boolean {
    const counters = spends.map((spend) => ({ spend, counter: this.#counter(spend) }));
    if (counters.some(({ counter }) => counter === null)) {
      this.#left += 1;
      return false;
    }
    if (isCounted) this.#counted += 1;
    const over = counters.filter(({ spend, counter }) => counter?.hasRoom(spend, attempted.atMs) === false);
    const denials = over.flatMap(({ counter }) => counter?.deny(attempted) ?? []);
    const isDenied = denials.length > 0;
    if (isDenied) this.#denied += 1;
    else for (const { spend, counter } of counters) counter?.take(spend.amount, spend.value);
    this.#remember(attempted.decisionId, {
      withdraw: () => {
        if (isCounted) this.#counted -= 1;
        if (isDenied) this.#denied -= 1;
        for (const denial of denials) denial.withdraw();
        if (!isDenied) for (const { spend, counter } of counters) counter?.giveBack(spend, attempted.atMs);
      },
      keep: () => {
        for (const denial of denials) denial.keep();
      },
    });
    return !isDenied;
  }

  #remember(decisionId: string, use: TriedDenial): void {
    this.#recent.set(decisionId, use);
    const [oldest] = this.#recent.entries().take(1);
    if (this.#recent.size <= MAX_RECENT || oldest === undefined) return;
    const [id, { keep }] = oldest;
    keep();
    this.#recent.delete(id);
  }

  /** An allow that was withdrawn before it was answered took nothing, and nothing of it would have been denied. */
  #withdraw(decisionId: string): void {
    this.#recent.get(decisionId)?.withdraw();
    this.#recent.delete(decisionId);
  }

  #counter(of: CounterOf): TriedCounter | null {
    const key = JSON.stringify([of.limit, of.measure, of.who]);
    const known = this.#counters.get(key);
    if (known !== undefined) return known.counter;
    if (this.#counters.size >= MAX_COUNTERS) return null;
    const counter = new TriedCounter(of.who);
    this.#counters.set(key, { counter, of: { limit: of.limit, measure: of.measure, who: of.who } });
    return counter;
  }
}

interface CounterOf {
  readonly limit: string;
  readonly measure: TriedLimit['measure'];
  readonly who: string;
}

const measureName = (measure: LimitMeasure): TriedLimit['measure'] =>
  measure.of === 'amount' && measure.isDecimal ? 'decimal' : measure.of;

const words = text({ min: 0, max: 65_536 });

/** The members of an intent that limits read. */
const intentMembers = members(
  {
    at: integer(0, 8.64e15),
    decisionId: words,
    decision: oneOf(['allow', 'deny']),
    reason: optional(orNull(words)),
    task: orNull(words),
    agent: orNull(words),
    subject: optional(orNull(words)),
    deadline: optional(orNull(integer(0, 8.64e15))),
  },
  { others: 'ignored' },
);

type Declared = Extract<ReturnType<typeof intentMembers>, { readonly at: number }>;
