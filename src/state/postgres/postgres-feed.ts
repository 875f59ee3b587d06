import { isStoreFailure, storeFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import type { Feed, FeedChange, FeedChanges } from '../feed.ts';
import { cardsOf } from './cards.ts';
import { KEYS_ROOT } from '../shared-keys.ts';
import type { AskedCard, CardsAtHead } from './cards.ts';
import type { Database } from './database.ts';
import { HEAD_COLUMNS, headFrom } from './feed-head.ts';
import type { FeedHead } from './feed-head.ts';
import { FeedLineage, lostCommits } from './feed-lineage.ts';
import { BEGIN, commit, flight } from './flight.ts';
import { numberOrNull } from '../task-row.ts';
import { readReceipts, readReplicas, writeReceipts } from './replica-rows.ts';
import type { Replica, ReplicaReceipt } from './replica-rows.ts';
import type { PositionSeal, SealedPosition } from './position-seal.ts';
import { reportedUsesOf } from './token-uses.ts';

/** Most changes that are read at once. */
const MAX_CHANGES = 4_096;

/** A place of the feed as it was read, and the life of the database where that was read too. */
type SeenPlace = Pick<FeedHead, 'seq' | 'mark'> & Partial<Pick<FeedHead, 'epoch'>>;

/** Changes with the mark of the last one. */
interface MarkedChanges extends FeedChanges {
  readonly mark: string;
}

/** Options of a feed. */
export interface PostgresFeedOptions {
  /** Id of this authority among its replicas. */
  readonly id: string;
  readonly address: string;
  /** Authenticates the marks of positions. Default: positions get none. */
  readonly seal?: PositionSeal;
  /** Called once the database has begun another life, since it was restored: the process must start again. */
  readonly onRestored?: () => void;
}

/** A synced commit: the head that it saw, and the marks of the changes that were asked for. */
interface Beat extends FeedHead {
  /** The first change that is kept; `null` where none is. */
  readonly first: number | null;
  readonly marks: ReadonlyMap<number, string>;
}

const BEAT = `UPDATE remit.replicas SET beat = beat + 1, address = $2, enforced_seq = $3, details = $4, lease_ms = $5 WHERE id = $1
  RETURNING beat`;
const JOIN = `INSERT INTO remit.replicas (id, address, beat, enforced_seq, details, lease_ms) VALUES ($1, $2, 0, 0, $3, $4)
  ON CONFLICT DO NOTHING`;
/** Of that life: it may come after the restore that has begun the next one. */
const LOSE = 'UPDATE remit.feed_head SET lost = $1 WHERE part = 0 AND lost IS NULL AND epoch::text = $2';
const HEAD = `SELECT ${HEAD_COLUMNS} FROM remit.feed_head h WHERE h.part = 0`;
const MARKS = 'SELECT seq, mark FROM remit.feed WHERE part = 0 AND seq = ANY($1::bigint[])';
const AFTER = `SELECT seq, root, is_history, mark FROM remit.feed WHERE part = 0 AND seq > $1 ORDER BY seq LIMIT ${MAX_CHANGES}`;

/**
 * The feed of a PostgreSQL, and the beat of this authority. INVARIANT: a change is given out only once a synced commit has followed it: a
 * primary that restarts alone shows changes that no standby has, and that a failover takes back. The commit must see the same change, by
 * its mark: the primary that took the place of the one that was read may have given its number to another.
 */
export class PostgresFeed implements Feed {
  readonly #database: Database;
  readonly #address: string;
  /** Id of this authority among its replicas. */
  readonly id: string;
  /** The head that the last beat saw. */
  #synced: FeedHead | null = null;
  readonly #lineage = new FeedLineage();
  #running: Promise<Beat | StoreFailure> | null = null;
  #next: Promise<Beat | StoreFailure> | null = null;
  /** Numbers of changes whose marks the next beat asks for. */
  #asked = new Set<number>();
  #enforcedSeq = 0;
  #leaseMs = 0;
  #details = '{}';
  readonly #onRestored: () => void;
  readonly #seal: PositionSeal | null;
  /** The life of the database that this process serves. */
  #life: Pick<FeedHead, 'epoch' | 'bornMs'> | null = null;
  /** Number of the last committed beat; `null` while this authority is not on the list. */
  #lastBeat: number | null = null;
  #lost: StoreFailure | null = null;

  constructor(database: Database, { address, id, onRestored = () => undefined, seal }: PostgresFeedOptions) {
    this.#database = database;
    this.#address = address;
    this.#onRestored = onRestored;
    this.#seal = seal ?? null;
    this.id = id;
  }

  /** Why nothing may be written now: commits were lost, or the database has begun another life. `null` where it may. */
  get lost(): StoreFailure | null {
    return this.#lost;
  }

  /** The lease that this authority gives from now on; each beat says it. Until then it gives none. */
  givesLeases(ms: number): void {
    this.#leaseMs = ms;
  }

  /** What the next beats say about this authority: every change up to this is enforced at its sidecars. */
  report(enforcedSeq: number): void {
    this.#enforcedSeq = enforcedSeq;
  }

  /** What the next beats say about this authority, as JSON for people. */
  describe(details: string): void {
    this.#details = details;
  }

  /**
   * A synced commit that begins now, with the head that it saw. Fails where the database lacks changes that an earlier beat saw. INVARIANT:
   * this authority was on the list before the commit began, so that whoever reads the list after a change finds every authority whose
   * sidecars may have a lease that covers the state before it.
   */
  beat(): Promise<Beat | StoreFailure> {
    if (this.#running === null) return (this.#running = this.#run());
    // One at a time, so that each is compared with the one before. Those who come meanwhile share the next one.
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return this.beat();
    });
    return this.#next;
  }

  async #run(): Promise<Beat | StoreFailure> {
    const asked = [...this.#asked];
    this.#asked.clear();
    try {
      const head = await this.#beat(asked);
      if (head !== null) return head;
      const joined = await this.#join();
      return (
        joined ?? (await this.#beat(asked)) ?? storeFailure('busy', 'the authority is not on the list of the database')
      );
    } finally {
      this.#running = null;
    }
  }

  async #join(): Promise<null | StoreFailure> {
    const done = await this.#database.transaction(async (client) => {
      await flight(client, [BEGIN, { text: JOIN, values: [this.id, this.#address, this.#details, this.#leaseMs] }]);
      return { outcome: await commit(client, [], this.#database) };
    });
    if (isStoreFailure(done)) return done;
    this.#lastBeat = null;
    return done.outcome.kind === 'committed' ? null : done.outcome.failure;
  }

  /** `null` where this authority is not on the list. */
  async #beat(asked: readonly number[]): Promise<Beat | null | StoreFailure> {
    const done = await this.#database.transaction(async (client) => {
      const seen = await flight(client, [
        BEGIN,
        { text: BEAT, values: [this.id, this.#address, this.#enforcedSeq, this.#details, this.#leaseMs] },
        { text: HEAD },
        this.#lineage.question,
        { text: MARKS, values: [asked] },
      ]);
      const outcome = await commit(client, [], this.#database);
      const beat = seen.at(-4)?.rows[0]?.['beat'];
      const lineage = seen.at(-2)?.rows[0];
      const marks = new Map(seen.at(-1)?.rows.map((row) => [Number(row['seq']), String(row['mark'])]));
      return {
        outcome,
        beat,
        head: { ...headFrom(seen.at(-3)?.rows[0]), first: numberOrNull(lineage?.['first']), marks },
        lineage,
      };
    });
    if (isStoreFailure(done)) return done;
    if (done.outcome.kind !== 'committed') return done.outcome.failure;
    const { head } = done;
    const beat = done.beat === undefined ? null : Number(done.beat);
    this.#lost = await this.#lossSeen(head, { beat, lineage: done.lineage });
    if (this.#lost !== null) return this.#lost;
    if (beat === null) return null;
    this.#lastBeat = beat;
    this.#synced = head;
    return head;
  }

  /** What a synced commit shows: a database of another life than before, or without commits that this process or another has seen. */
  async #lossSeen(
    { epoch, bornMs, lost }: FeedHead,
    {
      beat,
      lineage,
    }: { readonly beat: number | null; readonly lineage: Readonly<Record<string, unknown>> | undefined },
  ): Promise<StoreFailure | null> {
    this.#life ??= { epoch, bornMs };
    if (epoch !== this.#life.epoch && bornMs <= this.#life.bornMs) {
      const older = lostCommits('the life of it that an authority has served in');
      await this.declareLost(older.detail, epoch);
      return older;
    }
    if (epoch !== this.#life.epoch) {
      this.#onRestored();
      return storeFailure('broken', 'the database was restored: this process must start again');
    }
    if (lost !== null) return storeFailure('broken', lost);
    const isOlder = beat !== null && this.#lastBeat !== null && beat <= this.#lastBeat;
    const found =
      this.#lineage.proceed(lineage) ?? (isOlder ? lostCommits(`beat ${this.#lastBeat} of an authority`) : null);
    if (found !== null) await this.declareLost(found.detail);
    return found;
  }

  /** Says in the database that it lacks commits, so that no authority serves from it, not even a new one. */
  async declareLost(detail: string, epoch = this.#life?.epoch ?? ''): Promise<null | StoreFailure> {
    const done = await this.#database.transaction(async (client) => {
      await flight(client, [BEGIN, { text: LOSE, values: [detail, epoch] }]);
      return { outcome: await commit(client, [], this.#database) };
    });
    if (isStoreFailure(done)) return done;
    return done.outcome.kind === 'committed' ? null : done.outcome.failure;
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

  /** The same with the mark of the last change, for those who give it back; `''` where there is none. */
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
      return { root, part: root === KEYS_ROOT ? 'keys' : row['is_history'] === true ? 'history' : 'task' };
    });
    return { changes, position: end, mark: this.#sealed(end, mark) };
  }

  /** The mark of a change, for those who give it back; `''` where it is no longer kept. */
  async markOf(seq: number): Promise<string | StoreFailure> {
    const result = await this.#database.read(MARKS, [[seq]]);
    if (isStoreFailure(result)) return result;
    const mark = result.rows[0]?.['mark'] ?? null;
    if (mark === null) return '';
    return (await this.#synchronise({ seq, mark: String(mark) })) ?? this.#sealed(seq, String(mark));
  }

  /**
   * Whether the database has the change of a position, after a synced commit that begins now; `yes` too where it keeps the change no longer.
   * `unproven` where this database did not give the position.
   */
  async has({
    epoch,
    seq,
    mark: sealed,
  }: Omit<SealedPosition, 'bornMs'>): Promise<'yes' | 'no' | 'unproven' | StoreFailure> {
    const given = this.#seal === null ? null : this.#seal.opened({ epoch, seq, mark: sealed });
    if (given === null) return 'unproven';
    this.#asked.add(seq);
    const beat = await this.beat();
    if (isStoreFailure(beat)) return beat;
    // A position of a life that is over tells nothing; one of a later life tells that this is an older copy.
    if (epoch !== beat.epoch) return given.bornMs < beat.bornMs ? 'yes' : 'no';
    if (seq > beat.seq) return 'no';
    const isKept = beat.first !== null && seq >= beat.first;
    return !isKept || beat.marks.get(seq) === given.mark ? 'yes' : 'no';
  }

  #sealed(seq: number, mark: string): string {
    return this.#seal === null || this.#life === null ? '' : this.#seal.sealed({ ...this.#life, seq, mark });
  }

  /** The cards of tasks, by one snapshot of the primary whose changes standbys have. */
  async cards(asked: readonly AskedCard[]): Promise<CardsAtHead | StoreFailure> {
    return this.synced(await cardsOf(this.#database, asked));
  }

  /** What was read at a head, once a synced commit has followed that head. */
  async synced<T extends { readonly head: FeedHead }>(read: T | StoreFailure): Promise<T | StoreFailure> {
    return isStoreFailure(read) ? read : ((await this.#synchronise(read.head)) ?? read);
  }

  /** What was reported of the uses of each token, in the order asked for. */
  reportedUses(jtiDigests: readonly string[]): ReturnType<typeof reportedUsesOf> {
    return reportedUsesOf(this.#database, jtiDigests);
  }

  /** Makes sure that a synced commit has followed a change: the same change, and not another one with its number. */
  async #synchronise({ seq, mark, epoch }: SeenPlace): Promise<null | StoreFailure> {
    const { seq: syncedSeq, mark: syncedMark, epoch: life } = this.#synced ?? {};
    if (syncedSeq === seq && syncedMark === mark && (epoch ?? life) === life) return null;
    this.#asked.add(seq);
    const head = await this.beat();
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
  addReceipts(receipts: readonly Omit<ReplicaReceipt, 'replica'>[]): Promise<null | StoreFailure> {
    return writeReceipts(
      this.#database,
      receipts.map((receipt) => ({ ...receipt, replica: this.id })),
    );
  }

  /** What became of the last change of each root task up to a head, at each authority that had holders of it. */
  receiptsOf(roots: readonly string[], head: number): Promise<readonly ReplicaReceipt[] | StoreFailure> {
    return readReceipts(this.#database, { roots, head, within: MAX_CHANGES });
  }

  /** All authorities that have ever beaten and did not leave. */
  marks(): Promise<readonly Replica[] | StoreFailure> {
    return readReplicas(this.#database);
  }

  /** Takes an authority off the list: this one when it ends, or another that is silent for good. */
  async leave(id: string = this.id): Promise<null | StoreFailure> {
    const result = await this.#database.read('DELETE FROM remit.replicas WHERE id = $1', [id]);
    return isStoreFailure(result) ? result : null;
  }
}
