import type { SpiffeId } from '../identity/spiffe-id.ts';
import { BoundedMemo } from '../runtime/collections/bounded-memo.ts';
import type { Clocks } from '../runtime/ports.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import { isInForce, isOfPattern, stoppedUser, stopsAgent, TOOL_PINS } from './order.ts';
import type { ObserveOrder, Order, StopKind, StopOrder } from './order.ts';

/** The known parts of a call that can be stopped. */
export interface StoppableCall {
  readonly agent?: SpiffeId;
  readonly user?: { readonly subject: string; readonly issuer: string | null };
  readonly server?: string;
  readonly action?: string;
}

/** The clocks by which an order is judged. */
type NowClocks = Pick<Clocks, 'wallMs' | 'floorMs'>;

/** The kinds of stops whose text is compared exactly. */
type ExactKind = Exclude<StopKind, 'user'>;

/** Orders by what they name. Of stops of the same thing only the stop that lasts longest is kept, since it covers the others. */
interface OrderIndex {
  readonly hasStops: boolean;
  readonly exact: Readonly<Record<ExactKind, ReadonlyMap<string, StopOrder>>>;
  /** By the subject, longest first. */
  readonly users: ReadonlyMap<string, readonly StopOrder[]>;
  /** Longest first. */
  readonly patterns: readonly StopOrder[];
  /** The first stop whose pattern covers an agent, memoised: each pattern costs a comparison of texts. */
  readonly patternOf: BoundedMemo<StopOrder | null>;
  readonly observing: readonly ObserveOrder[];
  /** Tools that are not as they were reviewed, by their actions. */
  readonly changed: ReadonlyMap<string, StopOrder>;
}

/**
 * The orders in force, indexed. Immutable. A look-up costs one probe for each kind of stop, and one comparison if there are no
 * stops.
 */
export class Orders {
  /** The empty list, known to be current. */
  static readonly none: Orders = new Orders([], indexOf([]), null);

  /** All of them, as given. */
  readonly list: readonly Order[];
  /**
   * Why later orders may be missing, such as that the lease of a sidecar has run out; `null` if none are. INVARIANT: a call that no stop
   * concerns is not allowed then, whatever its credential.
   */
  readonly stale: StoreFailure | null;
  readonly #index: OrderIndex;

  private constructor(list: readonly Order[], index: OrderIndex, stale: StoreFailure | null) {
    this.list = list;
    this.stale = stale;
    this.#index = index;
  }

  static of(list: readonly Order[]): Orders {
    return list.length === 0 ? Orders.none : new Orders(list, indexOf(list), null);
  }

  /** Whether there is any stop. */
  get hasStops(): boolean {
    return this.#index.hasStops;
  }

  /** The same orders, marked as stale: later orders may be missing. */
  staleBecause(failure: StoreFailure): Orders {
    return this.stale?.detail === failure.detail ? this : new Orders(this.list, this.#index, failure);
  }

  /** The stop of one kind that holds for a text; `null` if there is none. */
  stopOf(kind: ExactKind, what: string, now: NowClocks): StopOrder | null {
    if (!this.hasStops) return null;
    const exact = this.#index.exact[kind].get(what);
    if (exact !== undefined && isInForce(exact, now)) return exact;
    return kind === 'agent' && this.#index.patterns.length > 0 ? this.#stopOfPattern(what, now) : null;
  }

  /**
   * The stop of a user; `null` if there is none.
   * @param issuer who vouches for the subject; `null` if that is not known, as for a task: then a stop of the subject of any issuer holds
   */
  stopOfUser(subject: string, issuer: string | null, now: NowClocks): StopOrder | null {
    if (!this.hasStops) return null;
    const found = this.#index.users.get(subject)?.find((stop) => {
      const { issuer: named } = stoppedUser(stop);
      return (named === null || issuer === null || named === issuer) && isInForce(stop, now);
    });
    return found ?? null;
  }

  /** The first stop, in the order of `STOP_KINDS`, that holds for what is known of a call; `null` if there is none. */
  stopFor({ agent, user, server, action }: StoppableCall, now: NowClocks): StopOrder | null {
    if (!this.hasStops) return null;
    return (
      this.stopOf('all', '', now) ??
      (agent === undefined ? null : this.stopOf('agent', agent, now)) ??
      (user === undefined ? null : this.stopOfUser(user.subject, user.issuer, now)) ??
      (server === undefined ? null : this.stopOf('server', server, now)) ??
      (action === undefined ? null : this.stopOf('action', action, now))
    );
  }

  /** The order that says that the tool of an action is not as it was reviewed; `null` if there is none. It stops nothing else. */
  changedTool(action: string, now: NowClocks): StopOrder | null {
    const found = this.#index.changed.get(action);
    return found !== undefined && isInForce(found, now) ? found : null;
  }

  /** The orders by which calls are only observed now. INVARIANT: none while `stale`, since their end may be missing. */
  observing(now: NowClocks): readonly ObserveOrder[] {
    const { observing } = this.#index;
    if (observing.length === 0 || this.stale !== null) return NO_ORDERS;
    return observing.filter((order) => isInForce(order, now));
  }

  #stopOfPattern(what: string, now: NowClocks): StopOrder | null {
    const { patternOf, patterns } = this.#index;
    // Safe: a pattern covers nothing but SPIFFE IDs.
    const find = (agent: string): StopOrder | null =>
      patterns.find((stop) => stopsAgent(stop, agent as SpiffeId)) ?? null;
    const found = patternOf.of(what, find);
    return found !== null && isInForce(found, now) ? found : null;
  }
}

function indexOf(list: readonly Order[]): OrderIndex {
  const given = list.filter((order) => order.of === 'stop').toSorted((a, b) => endOf(b) - endOf(a));
  // Stops by pins are indexed apart: an operator's stop of the same target also denies observed calls, so it must be found first.
  const stops = given.filter(({ by }) => by !== TOOL_PINS);
  const exact = {
    all: byWhat(stops, 'all'),
    agent: byWhat(stops, 'agent'),
    server: byWhat(stops, 'server'),
    action: byWhat(stops, 'action'),
  };
  return {
    hasStops: stops.length > 0,
    exact,
    users: Map.groupBy(
      stops.filter(({ kind }) => kind === 'user'),
      (stop) => stoppedUser(stop).subject,
    ),
    patterns: stops.filter(isOfPattern),
    patternOf: new BoundedMemo({ maxKeyChars: 2_048 }),
    observing: list.filter((order) => order.of === 'observe'),
    changed: byWhat(
      given.filter(({ by }) => by === TOOL_PINS),
      'action',
    ),
  };
}

/** The stops of a kind by what they name: of several that name the same, the stop that lasts longest. */
function byWhat(stops: readonly StopOrder[], of: ExactKind): ReadonlyMap<string, StopOrder> {
  const named = stops.filter(({ kind }) => kind === of).toReversed();
  return new Map(named.map((stop) => [stop.what, stop]));
}

const NO_ORDERS: readonly ObserveOrder[] = [];

const endOf = ({ untilMs }: Order): number => untilMs ?? Number.MAX_SAFE_INTEGER;
