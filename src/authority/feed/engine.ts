/** The database of an authority. */
import type { HeldTask } from '../../core/fleet/card.ts';
import type { Position } from '../../core/fleet/messages.ts';
import type { Orders } from '../../core/order/orders.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { Authority, Upkeep } from '../../core/state/authority.ts';
import type { Feed, FeedChanges } from '../../core/state/feed.ts';
import type { ReportedUses } from '../../core/state/reported-uses.ts';
import type { Settling } from '../../core/state/settling.ts';
import type { ReplicaBoard } from './hub/replica-board.ts';
import type { StateReader } from '../state/sqlite/state-reader.ts';
import type { TaskKey } from '../../core/state/store.ts';

/** A task with those of its tokens that are asked for. */
export interface WantedCard {
  readonly key: TaskKey;
  readonly jtiDigests: readonly string[];
}

/** Cards, and the head of the feed: each card has every change up to it. */
export interface ReadCards {
  /** In the order of the question; `null` if there is no such task. */
  readonly cards: readonly (HeldTask | null)[];
  readonly seq: number;
}

/** The orders at a head of the feed. */
export interface OrdersAtHead {
  readonly orders: Orders;
  readonly seq: number;
}

/** Changes with the mark of the last change, by which a sidecar can later prove that it had it; `''` if there is none. */
export interface MarkedChanges extends FeedChanges {
  readonly mark: string;
}

/** Marks by which a sidecar can prove that the database lost commits, and that it cannot forge. */
export interface PositionProofs {
  /** The mark of a change; `''` if it is no longer kept. */
  markOf(seq: number): Promise<string | StoreFailure>;
  /**
   * Whether the database has the change of a position, after a synced commit that begins now. `unproven` if it did not give the position, or
   * gives no marks for it.
   */
  has(position: Position): Promise<'yes' | 'no' | 'unproven' | StoreFailure>;
  /** Records in the database that commits were lost, so that no authority serves from it. */
  declareLost(detail: string): Promise<null | StoreFailure>;
}

/** The database of an authority. A failure is a returned value, never a rejection. */
export interface AuthorityEngine {
  /** Names this life of the database: a new life begins when a backup is restored. */
  epoch(): Promise<string | StoreFailure>;
  /** The number of the last change. */
  head(): Promise<number | StoreFailure>;
  /** Never from a replica that may be behind. */
  cards(wanted: readonly WantedCard[]): Promise<ReadCards | StoreFailure>;
  /** What was reported of the uses of each token, in the order asked for: see `Store.reportedUses`. */
  reportedUses(jtiDigests: readonly string[]): Promise<readonly (readonly ReportedUses[])[] | StoreFailure>;
  /** The changes after a position, and the mark of the last change; `null` if some are no longer kept. */
  feedAfter(position: number): Promise<MarkedChanges | null | StoreFailure>;
  /** Proofs of positions; absent if the database gives none. */
  readonly proofs?: PositionProofs;
  /** Why the database is known to lack commits; `null` if it is not. Absent if the feed alone shows it. */
  lost?(): string | null;
  /** The orders in force, with every change up to a number of the feed: none that a failover may take back. */
  orders(): Promise<OrdersAtHead | StoreFailure>;
  /** Makes a synced commit that begins now. Gives the head of the feed as that commit saw it, or a later head. */
  beat(): Promise<number | StoreFailure>;
  readonly settling: Settling;
  /** `Store.keepRecord`. */
  readonly keepRecord: Authority['keepRecord'];
  /** The board on which the authorities over this database publish how far they are; absent if there is only one. */
  readonly replicas?: ReplicaBoard;
}

/** The state file of this process as the database of an authority. */
export function sqliteEngine({
  authority,
  feed,
  reader,
  settling,
}: {
  readonly authority: Pick<Authority & Upkeep, 'appendRecords' | 'keepRecord'>;
  readonly feed: Feed;
  readonly reader: Pick<StateReader, 'fileId' | 'restoredAtMs' | 'heldTask' | 'reportedUses' | 'ordersInForce'>;
  readonly settling: Settling;
}): AuthorityEngine {
  return {
    epoch: async () => {
      const fileId = reader.fileId();
      if (isStoreFailure(fileId)) return fileId;
      const restoredMs = reader.restoredAtMs();
      return isStoreFailure(restoredMs) ? restoredMs : `${fileId}.${restoredMs ?? 0}`;
    },
    head: () => feed.feedEnd(),
    cards: async (wanted) => {
      // INVARIANT: the head is read before the cards, so that they are never older than it.
      const seq = await feed.feedEnd();
      if (isStoreFailure(seq)) return seq;
      const cards: (HeldTask | null)[] = [];
      for (const { key, jtiDigests } of wanted) {
        const card = reader.heldTask(key, jtiDigests);
        if (isStoreFailure(card)) {
          if (card.code !== 'refused') return card;
          // No task has a name that cannot be stored.
          cards.push(null);
        } else cards.push(card ?? null);
      }
      return { cards, seq };
    },
    reportedUses: async (jtiDigests) => {
      const found: (readonly ReportedUses[])[] = [];
      for (const digest of jtiDigests) {
        const reports = reader.reportedUses(digest);
        if (!isStoreFailure(reports)) found.push(reports);
        // No token has a name that cannot be stored.
        else if (reports.code === 'refused') found.push([]);
        else return reports;
      }
      return found;
    },
    feedAfter: async (position) => {
      const found = await feed.feedAfter(position);
      return found === null || isStoreFailure(found) ? found : { ...found, mark: '' };
    },
    orders: async () => {
      // INVARIANT: as with cards.
      const seq = await feed.feedEnd();
      if (isStoreFailure(seq)) return seq;
      const orders = reader.ordersInForce();
      return isStoreFailure(orders) ? orders : { orders, seq };
    },
    // An empty write is a commit too: it moves the clock mark of the file.
    beat: async () => (await authority.appendRecords([])) ?? feed.feedEnd(),
    settling,
    keepRecord: (decisionId, record) => authority.keepRecord(decisionId, record),
  };
}
