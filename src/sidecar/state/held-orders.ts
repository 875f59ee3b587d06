import type { OrdersMessage } from '../../core/fleet/messages.ts';
import { ordersDigest } from '../../core/fleet/orders-digest.ts';
import { orderLimits, storedOrder } from '../../core/order/order.ts';
import type { Order } from '../../core/order/order.ts';
import { Orders } from '../../core/order/orders.ts';
import { isProblem } from '../../core/runtime/problem.ts';

/** Most orders that are taken of an authority: those that are over may still be among them. */
const MAX_ORDERS = 2 * orderLimits.maxInForce;

/**
 * The orders of a sidecar, as the authority sends them: on each stream the whole list, or that it is unchanged; then what changes of it. What is
 * known stays in force until something later is known whole.
 */
export class HeldOrders {
  #inForce: ReadonlyMap<string, Order> = new Map();
  #orders = Orders.none;
  /** What is being received; `null` between changes. */
  #next: Map<string, Order> | null = null;
  /** `sent` once the list of this stream is known; `none` if the authority sends no orders, since it is of an earlier release. */
  #stream: 'awaited' | 'sent' | 'none' = 'awaited';
  /** Whether an authority called a list unchanged that differs from the list known here. */
  #isWholeWanted = false;

  /** The orders in force, as of the last position that the sidecar acknowledged or later. */
  get orders(): Orders {
    return this.#orders;
  }

  /** Names the orders to the authority of the next stream; empty if that must send the whole list. */
  get digest(): string {
    return this.#isWholeWanted ? '' : ordersDigest(this.#orders);
  }

  /** A stream begins. @param areSent whether the authority sends orders */
  began(areSent: boolean): void {
    this.#next = null;
    this.#stream = areSent ? 'awaited' : 'none';
  }

  /** Takes a message. `false` if it is malformed, or something is missing before it. */
  heard({ whole, given, lifted, continues, in_force: inForce, unchanged = '' }: OrdersMessage): boolean {
    if (unchanged !== '') return this.#isUnchanged(unchanged);
    if (!whole && this.#next === null && this.#stream !== 'sent') return false;
    const next = whole ? new Map<string, Order>() : (this.#next ?? new Map(this.#inForce));
    for (const id of lifted) next.delete(id);
    for (const text of given) {
      const order = storedOrder(text);
      if (isProblem(order)) return false;
      next.set(order.id, order);
    }
    if (next.size > MAX_ORDERS) return false;
    this.#next = continues ? next : null;
    if (continues) return true;
    if (next.size !== inForce) return false;
    this.#take(next);
    this.#stream = 'sent';
    this.#isWholeWanted = false;
    return true;
  }

  /**
   * Confirms that the list of this stream is the list known here. INVARIANT: if it is not, the whole list is requested and
   * nothing is assumed.
   */
  #isUnchanged(digest: string): boolean {
    if (this.#stream === 'awaited' && this.#next === null && digest === this.digest) {
      this.#stream = 'sent';
      return true;
    }
    this.#isWholeWanted = true;
    return false;
  }

  /**
   * Whether the lease may be renewed: the list of this stream is known. An authority of an earlier release sends no orders and
   * renews a lease only while no stop is in force, so the known orders are over then.
   */
  mayRenew(): boolean {
    if (this.#stream === 'none' && this.#inForce.size > 0) this.#take(new Map());
    return this.#stream !== 'awaited' && this.#next === null;
  }

  #take(next: ReadonlyMap<string, Order>): void {
    this.#inForce = next;
    this.#orders = Orders.of([...next.values()]);
  }
}
