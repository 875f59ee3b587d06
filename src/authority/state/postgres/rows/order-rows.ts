import type { Order } from '../../../../core/order/order.ts';
import type { UnreadableOrderRow } from './rows-read.ts';
import type { UndoLog } from './undo-log.ts';

/** A change of an order; `order` is `null` if it was removed. */
export interface OrderChange {
  readonly id: string;
  readonly order: Order | null;
}

/** The orders of a transaction in memory: as read, and as changed since. */
export class OrderRows {
  readonly #undo: UndoLog;
  readonly #announce: () => void;
  readonly #orders = new Map<string, Order>();
  readonly #given = new Map<string, () => boolean>();
  readonly #changed = new Map<string, OrderChange>();
  #unreadable: UnreadableOrderRow | null = null;

  /** @param announce called with each change */
  constructor(undo: UndoLog, announce: () => void) {
    this.#undo = undo;
    this.#announce = announce;
  }

  load(order: Order, isGiven: () => boolean): void {
    this.#orders.set(order.id, order);
    this.#given.set(order.id, isGiven);
  }

  /** A row of orders cannot be read: what asks for the orders fails, and nothing else. */
  loadUnreadable(row: UnreadableOrderRow): void {
    this.#unreadable ??= row;
  }

  /**
   * Whether an authority wrote an order: of those that were read, by their seal; those that were added since are of this
   * authority.
   */
  isGiven(id: string): boolean {
    return this.#given.get(id)?.() ?? true;
  }

  /** Throws `UnreadableOrderRow` if there is such a row. */
  all(): readonly Order[] {
    if (this.#unreadable !== null) throw this.#unreadable;
    return [...this.#orders.values()];
  }

  /** Adds an order; `null` removes that of the id. */
  set(id: string, order: Order | null): void {
    if (order === null) this.#undo.delete(this.#orders, id);
    else this.#undo.set(this.#orders, id, order);
    this.#undo.set(this.#changed, id, { id, order });
    this.#announce();
  }

  /** What to write: the last change of each. */
  changed(): readonly OrderChange[] {
    return [...this.#changed.values()];
  }
}
