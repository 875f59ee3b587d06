import { Orders } from '../../../core/order/orders.ts';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Database } from './database.ts';
import { HEAD_COLUMNS, headFrom } from './feed-head.ts';
import type { FeedHead } from './feed-head.ts';
import type { PostgresFeed } from './postgres-feed.ts';
import { MAY_HOLD } from './rows/order-statements.ts';
import type { RowReader } from './rows/row-seal.ts';
import { UnreadableOrderRow } from './rows/rows-read.ts';

/** A single statement, and so a single snapshot. The orders are read only if they have changed. */
const ORDERS = `SELECT ${HEAD_COLUMNS}, v.version, CASE WHEN v.version = $1::bigint THEN NULL ELSE
    (SELECT coalesce(json_agg(json_build_object('id', o.id, 'body', o.body, 'seal', o.seal, 'lifted', o.lifted) ORDER BY o.id), '[]')
      FROM remit.orders o WHERE ${MAY_HOLD}) END AS orders
  FROM remit.feed_head h, remit.orders_head v WHERE h.part = 0 AND v.part = 0`;

/** The orders as they were at a head of the feed. */
interface OrdersAtFeedHead {
  readonly head: FeedHead;
  readonly orders: Orders;
}

/** The orders in a PostgreSQL. Those that were read last are kept, with the number of their changes. */
export class PostgresOrders {
  readonly #database: Database;
  readonly #feed: Pick<PostgresFeed, 'synced'>;
  readonly #rows: Pick<RowReader, 'orderIn'>;
  /** `version` as the database writes it: as a number of JavaScript, two large ones can be the same. */
  #known: { readonly epoch: string; readonly version: string; readonly orders: Orders } | null = null;

  constructor(
    database: Database,
    { feed, rows }: { readonly feed: Pick<PostgresFeed, 'synced'>; readonly rows: Pick<RowReader, 'orderIn'> },
  ) {
    this.#database = database;
    this.#feed = feed;
    this.#rows = rows;
  }

  /** `Store.ordersInForce`. */
  async inForce(): Promise<Orders | StoreFailure> {
    const read = await this.#read();
    return isStoreFailure(read) ? read : read.orders;
  }

  /** The orders as they were read last; `null` if they were not read. */
  get last(): Orders | null {
    return this.#known?.orders ?? null;
  }

  /** The orders and their place in the feed, once a synced commit has followed that: no sidecar lifts a stop by a commit that is lost. */
  async atHead(): Promise<{ readonly seq: number; readonly orders: Orders } | StoreFailure> {
    const read = await this.#feed.synced(await this.#read());
    return isStoreFailure(read) ? read : { seq: read.head.seq, orders: read.orders };
  }

  async #read(): Promise<OrdersAtFeedHead | StoreFailure> {
    const known = this.#known;
    const result = await this.#database.read(ORDERS, [known?.version ?? '-1']);
    if (isStoreFailure(result)) return result;
    const [row] = result.rows;
    const head = headFrom(row);
    const version = String(row?.['version']);
    // Another life of the database, or another copy of it, may give the same number to other orders.
    if (known !== null && known.epoch !== head.epoch) {
      this.#known = null;
      return this.#read();
    }
    if (known !== null && known.version === version) return { head, orders: known.orders };
    try {
      // JSON of `ORDERS`.
      const rows = (row?.['orders'] ?? []) as readonly Readonly<Record<string, unknown>>[];
      const orders = Orders.of(rows.flatMap((one) => this.#rows.orderIn(one) ?? []));
      this.#known = { epoch: head.epoch, version, orders };
      return { head, orders };
    } catch (error) {
      if (!(error instanceof UnreadableOrderRow)) throw error;
      return storeFailure('unusable', error.message);
    }
  }
}
