/** What a use takes from limits over all tasks, on the wire. */
import type { ExceededLimit, LimitCount, LimitSpend } from '../limit/limit-spend.ts';
import type { LimitEffect } from '../limit/limit.ts';
import type { SettleReply, UseMessage } from './messages.ts';

type SpendMessage = UseMessage['spends'][number];
type OverMessage = NonNullable<SettleReply['settled'][number]['over']>;

const COUNTS: ReadonlySet<string> = new Set(['calls', 'amount', 'decimal', 'distinct', 'tasks'] satisfies LimitCount[]);
const EFFECTS: ReadonlySet<string> = new Set(['deny', 'suspend', 'stop'] satisfies LimitEffect[]);

const isCount = (text: string): text is LimitCount => COUNTS.has(text);
const isEffect = (text: string): text is LimitEffect => EFFECTS.has(text);

/** A spend on a limit, for the wire. */
export const limitSpendMessage = (spend: LimitSpend): SpendMessage => ({
  kind: 'limit',
  name: spend.limit,
  amount: spend.amount,
  limit: spend.max,
  measure: spend.measure,
  who: spend.who,
  window_ms: spend.windowMs,
  value: spend.value ?? '',
  effect: spend.effect,
});

/** The spend of a message of the kind `limit`; `null` if a word is unknown. Its numbers are judged by the state. */
export function limitSpendFrom(message: SpendMessage): LimitSpend | null {
  const {
    name: limit,
    amount,
    limit: max,
    measure = '',
    who = '',
    window_ms: windowMs = 0,
    value = '',
    effect = '',
  } = message;
  if (!isCount(measure) || !isEffect(effect)) return null;
  return { kind: 'limit', limit, measure, who, windowMs, amount, max, effect, ...(value === '' ? {} : { value }) };
}

/** A limit that has too little left, for the wire. */
export const overMessage = ({ limit, measure, max, used, endsMs }: ExceededLimit): OverMessage => ({
  limit,
  measure,
  max,
  used,
  ends_ms: endsMs ?? 0,
});

/** The limit of a message; `undefined` if it cannot be read. */
export function overFrom(message: OverMessage | null | undefined): ExceededLimit | undefined {
  if (message === null || message === undefined || !isCount(message.measure)) return undefined;
  const { limit, measure, max, used, ends_ms: endsMs } = message;
  return { limit, measure, max, used, endsMs };
}
