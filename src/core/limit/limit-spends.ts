import { createHash } from 'node:crypto';
import { amountOf } from '../action/budget/budget.ts';
import { TEN_THOUSANDTHS } from '../action/budget/decimal.ts';
import { allReadings } from '../action/http/http.ts';
import type { Action, ArgumentValue } from '../action/http/http.ts';
import { deny, isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { DenialFacts } from '../decision/denial-facts.ts';
import { coversSpiffeId } from '../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { BoundedMemo } from '../runtime/collections/bounded-memo.ts';
import type { Limit, LimitKey, LimitMeasure } from './limit.ts';
import type { ExceededLimit, LimitSpend, OpenTasksLimit, TaskLimits } from './limit-spend.ts';

/** A call of a verified caller, whatever its credential. */
export interface LimitedCall {
  readonly agent: SpiffeId;
  /** The subject of its token, or the agent itself: not who vouches for it, since a task does not know that. */
  readonly user: string;
  readonly action: Action;
  /** Whether the call is only observed: it is counted, and suspends and stops nothing. */
  readonly isObserved: boolean;
}

type AmountMeasure = Extract<LimitMeasure, { readonly of: 'amount' }>;

/**
 * What a call takes from limits over all tasks: of each counter the most that any of its readings takes. Empty if no limit
 * concerns it. A session action takes nothing, and a message that continues a call takes no more than the amounts and values that
 * it brings. Denies with `action.arguments` if an argument that is summed is missing or not a number of 0 or more, or if no limit
 * counts the currency.
 */
export function limitSpends(limits: readonly Limit[], call: LimitedCall): readonly LimitSpend[] | Deny {
  const ofAgent = limitsForAgent(limits, call.agent);
  if (ofAgent.length === 0) return NONE;
  const most = new Map<string, LimitSpend>();
  for (const reading of allReadings(call.action)) {
    const spends = spendsOfReading(ofAgent, call, reading);
    if (isDeny(spends)) return spends;
    for (const spend of spends) {
      const counter = JSON.stringify([spend.limit, spend.measure, spend.who, spend.value ?? '']);
      const other = most.get(counter);
      if (other === undefined || other.amount < spend.amount) most.set(counter, spend);
    }
  }
  return [...most.values()];
}

function spendsOfReading(
  limits: readonly Limit[],
  { agent, user, isObserved }: LimitedCall,
  action: Action,
): readonly LimitSpend[] | Deny {
  if (action.isSession) return NONE;
  const spends: LimitSpend[] = [];
  const unmatched = new Map<string, AmountMeasure>();
  const matched = new Set<string>();
  for (const limit of limits) {
    if (limit.windowMs === null || limit.actions?.includes(action.id) === false) continue;
    const server = action.server.id;
    const counter = {
      kind: 'limit' as const,
      limit: limit.id,
      who: limitWho(limit.per, { agent, user, server }),
      windowMs: limit.windowMs,
      effect: isObserved ? ('deny' as const) : limit.effect,
      ...(isObserved && limit.effect !== 'deny' ? { isUnshared: true as const } : {}),
    };
    for (const measure of limit.measures) {
      if (measure.of === 'tasks' || measure.of === 'openTasks') continue;
      const { max } = measure;
      if (measure.of === 'calls') {
        if (action.continues === undefined) spends.push({ ...counter, measure: 'calls', amount: 1, max });
        continue;
      }
      if (comesLater(action, measure.argument)) continue;
      const value = action.args.get(measure.argument);
      if (measure.of === 'distinct') {
        spends.push({ ...counter, measure: 'distinct', amount: 1, max, value: valueDigest(value) });
        continue;
      }
      if (measure.currency !== null && action.args.get(measure.currency.argument) !== measure.currency.value) {
        unmatched.set(measure.argument, measure);
        continue;
      }
      const amount = amountOf(value, measure.isDecimal);
      if (amount === null) return notANumber(limit.id, measure);
      matched.add(measure.argument);
      spends.push({ ...counter, measure: measure.isDecimal ? 'decimal' : 'amount', amount, max });
    }
  }
  // Otherwise an agent could spend without a limit in a currency that no limit counts.
  for (const [argument, measure] of unmatched) if (!matched.has(argument)) return otherCurrency(measure);
  return spends;
}

/** Whether another message brings the argument: an answer that is still to come, or the call that this message continues. */
const comesLater = ({ continues, unanswered }: Action, argument: string): boolean =>
  continues?.answered.has(argument) === false || unanswered?.includes(argument) === true;

/** Digest of the type and the whole value, so that two values never count as one. A missing argument counts as a value too. */
export const valueDigest = (value: ArgumentValue | undefined): string =>
  createHash('sha256')
    .update(JSON.stringify([typeof value, value ?? null]))
    .digest('base64url');

function notANumber(id: string, { argument: name, isDecimal }: AmountMeasure): Deny {
  const expected = isDecimal ? 'a number of 0 or more' : 'a whole number of 0 or more';
  return deny('action.arguments', `limit \`${id}\` needs \`${name}\`, ${expected}`, {
    clientFacts: { argument: { name, expected } },
  });
}

function otherCurrency({ currency }: AmountMeasure): Deny {
  const name = currency?.argument ?? '';
  return deny('action.arguments', `no limit counts this value of \`${name}\``, {
    clientFacts: { argument: { name, expected: 'a currency that a limit counts' } },
  });
}

/** What a new task must be within: the counters of declared tasks, and how many may be open. */
export function taskLimitsFor(
  limits: readonly Limit[],
  { agent, user, server }: { readonly agent: SpiffeId; readonly user: string; readonly server: string },
): TaskLimits {
  const spends: LimitSpend[] = [];
  const open: OpenTasksLimit[] = [];
  for (const { agents, id: limit, measures, per, effect, windowMs } of limitsForAgent(limits, agent)) {
    const who = limitWho(per, { agent, user, server });
    for (const { of, max } of measures) {
      if (of === 'tasks' && windowMs !== null) {
        spends.push({ kind: 'limit', limit, measure: 'tasks', who, windowMs, amount: 1, max, effect });
      } else if (of === 'openTasks') {
        const [ofAgent, ofUser] = [per.includes('agent') ? agent : null, per.includes('user') ? user : null];
        open.push({ limit, who, max, effect, agents, agent: ofAgent, subject: ofUser });
      }
    }
  }
  return { spends, open };
}

/** `LimitSpend.who`: JSON, so that no two lists of values make one text. */
export const limitWho = (per: readonly LimitKey[], values: Readonly<Record<LimitKey, string>>): string =>
  JSON.stringify(per.map((key) => values[key]));

/** The limits of each agent, memoised by the limits of a policy set, which never change. */
const ofAgents = new WeakMap<readonly Limit[], BoundedMemo<readonly Limit[]>>();

/** The limits whose patterns cover an agent. */
export function limitsForAgent(limits: readonly Limit[], agent: SpiffeId): readonly Limit[] {
  if (limits.length === 0) return NONE;
  let known = ofAgents.get(limits);
  if (known === undefined) {
    known = new BoundedMemo<readonly Limit[]>({ maxKeyChars: 2_048 });
    ofAgents.set(limits, known);
  }
  return known.of(agent, () => limits.filter(({ agents }) => agents.some((pattern) => isOfPattern(pattern, agent))));
}

const isOfPattern = (pattern: string, agent: SpiffeId): boolean => pattern === '*' || coversSpiffeId(pattern, agent);

const NONE: readonly never[] = [];

/**
 * The denial by a limit that has too little left: its cause is the text that the caller gets, so that records have it too.
 * @param limits those of the set by which the call was decided
 */
export function limitExceeded(over: ExceededLimit, limits: readonly Limit[]): Deny {
  const limit = exceededFacts(over, limits);
  const detail = `limit \`${limit.id}\` of ${limit.counts}: ${limit.used} of ${limit.max} used, until ${limit.ends}`;
  return deny('limit.exceeded', detail, { clientFacts: { limit } });
}

function exceededFacts(
  { endsMs, limit: id, max, measure, used }: ExceededLimit,
  limits: readonly Limit[],
): NonNullable<DenialFacts['limit']> {
  const unit = measure === 'decimal' ? TEN_THOUSANDTHS : 1;
  return {
    id,
    counts: limitCountsOf(
      measure,
      limits.find((limit) => limit.id === id),
    ),
    max: max / unit,
    used: used / unit,
    ends: endsMs === null ? 'a task ends' : new Date(endsMs).toISOString().replace('.000Z', 'Z'),
  };
}

/** What a counter of a limit counts, in words: `calls`, `amount EUR`, `different account`, `tasks`, `open tasks`. */
export function limitCountsOf(measure: ExceededLimit['measure'], limit: Limit | undefined): string {
  if (measure === 'calls' || measure === 'tasks') return measure;
  if (measure === 'openTasks') return 'open tasks';
  const found = limit?.measures.find(({ of }) => of === (measure === 'distinct' ? 'distinct' : 'amount'));
  if (measure === 'distinct') return found?.of === 'distinct' ? `different ${found.argument}` : 'different values';
  return found?.of === 'amount' && found.currency !== null ? `amount ${found.currency.value}` : 'amount';
}
