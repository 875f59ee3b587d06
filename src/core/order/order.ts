import { coversSpiffeId, isSpiffeIdPattern, NO_SPIFFE_ID_PATTERN } from '../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { Clocks } from '../runtime/ports.ts';
import { integer, isObject, listOf, members, oneOf, orNull, type Reader, text, textLike } from '../runtime/fields.ts';
import { isProblem, type Problem } from '../runtime/problem.ts';

/** What a stop can be about. */
export const STOP_KINDS = ['all', 'agent', 'user', 'server', 'action'] as const;

/** One of `STOP_KINDS`. */
export type StopKind = (typeof STOP_KINDS)[number];

/**
 * The `by` of an order that marks a tool as changed since its review: a stop of its action, whose calls are denied as
 * `action.changed`. Earlier versions deny them as stopped.
 */
export const TOOL_PINS = 'tool-pins';

/** What all orders have. Instants are in milliseconds since the Unix epoch. */
interface GivenOrder {
  /** Random, 16 hexadecimal digits, so that a person can type it. */
  readonly id: string;
  /** By the floor of the authority. */
  readonly madeAtMs: number;
  /** The SPIFFE ID of the operator, or who else gave it. */
  readonly by: string;
  /** Why, for people. */
  readonly because: string;
}

/** Nothing that it names is allowed, whatever the credential, and no token is issued for it. */
export interface StopOrder extends GivenOrder {
  readonly of: 'stop';
  readonly kind: StopKind;
  /**
   * By kind: a SPIFFE ID or a pattern of those (`coversSpiffeId`); the subject of tasks and external tokens, or issuer and subject with one
   * space between; the id of a server; the id of an action; and `''` for `all`.
   */
  readonly what: string;
  /** The first instant at which it is over; `null` if it holds until it is lifted. */
  readonly untilMs: number | null;
}

/** The calls that it covers are only observed: a call that would be denied is allowed. */
export interface ObserveOrder extends GivenOrder {
  readonly of: 'observe';
  /** Patterns of the SPIFFE IDs of callers (`coversSpiffeId`); `*` is every caller. */
  readonly agents: readonly string[];
  /** As those of an entry of `enforcement.yaml`; `null` for every server. */
  readonly servers: readonly string[] | null;
  readonly untilMs: number;
}

/** What an operator commands to the whole fleet at once. */
export type Order = StopOrder | ObserveOrder;

/** Limits of orders. */
export const orderLimits = Object.freeze({
  /** Most orders in force; of these, most stops of patterns and most orders to observe. */
  maxInForce: 10_000,
  maxPatterns: 256,
  maxObserving: 64,
  /** Most characters of `because`, and most entries of each list. */
  maxBecause: 200,
  maxEntries: 64,
  /** How long an order to observe lasts at most. */
  maxObserveMs: 60 * 60_000,
});

/** Bytes of an id. */
const ID_BYTES = 8;
const MAX_INSTANT = 253_402_300_799_999;

/** A new id. */
export const newOrderId = (randomBytes: (length: number) => Uint8Array): string =>
  Buffer.from(randomBytes(ID_BYTES)).toString('hex');

/** Whether a text can be the id of an order. */
export const isOrderId = (value: string): boolean => /^[0-9a-f]{16}$/.test(value);

const agentPattern = textLike('a SPIFFE ID, in whose path `*` stands for any part of a segment', isSpiffeIdPattern, {
  max: 2_048,
});
const given = {
  id: textLike('16 hexadecimal digits', isOrderId),
  madeAtMs: integer(0, MAX_INSTANT),
  by: text({ max: 2_048 }),
  because: text({ max: orderLimits.maxBecause }),
};
const named: Readonly<Record<StopKind, Reader<string>>> = {
  all: text({ min: 0, max: 0 }),
  agent: agentPattern,
  user: text({ max: 1_025 }),
  server: text({ max: 128 }),
  action: text({ max: 128 }),
};
const stop = members({
  ...given,
  of: oneOf(['stop']),
  kind: oneOf(STOP_KINDS),
  what: text({ min: 0, max: 2_048 }),
  untilMs: orNull(integer(0, MAX_INSTANT)),
});
const observe = members({
  ...given,
  of: oneOf(['observe']),
  agents: listOf(
    textLike(NO_SPIFFE_ID_PATTERN, (value) => value === '*' || isSpiffeIdPattern(value), { max: 2_048 }),
    { max: orderLimits.maxEntries },
  ),
  servers: orNull(listOf(text({ max: 256 }), { max: orderLimits.maxEntries })),
  untilMs: integer(0, MAX_INSTANT),
});

/** Reads an order: of an operator, of the state, or of an authority. An unknown member is refused, since it may narrow or widen the order. */
export function orderFrom(value: unknown): Order | Problem {
  if (!isObject(value) || value['of'] !== 'observe') return stopFrom(value);
  const order = observe(value);
  if (isProblem(order)) return order;
  const lastsMs = order.untilMs - order.madeAtMs;
  return lastsMs > 0 && lastsMs <= orderLimits.maxObserveMs
    ? order
    : { problem: 'member `untilMs` must be at most 60 minutes after `madeAtMs`' };
}

/** The order in a text of JSON, as states and authorities have it: `JSON.stringify` of an order. */
export function storedOrder(text: string): Order | Problem {
  try {
    return orderFrom(JSON.parse(text));
  } catch {
    return { problem: 'is no JSON' };
  }
}

function stopFrom(value: unknown): StopOrder | Problem {
  const order = stop(value);
  if (isProblem(order)) return order;
  const what = named[order.kind](order.what);
  if (isProblem(what)) return { problem: `member \`what\` ${what.problem}` };
  return order.untilMs === null || order.untilMs > order.madeAtMs
    ? order
    : { problem: 'member `untilMs` must be after `madeAtMs`' };
}

/** Whether a stop is of a pattern of agents. */
export const isOfPattern = (order: Order): boolean =>
  order.of === 'stop' && order.kind === 'agent' && order.what.includes('*');

/** Whether a stop of agents names the agent. */
export const stopsAgent = ({ what }: Pick<StopOrder, 'what'>, agent: SpiffeId): boolean => coversSpiffeId(what, agent);

/** The user of a stop: a subject, and the issuer that vouches for it; `null` if it is the subject of any issuer. */
export function stoppedUser({ what }: Pick<StopOrder, 'what'>): {
  readonly subject: string;
  readonly issuer: string | null;
} {
  const space = what.indexOf(' ');
  const issuer = what.slice(0, Math.max(0, space));
  return /^[a-z][a-z0-9+.-]*:\/\//.test(issuer) && space < what.length - 1
    ? { issuer, subject: what.slice(space + 1) }
    : { issuer: null, subject: what };
}

/**
 * Whether an order is in force, by the stricter clock for its kind. A stop ends once it is over by both clocks, so that a clock
 * that is ahead lifts none. An order to observe ends once it is over by either.
 */
export const isInForce = ({ of, untilMs }: Order, { wallMs, floorMs }: Pick<Clocks, 'wallMs' | 'floorMs'>): boolean =>
  untilMs === null || (of === 'stop' ? Math.min(wallMs, floorMs) : Math.max(wallMs, floorMs)) < untilMs;
