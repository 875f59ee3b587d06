import type { PoolClient } from 'pg';
import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { lostCommits } from '../../../core/state/lost-commits.ts';
import { numberOrNull } from '../../../core/state/writes/task-row.ts';
import type { Database } from './database.ts';
import { HEAD_COLUMNS, headFrom } from './feed-head.ts';
import type { FeedHead } from './feed-head.ts';
import { FeedLineage } from './feed-lineage.ts';
import { BEGIN, commit, flight } from './flight.ts';
import type { Statement } from './flight.ts';

/** The authority that makes the beats. */
export interface PostgresBeatsOptions {
  /** Id of this authority among its replicas. */
  readonly id: string;
  readonly address: string;
  /** Called once the database has begun another life, since it was restored: the process must start again. */
  readonly onRestored?: () => void;
}

/** A synced commit: the head that it saw, and the marks of the changes that were asked for. */
export interface Beat extends FeedHead {
  /** The first change that is kept; `null` if none is. */
  readonly first: number | null;
  readonly marks: ReadonlyMap<number, string>;
}

const BEAT = `UPDATE remit.replicas SET beat = beat + 1, address = $2, enforced_seq = $3, details = $4, lease_ms = $5, knows_orders = true WHERE id = $1
  RETURNING beat`;
const JOIN = `INSERT INTO remit.replicas (id, address, beat, enforced_seq, details, lease_ms, knows_orders) VALUES ($1, $2, 0, 0, $3, $4, true)
  ON CONFLICT DO NOTHING`;
/** Only for that life of the database: the statement may arrive after a restore has begun the next life. */
const LOSE = 'UPDATE remit.feed_head SET lost = $1 WHERE part = 0 AND lost IS NULL AND epoch::text = $2';
/** Only while a ledger has more records of that life than the database ever wrote in it. */
const LOSE_RECORDS = `${LOSE} AND EXISTS (SELECT FROM remit.outbox_head WHERE part = 0 AND seq < $3)`;
const OWN_BEAT = 'SELECT beat FROM remit.replicas WHERE id = $1';
export const HEAD = `SELECT ${HEAD_COLUMNS} FROM remit.feed_head h WHERE h.part = 0`;
export const MARKS = 'SELECT seq, mark FROM remit.feed WHERE part = 0 AND seq = ANY($1::bigint[])';

const AN_EARLIER_LIFE = 'the life of it that an authority has served in';
const restored = (): StoreFailure => storeFailure('broken', 'the database was restored: this process must start again');

/**
 * The beats of an authority: synced commits that show the other authorities that it lives and how far it is, and that check whether the
 * database still has every change that was seen in it.
 */
export class PostgresBeats {
  readonly #database: Database;
  /** Id of this authority among its replicas. */
  readonly id: string;
  readonly #address: string;
  readonly #onRestored: () => void;
  readonly #lineage = new FeedLineage();
  /** The head that the last beat saw. */
  #synced: FeedHead | null = null;
  #running: Promise<Beat | StoreFailure> | null = null;
  #next: Promise<Beat | StoreFailure> | null = null;
  /** Numbers of changes whose marks the next beat asks for. */
  #asked = new Set<number>();
  #enforcedSeq = 0;
  #leaseMs = 0;
  #details = '{}';
  /** The life of the database that this process serves. */
  #life: Pick<FeedHead, 'epoch' | 'bornMs'> | null = null;
  /** Number of the last committed beat; `null` while this authority is not on the list. */
  #lastBeat: number | null = null;
  #lost: StoreFailure | null = null;

  constructor(database: Database, { address, id, onRestored = () => undefined }: PostgresBeatsOptions) {
    this.#database = database;
    this.#address = address;
    this.#onRestored = onRestored;
    this.id = id;
  }

  /** Why nothing may be written now: commits were lost, or the database has begun another life. `null` if writing is allowed. */
  get lost(): StoreFailure | null {
    return this.#lost;
  }

  /** The head that the last beat saw; `null` before the first. */
  get syncedTo(): FeedHead | null {
    return this.#synced;
  }

  /** The life of the database that this process serves; `null` before the first beat. */
  get life(): Pick<FeedHead, 'epoch' | 'bornMs'> | null {
    return this.#life;
  }

  /** The lease that this authority gives from now on, published by each beat. Until then it gives none. */
  givesLeases(ms: number): void {
    this.#leaseMs = ms;
  }

  /** Published by the next beats: every change up to this is enforced at the sidecars of this authority. */
  report(enforcedSeq: number): void {
    this.#enforcedSeq = enforcedSeq;
  }

  /** Details of this authority, as JSON for people, published by the next beats. */
  describe(details: string): void {
    this.#details = details;
  }

  /** A beat that also reads the mark of a change. */
  beatWith(seq: number): Promise<Beat | StoreFailure> {
    this.#asked.add(seq);
    return this.beat();
  }

  /**
   * A synced commit that begins now, with the head that it saw. Fails if the database lacks changes that an earlier beat saw. INVARIANT: this
   * authority was on the list before the commit began, so that a reader of the list after a change finds every authority whose sidecars may
   * have a lease that covers the state before it.
   */
  beat(): Promise<Beat | StoreFailure> {
    if (this.#running === null) return (this.#running = this.#run());
    // One at a time, so that each beat is compared with the previous beat. Calls that come meanwhile share the next beat.
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

  /** `null` if this authority is not on the list. */
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
      const older = lostCommits(AN_EARLIER_LIFE);
      await this.declareLost(older.detail, epoch);
      return older;
    }
    if (epoch !== this.#life.epoch) {
      this.#onRestored();
      return restored();
    }
    if (lost !== null) return storeFailure('broken', lost);
    const isOlder = beat !== null && this.#lastBeat !== null && beat <= this.#lastBeat;
    const found =
      this.#lineage.proceed(lineage) ?? (isOlder ? lostCommits(`beat ${this.#lastBeat} of an authority`) : null);
    if (found !== null) await this.declareLost(found.detail);
    return found;
  }

  /**
   * Compares a newly connected server with what was seen before, ahead of any other call to it: so nothing is read from an older copy, not
   * even before the next beat, which records the loss in the database.
   */
  async examine(client: PoolClient): Promise<void> {
    const [lineage, found, own] = await flight(client, [
      this.#lineage.question,
      { text: HEAD },
      { text: OWN_BEAT, values: [this.id] },
    ]);
    const { epoch, bornMs, lost } = headFrom(found?.rows[0]);
    const life = this.#life;
    if (life === null) return;
    if (epoch !== life.epoch) this.#lost = bornMs <= life.bornMs ? lostCommits(AN_EARLIER_LIFE) : restored();
    else if (lost !== null) this.#lost = storeFailure('broken', lost);
    else this.#lost = this.#lineage.lossIn(lineage?.rows[0]) ?? this.#olderThan(own?.rows[0]?.['beat']) ?? this.#lost;
  }

  /** A copy can lack commits that do not appear in the feed, such as new tasks. None lacks the last beat. */
  #olderThan(beat: unknown): StoreFailure | null {
    return this.#lastBeat !== null && beat !== undefined && Number(beat) < this.#lastBeat
      ? lostCommits(`beat ${this.#lastBeat} of an authority`)
      : null;
  }

  /** Records in the database that it lacks commits, so that no authority serves from it, not even a new authority. */
  declareLost(detail: string, epoch = this.#life?.epoch ?? ''): Promise<null | StoreFailure> {
    return this.#declare({ text: LOSE, values: [detail, epoch] });
  }

  /** The same if a ledger has more records of a life of the database than it has written in it: the commit itself compares the two. */
  declareRecordsLost(
    detail: string,
    { epoch, taken }: { readonly epoch: string; readonly taken: number },
  ): Promise<null | StoreFailure> {
    return this.#declare({ text: LOSE_RECORDS, values: [detail, epoch, taken] });
  }

  async #declare(statement: Statement): Promise<null | StoreFailure> {
    const done = await this.#database.transaction(async (client) => {
      await flight(client, [BEGIN, statement]);
      return { outcome: await commit(client, [], this.#database) };
    });
    if (isStoreFailure(done)) return done;
    return done.outcome.kind === 'committed' ? null : done.outcome.failure;
  }
}
