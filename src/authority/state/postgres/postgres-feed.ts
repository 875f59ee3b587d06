import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { changedPartOf } from '../../../core/state/feed.ts';
import type { Feed, FeedChange, FeedChanges } from '../../../core/state/feed.ts';
import { cardsOf } from './rows/cards.ts';
import type { AskedCard, CardsAtHead } from './rows/cards.ts';
import type { Database } from './database.ts';
import { headFrom } from './feed-head.ts';
import type { FeedHead } from './feed-head.ts';
import { HEAD, MARKS, PostgresBeats } from './postgres-beats.ts';
import type { PostgresBeatsOptions } from './postgres-beats.ts';
import { readReceipts, readReplicas, writeReceipts } from './rows/replica-rows.ts';
import type { Replica, ReplicaReceiptRow } from './rows/replica-rows.ts';
import type { PositionSeal, SealedPosition } from './rows/position-seal.ts';
import { readerOf } from './rows/row-seal.ts';
import type { RowReader } from './rows/row-seal.ts';
import { reportedUsesOf } from './rows/token-uses.ts';

/** Most changes that are read at once. */
const MAX_CHANGES = 4_096;

/** A place of the feed as it was read, and the life of the database if that was read too. */
type SeenPlace = Pick<FeedHead, 'seq' | 'mark'> & Partial<Pick<FeedHead, 'epoch'>>;

/** Changes with the mark of the last change. */
interface MarkedChanges extends FeedChanges {
  readonly mark: string;
}

/** Options of a feed. */
export interface PostgresFeedOptions extends PostgresBeatsOptions {
  /** Authenticates the marks of positions. Default: positions get none. */
  readonly seal?: PositionSeal;
  /** Reads rows of tasks and tokens. Default: all count. */
  readonly rows?: RowReader;
}

const AFTER = `SELECT seq, root, is_history, mark FROM remit.feed WHERE part = 0 AND seq > $1 ORDER BY seq LIMIT ${MAX_CHANGES}`;

/**
 * The feed of a PostgreSQL, and the beat of this authority. INVARIANT: a change is published only once a synced commit has followed it: a
 * primary that restarts alone shows changes that no standby has, and that a failover takes back. The commit must see the same change, by its
 * mark: a new primary may have given the same number to another change.
 */
export class PostgresFeed extends PostgresBeats implements Feed {
  readonly #database: Database;
  readonly #seal: PositionSeal | null;
  readonly #rows: RowReader;

  constructor(database: Database, { seal, rows, ...options }: PostgresFeedOptions) {
    super(database, options);
    this.#database = database;
    this.#seal = seal ?? null;
    this.#rows = rows ?? readerOf(null);
  }

  /** The head now. Its last changes may not be on a standby yet. */
  async head(): Promise<FeedHead | StoreFailure> {
    const result = await this.#database.read(HEAD);
    return isStoreFailure(result) ? result : headFrom(result.rows[0]);
  }

  /** The head now, once a synced commit has followed it. */
  async syncedHead(): Promise<FeedHead | StoreFailure> {
    const head = await this.head();
    return isStoreFailure(head) ? head : ((await this.#synchronise(head)) ?? head);
  }

  async feedEnd(): Promise<number | StoreFailure> {
    const head = await this.head();
    return isStoreFailure(head) ? head : head.seq;
  }

  async feedAfter(position: number): Promise<FeedChanges | null | StoreFailure> {
    const found = await this.markedAfter(position);
    if (found === null || isStoreFailure(found)) return found;
    return { changes: found.changes, position: found.position };
  }

  /** The same with the mark of the last change, which clients give back; `''` if there is none. */
  async markedAfter(position: number): Promise<MarkedChanges | null | StoreFailure> {
    const result = await this.#database.read(AFTER, [position]);
    if (isStoreFailure(result)) return result;
    const { rows } = result;
    const [first] = rows;
    if (first === undefined) {
      const none = await this.#withoutChanges(position);
      return none === null || isStoreFailure(none) ? none : { ...none, mark: '' };
    }
    if (Number(first['seq']) !== position + 1) return null;
    const end = position + rows.length;
    const mark = String(rows.at(-1)?.['mark']);
    const unsynced = await this.#synchronise({ seq: end, mark });
    if (unsynced !== null) return unsynced;
    const changes = rows.map((row): FeedChange => {
      const root = String(row['root']);
      return { root, part: changedPartOf(root, row['is_history'] === true) };
    });
    return { changes, position: end, mark: this.#sealed(end, mark) };
  }

  /** The mark of a change, which clients give back; `''` if it is no longer kept. */
  async markOf(seq: number): Promise<string | StoreFailure> {
    const result = await this.#database.read(MARKS, [[seq]]);
    if (isStoreFailure(result)) return result;
    const mark = result.rows[0]?.['mark'] ?? null;
    if (mark === null) return '';
    return (await this.#synchronise({ seq, mark: String(mark) })) ?? this.#sealed(seq, String(mark));
  }

  /**
   * Whether the database has the change of a position, after a synced commit that begins now; `yes` also if it no longer keeps the change.
   * `unproven` if this database did not give the position.
   */
  async has({
    epoch,
    seq,
    mark: sealed,
  }: Omit<SealedPosition, 'bornMs'>): Promise<'yes' | 'no' | 'unproven' | StoreFailure> {
    const given = this.#seal === null ? null : this.#seal.opened({ epoch, seq, mark: sealed });
    if (given === null) return 'unproven';
    const beat = await this.beatWith(seq);
    if (isStoreFailure(beat)) return beat;
    // A position of an ended life proves nothing; a position of a later life proves that this is an older copy.
    if (epoch !== beat.epoch) return given.bornMs < beat.bornMs ? 'yes' : 'no';
    if (seq > beat.seq) return 'no';
    const isKept = beat.first !== null && seq >= beat.first;
    return !isKept || beat.marks.get(seq) === given.mark ? 'yes' : 'no';
  }

  #sealed(seq: number, mark: string): string {
    return this.#seal === null || this.life === null ? '' : this.#seal.sealed({ ...this.life, seq, mark });
  }

  /** The cards of tasks, from a single snapshot of the primary whose changes standbys have. */
  async cards(asked: readonly AskedCard[]): Promise<CardsAtHead | StoreFailure> {
    return this.synced(await cardsOf({ database: this.#database, rows: this.#rows }, asked));
  }

  /** What was read at a head, once a synced commit has followed that head. */
  async synced<T extends { readonly head: FeedHead }>(read: T | StoreFailure): Promise<T | StoreFailure> {
    return isStoreFailure(read) ? read : ((await this.#synchronise(read.head)) ?? read);
  }

  /** What was reported of the uses of each token, in the order asked for. */
  reportedUses(jtiDigests: readonly string[]): ReturnType<typeof reportedUsesOf> {
    return reportedUsesOf(this.#database, jtiDigests);
  }

  /** Makes sure that a synced commit has followed a change: the same change, and not another change with its number. */
  async #synchronise({ seq, mark, epoch }: SeenPlace): Promise<null | StoreFailure> {
    const { seq: syncedSeq, mark: syncedMark, epoch: life } = this.syncedTo ?? {};
    if (syncedSeq === seq && syncedMark === mark && (epoch ?? life) === life) return null;
    const head = await this.beatWith(seq);
    if (isStoreFailure(head)) return head;
    return head.seq < seq || (head.marks.get(seq) ?? null) !== mark
      ? storeFailure('unknown', 'the database lost changes of the feed: it is another primary')
      : null;
  }

  /**
   * No change follows a position. It is the end of the feed, or a change came between the two reads, or the position is not of this feed: then
   * `null`.
   */
  async #withoutChanges(position: number): Promise<FeedChanges | null | StoreFailure> {
    const end = await this.feedEnd();
    if (isStoreFailure(end)) return end;
    if (end === position) return { changes: [], position };
    if (end < position) return null;
    const again = await this.#database.read(AFTER, [position]);
    if (isStoreFailure(again)) return again;
    return again.rows.length === 0 ? null : { changes: [], position };
  }

  /** Writes what became of changes at the sidecars of this authority. */
  addReceipts(receipts: readonly Omit<ReplicaReceiptRow, 'replica'>[]): Promise<null | StoreFailure> {
    return writeReceipts(
      this.#database,
      receipts.map((receipt) => ({ ...receipt, replica: this.id })),
    );
  }

  /** What became of the last change of each root task up to a head, at each authority that had holders of it. */
  receiptsOf(roots: readonly string[], head: number): Promise<readonly ReplicaReceiptRow[] | StoreFailure> {
    return readReceipts(this.#database, { roots, head, within: MAX_CHANGES });
  }

  /** All authorities on the list: those that have made a beat and were not removed. */
  marks(): Promise<readonly Replica[] | StoreFailure> {
    return readReplicas(this.#database);
  }

  /**
   * Removes an authority from the list, such as one that is silent for good. An authority that ends stays until then: its
   * sidecars may still have leases.
   */
  async leave(id: string = this.id): Promise<null | StoreFailure> {
    const result = await this.#database.read('DELETE FROM remit.replicas WHERE id = $1', [id]);
    return isStoreFailure(result) ? result : null;
  }
}
