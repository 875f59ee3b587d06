import type { SpiffeId } from '../identity/spiffe-id.ts';
import { BoundedMemo } from '../runtime/collections/bounded-memo.ts';
import type { Clocks } from '../runtime/ports.ts';
import type { StoreFailure } from '../runtime/store-failure.ts';
import { isInForce, isOfPattern, stoppedUser, stopsAgent } from './order.ts';
import type { ObserveOrder, Order, StopKind, StopOrder } from './order.ts';

/** What of a call can be stopped, as far as it is known. */
export interface StoppableCall {
  readonly agent?: SpiffeId;
  readonly user?: { readonly subject: string; readonly issuer: string | null };
  readonly server?: string;
  readonly action?: string;
}

/** By which an order is judged. */
type NowClocks = Pick<Clocks, 'wallMs' | 'floorMs'>;

/** The kinds of stops whose text is compared as it is. */
type ExactKind = Exclude<StopKind, 'user'>;

/**
 * The orders in force, indexed. Immutable. A look costs one probe for each kind of stop, and one comparison if there are no stops. Of stops of
 * the same thing only the one that lasts longest is kept, since it covers the others.
 */
export class Orders {
  /** No orders, of which that is certain. */
  static readonly none: Orders = new Orders([], null);

  /** All of them, as given. */
  readonly list: readonly Order[];
  /**
   * Why later orders may be missing, such as that the lease of a sidecar has run out; `null` if none are. INVARIANT: a call that no stop
   * concerns is not allowed then, whatever its credential.
   */
  readonly stale: StoreFailure | null;
  /** Whether there is any stop. */
  readonly hasStops: boolean;
  readonly #exact: Readonly<Record<ExactKind, Map<string, StopOrder>>> = {
    all: new Map(),
    agent: new Map(),
    server: new Map(),
    action: new Map(),
  };
  /** By the subject, longest first. */
  readonly #users = new Map<string, StopOrder[]>();
  /** Longest first. */
  readonly #patterns: readonly StopOrder[];
  /** The first pattern that an agent is of, since each costs a comparison of texts. */
  readonly #patternOf = new BoundedMemo<StopOrder | null>({ maxKeyChars: 2_048 });
  readonly #observing: readonly ObserveOrder[];

  private constructor(list: readonly Order[], stale: StoreFailure | null) {
    this.list = list;
    this.stale = stale;
    const stops = list.filter((order) => order.of === 'stop').toSorted((a, b) => endOf(b) - endOf(a));
    this.hasStops = stops.length > 0;
    this.#observing = list.filter((order) => order.of === 'observe');
    this.#patterns = stops.filter(isOfPattern);
    for (const stop of stops) this.#add(stop);
  }

  static of(list: readonly Order[]): Orders {
    return list.length === 0 ? Orders.none : new Orders(list, null);
  }

  /** The same orders, of which it is not known whether there are later ones. */
  staleBecause(failure: StoreFailure): Orders {
    return new Orders(this.list, failure);
  }

  /** The stop of one kind that holds for a text; `null` if there is none. */
  stopOf(kind: ExactKind, what: string, now: NowClocks): StopOrder | null {
    if (!this.hasStops) return null;
    const exact = this.#exact[kind].get(what);
    if (exact !== undefined && isInForce(exact, now)) return exact;
    return kind === 'agent' && this.#patterns.length > 0 ? this.#stopOfPattern(what, now) : null;
  }

  /**
   * The stop of a user; `null` if there is none.
   * @param issuer who vouches for the subject; `null` if that is not known, as for a task: then a stop of the subject of any issuer holds
   */
  stopOfUser(subject: string, issuer: string | null, now: NowClocks): StopOrder | null {
    if (!this.hasStops) return null;
    const found = this.#users.get(subject)?.find((stop) => {
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

  /** The orders by which calls are only observed now. INVARIANT: none while `stale`, since their end may be missing. */
  observing(now: NowClocks): readonly ObserveOrder[] {
    if (this.#observing.length === 0 || this.stale !== null) return NO_ORDERS;
    return this.#observing.filter((order) => isInForce(order, now));
  }

  #stopOfPattern(what: string, now: NowClocks): StopOrder | null {
    // Safe: no text but a SPIFFE ID is of a pattern.
    const find = (agent: string): StopOrder | null =>
      this.#patterns.find((stop) => stopsAgent(stop, agent as SpiffeId)) ?? null;
    const found = this.#patternOf.of(what, find);
    return found !== null && isInForce(found, now) ? found : null;
  }

  #add(stop: StopOrder): void {
    if (stop.kind === 'user') {
      const { subject } = stoppedUser(stop);
      const others = this.#users.get(subject);
      if (others === undefined) this.#users.set(subject, [stop]);
      else others.push(stop);
      return;
    }
    const exact = this.#exact[stop.kind];
    if (!exact.has(stop.what)) exact.set(stop.what, stop);
  }
}

const NO_ORDERS: readonly ObserveOrder[] = [];

const endOf = ({ untilMs }: Order): number => untilMs ?? Number.MAX_SAFE_INTEGER;
