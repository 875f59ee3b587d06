import { status } from '@grpc/grpc-js';
import type { Down, Hello } from '../../../core/fleet/messages.ts';
import { isInForce } from '../../../core/order/order.ts';
import { Orders } from '../../../core/order/orders.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { AuthorityEngine, OrdersAtHead } from '../engine.ts';
import { changedOrders, firstOrders } from '../order-messages.ts';
import { endStream } from '../stream-end.ts';
import type { FollowingSidecar } from './follower.ts';
import type { StandingRefusal } from './standing.ts';

/** Why a sidecar of an earlier release is not served: it would allow what is stopped. */
const UNSTOPPED: StandingRefusal = {
  code: status.FAILED_PRECONDITION,
  details: 'a stop is in force, which a sidecar of this release cannot apply: upgrade it, or lift the stop',
};

/** The orders as sidecars have them. A sidecar gets the whole list when it connects, unless it has it, and then each change. */
export class SentOrders {
  readonly #engine: Pick<AuthorityEngine, 'orders'>;
  readonly #clockMs: () => number;
  #at: OrdersAtHead | null = null;

  /** @param clockMs the floor of the clock */
  constructor(engine: Pick<AuthorityEngine, 'orders'>, clockMs: () => number) {
    this.#engine = engine;
    this.#clockMs = clockMs;
  }

  /** Reads the orders, unless they are known. Gives whether they are: before that no sidecar is served. */
  async areKnown(): Promise<boolean> {
    const found = this.#at ?? (await this.#engine.orders());
    if (isStoreFailure(found)) return false;
    this.#at ??= found;
    return true;
  }

  /** Takes the orders after a change, and sends what has changed. A sidecar that cannot apply a stop loses its stream. */
  changed(
    at: OrdersAtHead,
    followers: Iterable<FollowingSidecar>,
    write: (follower: FollowingSidecar, down: Down) => void,
  ): void {
    const before = this.#at;
    if (before !== null && before.seq > at.seq) return;
    this.#at = at;
    const downs = before === null ? [] : changedOrders(before.orders, at.orders);
    for (const follower of followers) {
      const refusal = this.refusalOf(follower.knowsOrders);
      if (refusal !== null) endStream(follower.call, refusal.code, refusal.details);
      else if (follower.knowsOrders) for (const down of downs) write(follower, down);
    }
  }

  /** What is sent to a sidecar that connects. */
  first({ orders: knowsOrders, orders_digest: digest = '' }: Pick<Hello, 'orders' | 'orders_digest'>): readonly Down[] {
    return knowsOrders ? firstOrders(this.#orders, digest) : [];
  }

  /** Why a sidecar is not served now; `null` if it is. */
  refusalOf(knowsOrders: boolean): StandingRefusal | null {
    if (knowsOrders || !this.#orders.hasStops) return null;
    const floorMs = this.#clockMs();
    const isStopped = this.#orders.list.some(
      (order) => order.of === 'stop' && isInForce(order, { wallMs: floorMs, floorMs }),
    );
    return isStopped ? UNSTOPPED : null;
  }

  get #orders(): Orders {
    return this.#at?.orders ?? Orders.none;
  }
}
