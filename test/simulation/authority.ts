import { FeedHub } from '../../src/authority/feed/hub/feed-hub.ts';
import { ReplicaMarks } from '../../src/authority/feed/hub/replica-marks.ts';
import { changedOrders, wholeOrders } from '../../src/authority/feed/order-messages.ts';
import { cardOf } from '../../src/core/fleet/card.ts';
import { LOST_COMMITS } from '../../src/core/fleet/fleet-report.ts';
import type { Card, Down, Hello, OpenReply, OpenRequest, Position, Up } from '../../src/core/fleet/messages.ts';
import type { Order } from '../../src/core/order/order.ts';
import { Orders } from '../../src/core/order/orders.ts';
import type { SpendProblem } from '../../src/core/state/spend.ts';
import type { TaskKey } from '../../src/core/state/store.ts';
import { DatabaseClient } from './database-client.ts';
import { feedAfter } from './database.ts';
import type { Transaction } from './database.ts';
import { birthOf, epochOf, headOf, isLostIn, markAt } from './database-node.ts';
import type { Rows } from './database-node.ts';
import { Ledger } from './ledger.ts';
import { Stream } from './network.ts';
import type { StreamEnd, Writer } from './network.ts';
import { ordersIn } from './order-rows.ts';
import { recordsEnd } from './outbox-rows.ts';
import { Party } from './party.ts';
import { leaving, listing, markOf, marksIn, nextBeat } from './replica-list.ts';
import { heldTask, losing, rootOf, returning, settling, stateIn } from './rows.ts';
import type { GivenPart, TaskUse } from './rows.ts';
import { LEASE_MS, MARGIN_MS, PING_MS, POLL_MS } from './terms.ts';
import type { World } from './world.ts';

/** The answer to a settle. */
export interface Settled {
  /** What was lent, if it is settled and something was wanted ahead. */
  readonly lent?: number;
  readonly problem: SpendProblem | 'unavailable' | null;
  readonly card: Card | null;
  readonly position: Position | null;
}

interface Greeting {
  readonly hello: Hello;
  readonly writer: Writer<Down>;
}

interface Receipt {
  readonly seq: number;
  readonly root: string;
  readonly done: () => void;
}

/** What a beat saw, before it was committed. */
interface Beat {
  /** Its number. */
  readonly beats: number;
  readonly head: number;
  readonly mark: string;
  readonly epoch: string;
  /** Whether it is the database that was seen before, with all of its changes. */
  readonly isSame: boolean;
  /** Sidecars that said Hello whose position is not of this database. */
  readonly strangers: ReadonlySet<Greeting>;
  readonly changes: ReturnType<typeof feedAfter>['changes'];
  /** The orders in force, with every change up to the head. */
  readonly orders: readonly Order[];
  /** The number of the last record for the ledgers. */
  readonly records: number;
}

/** A change is sent again after an unknown outcome for one of these times: some who ask are impatient. */
const RETRIED_MS = [0, 4_000];
const MAX_READS = 8;

/** One life of an authority: the shell round a `FeedHub`, with a model database instead of a real one. */
export class Authority {
  readonly party: Party;
  readonly #world: World;
  readonly #id: string;
  readonly #database: DatabaseClient;
  readonly #marks: ReplicaMarks;
  readonly #streams = new Map<string, Writer<Down>>();
  /** `null` until the first beat has told the head of the feed. */
  #hub: FeedHub | null = null;
  readonly #startMs: number;
  readonly #life: number;
  /** When this life began, by the time of the run. */
  readonly bornMs: number;
  /** The beats that were committed: when each began, and when that was known. */
  readonly #beats: (readonly [begunMs: number, knownMs: number])[] = [];
  /** Sidecars that said Hello: they are welcome after a beat that began afterwards. */
  #hellos: Greeting[] = [];
  #receipts: Receipt[] = [];
  #lastBeatMs = -Infinity;
  #isBeating = false;
  /** The life of the database that this authority serves; empty before the first beat. */
  #epoch = '';
  /** The orders, as the sidecars that are connected have them. */
  #orders = Orders.none;
  /** The last change that a beat has seen. */
  #seen = { seq: 0, mark: '', beat: 0 };
  /** Whether commits were lost, so that nobody is served. */
  #isHalted = false;

  constructor(world: World, place: string, life: number) {
    this.#world = world;
    this.#life = life;
    this.#id = `${place}#${life}`;
    this.party = new Party(place, world);
    this.#database = new DatabaseClient(this.party, world.database);
    this.#startMs = this.party.monotonicMs();
    this.bornMs = world.schedule.nowMs;
    const isHasty = world.mistake === 'silent-replica-ignored' || world.isAlone;
    this.#marks = new ReplicaMarks(this.#id, isHasty ? -LEASE_MS : MARGIN_MS);
    this.party.every(POLL_MS, () => this.#tick());
    if (!world.isAlone) this.party.every(LEASE_MS / 4, () => this.#look());
  }

  /** Why it is not ready, as an operator reads it: the database lacks commits. `null` where it does not say so. */
  get cause(): typeof LOST_COMMITS | null {
    return this.#isHalted ? LOST_COMMITS : null;
  }

  /**
   * When the last beat began of which it knew at an instant that it was committed. `-Infinity` in a copy from before it joined, which looks as if
   * the others had taken it off the list.
   */
  beatBefore(ms: number): number {
    const { primary } = this.#world.database;
    if (primary === null || markOf(primary.rows, this.#id) === undefined) return -Infinity;
    return this.#beats.findLast(([, knownMs]) => knownMs < ms)?.[0] ?? -Infinity;
  }

  /** Whether it serves, and has processed the feed up to a head. */
  hasSeen(head: number, mark: string): boolean {
    const hasMark = this.#seen.seq === head && this.#seen.mark === mark;
    return this.party.isRunning && !this.#isHalted && this.#hub?.position === head && hasMark;
  }

  /** Whether it follows what a sidecar with a stream here holds; `true` also if it has no stream here. */
  knowsOf(instance: string, key: TaskKey): boolean {
    return this.#hub === null || !this.#streams.has(instance) || this.#hub.holds(instance, key) !== false;
  }

  /** A sidecar connects. */
  accept(client: StreamEnd<Down>): Stream<Up, Down> {
    let instance: string | null = null;
    const isCurrent = (): boolean => instance !== null && this.#streams.get(instance) === writer;
    const stream: Stream<Up, Down> = new Stream(this.#world, {
      client,
      server: {
        party: this.party,
        heard: (up) => {
          if (up.of === 'hello' && instance === null) {
            ({ instance } = up.hello);
            this.#hellos.push({ hello: up.hello, writer });
          } else if (this.#hub !== null && instance !== null && isCurrent())
            this.#heard(this.#hub, { instance, up, writer });
        },
        closed: () => {
          if (instance === null || !isCurrent()) return;
          this.#streams.delete(instance);
          this.#hub?.disconnect(instance, this.party.monotonicMs());
        },
      },
    });
    const writer = stream.server;
    return stream;
  }

  /** The holder is noted first, then the cards are read, and read again where the feed went on meanwhile. */
  open({ instance, tokens, n }: OpenRequest, reply: (reply: OpenReply | null) => void): void {
    const hub = this.#hub;
    if (hub === null) return reply(null);
    const { mistake } = this.#world;
    const isLate = mistake === 'noted-after-read';
    const isElsewhere = mistake === 'opened-elsewhere' && !this.#streams.has(instance);
    if (!isLate && !isElsewhere && hub.noting(instance, tokens, n) !== 'ok') return reply(null);
    const read = (tries: number): void =>
      this.#readCards(
        (rows) => ({
          head: headOf(rows),
          held: tokens.map(({ key, jti_digest: digest }) => heldTask(rows, key.id, [digest])),
        }),
        (got) => {
          if (got === null || (isLate && hub.noting(instance, tokens, n) !== 'ok')) return reply(null);
          const opened = tokens.map((token, at) => ({ token, root: got.held[at]?.root ?? null }));
          const seq = isLate ? Math.max(got.head, hub.position) : got.head;
          const noted = isElsewhere ? 'ok' : hub.noted(instance, opened, { n, seq });
          if (noted === 'again' && tries < MAX_READS) return read(tries + 1);
          if (noted !== 'ok') return reply(null);
          reply({
            position: { epoch: this.#epoch, seq: got.head, mark: '' },
            opened: got.held.map((held) => ({ card: held === null ? null : cardOf(held) })),
          });
        },
      );
    read(0);
  }

  settle(use: TaskUse, reply: (settled: Settled) => void): void {
    if (this.#isHalted) return reply({ problem: 'unavailable', card: null, position: null });
    this.#database.commit(settling(use, this.#world.mistake), (outcome) => {
      if (typeof outcome === 'string') return reply({ problem: 'unavailable', card: null, position: null });
      const { result } = outcome;
      if (typeof result !== 'string') return reply({ problem: null, lent: result.lent, card: null, position: null });
      this.#readCards(
        (rows) => ({ head: headOf(rows), held: heldTask(rows, use.key.id, [use.jtiDigest]) }),
        (got) =>
          reply({
            problem: result,
            card: got === null || got.held === null ? null : cardOf(got.held),
            position: got === null ? null : { epoch: this.#epoch, seq: got.head, mark: '' },
          }),
      );
    });
  }

  /** Takes back what is left of a share. */
  giveBack(use: TaskUse, part: GivenPart): void {
    if (!this.#isHalted) this.#database.commit(returning(use, part, this.#world.mistake), () => undefined);
  }

  /** Tells an operator the state of a task; `null` where it cannot, as where the database is an older copy. */
  show(taskId: string, onAnswer: (state: string | null) => void): void {
    if (this.#isHalted) return onAnswer(null);
    const isAny = this.#world.mistake === 'older-copy-shown';
    this.#database.read(
      (rows) => (isAny || this.#isOfThisLife(rows) ? stateIn(rows, taskId) : null),
      (state) => onAnswer(this.#isHalted && !isAny ? null : state),
    );
  }

  /** Commits a change for an operator, and tries again while the outcome is unknown. `null` where it gave up. */
  change<T>(
    transaction: Transaction<T>,
    then: (done: { readonly result: T; readonly head: number } | null) => void,
  ): void {
    const untilMs = this.party.monotonicMs() + (this.#world.random.pick(RETRIED_MS) ?? 0);
    // An acknowledgement in another life of the database would know nothing of the holders in this one.
    const ofThisLife: Transaction<{ readonly done: T } | null> = {
      locks: transaction.locks,
      run: (rows, nowMs) => {
        if (this.#epoch !== '' && epochOf(rows) !== this.#epoch) return { result: null, writes: [], changes: [] };
        const { result, ...rest } = transaction.run(rows, nowMs);
        return { ...rest, result: { done: result } };
      },
    };
    const attempt = (): void =>
      this.#database.commit(ofThisLife, (outcome) => {
        if (typeof outcome !== 'string')
          then(outcome.result === null ? null : { result: outcome.result.done, head: outcome.head });
        else if (this.party.monotonicMs() > untilMs) then(null);
        else this.party.after(20, attempt);
      });
    attempt();
  }

  /** Calls `done` once no sidecar decides by what was before that change any more. */
  enforce(taskId: string, { seq, done }: Omit<Receipt, 'root'>): void {
    if (this.#world.mistake === 'acknowledged-at-commit') return done();
    if (this.#isHalted) return;
    this.#receipts.push({ seq, root: rootOf(taskId), done });
    if (this.#receipts.length === 1) this.#watchReceipts();
  }

  /** The process ends. The kernel closes its connections. */
  end(): void {
    if (this.#world.mistake === 'left-at-once') this.#database.commit(leaving(this.#id), () => undefined);
    this.party.end();
    for (const writer of this.#streams.values()) writer.close();
  }

  /** After a beat that began once these Hellos had arrived. */
  #welcome(hub: FeedHub, { hello, writer }: Greeting): void {
    if (writer.isClosed) return;
    const { instance } = hello;
    const hasOrders = this.#world.hasOrders && this.#world.mistake !== 'joined-without-orders';
    const seq = hub.connect(instance, hello, this.party.monotonicMs());
    if (seq === 'ahead') this.#world.promise.broken('an authority takes a sidecar to be ahead of the database');
    if (typeof seq === 'string') return writer.close();
    this.#streams.get(instance)?.close();
    this.#streams.set(instance, writer);
    writer.send({
      of: 'welcome',
      welcome: {
        version: '',
        position: { epoch: this.#epoch, ...seq },
        lease_ms: LEASE_MS,
        ping_ms: PING_MS,
        digest_key: Buffer.alloc(0),
        issuer: '',
        now_ms: this.party.wallMs(),
        orders: hasOrders,
      },
    });
    if (hasOrders) for (const down of wholeOrders(this.#orders)) writer.send(down);
  }

  #heard(
    hub: FeedHub,
    { instance, up, writer }: { readonly instance: string; readonly up: Up; readonly writer: Writer<Down> },
  ): void {
    if (up.of === 'ping') hub.ping(instance, up.ping.n, this.party.monotonicMs());
    else if (up.of === 'dropped') hub.dropped(instance, up.dropped.keys, up.dropped.n);
    else if (up.of === 'ack' && !hub.ack(instance, up.ack.seq)) {
      this.#world.promise.broken('a sidecar acknowledges what was not sent');
      writer.close();
    }
    this.#send();
  }

  #tick(): void {
    if (this.#isBeating) return;
    const { node } = this.#database;
    // A poll that finds nothing new is left out.
    const hasNews = node !== null && this.#hub !== null && headOf(node.rows) > this.#hub.position;
    const isDue = this.party.monotonicMs() - this.#lastBeatMs > PING_MS / 2;
    if (hasNews || isDue || this.#receipts.length > 0 || this.#hellos.length > 0) this.#beat();
  }

  /** A synced commit, and what it saw: the feed up to its head may be pushed, and pings from before it may be answered. */
  #beat(): void {
    this.#isBeating = true;
    this.#lastBeatMs = this.party.monotonicMs();
    const begunMs = this.#world.schedule.nowMs;
    const beat = this.#hub?.beatBegins() ?? 0;
    const hellos = this.#hellos.splice(0);
    const mark = { id: this.#id, enforcedSeq: this.#enforcedUpTo(), leaseMs: LEASE_MS };
    const isRead = this.#world.mistake === 'renewed-by-read';
    const seen = (rows: Rows): Beat => ({
      beats: isRead ? 0 : nextBeat(rows, this.#id),
      ...feedAfter(rows, this.#hub?.position ?? headOf(rows)),
      mark: markAt(rows, headOf(rows)),
      epoch: epochOf(rows),
      isSame: this.#isSame(rows),
      records: recordsEnd(rows),
      orders: ordersIn(rows),
      strangers: new Set(hellos.filter(({ hello }) => !this.#isKnown(rows, hello))),
    });
    const committed = (got: Beat | null): void => {
      this.#isBeating = false;
      if (got !== null) this.#beaten(got, { beat, begunMs, hellos });
      else for (const { writer } of hellos) writer.close();
    };
    if (isRead) this.#database.read(seen, committed);
    const listed = listing(mark, this.#hub !== null);
    const transaction: Transaction<Beat> = {
      locks: listed.locks,
      // As the product, which compares a server that it connects to anew before any other call: a beat that an older copy took, and whose answer
      // is lost, would make it look like the database that was seen.
      run: (rows, nowMs) => ({
        ...(this.#isSame(rows) ? listed.run(rows, nowMs) : { writes: [], changes: [] }),
        result: seen(rows),
      }),
    };
    this.#database.commit(transaction, (outcome) => {
      if (!isRead) committed(typeof outcome === 'string' ? null : outcome.result);
    });
  }

  #beaten(
    { beats, head, changes, mark, epoch, isSame, orders, records, strangers }: Beat,
    {
      beat,
      begunMs,
      hellos,
    }: { readonly beat: number; readonly begunMs: number; readonly hellos: readonly Greeting[] },
  ): void {
    if (this.#epoch === '') this.#epoch = epoch;
    if (epoch !== this.#epoch && isSame) return this.#world.startAgain(this);
    if (!isSame || strangers.size > 0) this.#halt(epoch);
    // A ledger that has more than the database ever wrote shows that too.
    if (this.#hub === null && this.#world.diskOf(this.party.place).taken(epoch) > records) this.#refuseRecords(epoch);
    if (this.party.isEnded) return;
    if (this.#isHalted) {
      for (const { writer } of hellos) writer.close();
      return;
    }
    this.#seen = { seq: head, mark, beat: beats };
    if (beats === 1) this.#beats.length = 0;
    this.#beats.push([begunMs, this.#world.schedule.nowMs]);
    const nowMs = this.party.monotonicMs();
    if (this.#hub === null && this.#world.hasLedgers) this.#newLedger().start();
    this.#hub ??= this.#newHub(head);
    this.#sendOrders(Orders.of(orders));
    this.#hub.changed(changes, { seq: head, mark }, nowMs);
    this.#hub.beatCommitted(beat, head, this.party.wallMs());
    for (const greeting of hellos) this.#welcome(this.#hub, greeting);
    this.#send();
  }

  /** Before the position of their change. */
  #sendOrders(orders: Orders): void {
    const downs = changedOrders(this.#orders, orders);
    this.#orders = orders;
    if (this.#world.mistake === 'order-lost') return;
    for (const writer of this.#streams.values()) for (const down of downs) writer.send(down);
  }

  /** Whether rows are of the database that this authority has seen, with all of its changes. */
  #isSame(rows: Rows): boolean {
    // Another life is one that came after this one; not one from before it, as in an older backup.
    if (this.#world.mistake === 'loss-unnoticed') return true;
    if (this.#epoch !== '' && epochOf(rows) !== this.#epoch) return birthOf(epochOf(rows)) > birthOf(this.#epoch);
    const { seq, mark, beat } = this.#seen;
    // A copy can lack commits of which the feed tells nothing, such as new tasks.
    if ((markOf(rows, this.#id)?.beat ?? Infinity) < beat) return false;
    return !isLostIn(rows) && headOf(rows) >= seq && (seq === 0 || markAt(rows, seq) === mark);
  }

  #isOfThisLife(rows: Rows): boolean {
    return epochOf(rows) === this.#epoch && this.#isSame(rows);
  }

  /** Whether the database has the change of the position of a sidecar. */
  #isKnown(rows: Rows, { resume }: Hello): boolean {
    if (resume === null || resume.mark === '') return true;
    if (resume.epoch !== epochOf(rows)) return birthOf(epochOf(rows)) > birthOf(resume.epoch);
    if (this.#world.mistake === 'position-unmarked') return headOf(rows) >= resume.seq;
    return headOf(rows) >= resume.seq && markAt(rows, resume.seq) === resume.mark;
  }

  #refuseRecords(epoch: string): void {
    if (this.#world.mistake === 'loss-in-ledger-untold') return this.#world.startAgain(this);
    this.#halt(epoch);
  }

  /** Commits were lost: nobody is served any more, and the database says so to the other authorities. */
  #halt(epoch: string): void {
    if (this.#isHalted) return;
    this.#isHalted = true;
    this.#hub = null;
    this.#receipts = [];
    for (const writer of this.#streams.values()) writer.close();
    this.#streams.clear();
    if (this.#world.mistake !== 'loss-kept-to-itself') this.#database.commit(losing(epoch), () => undefined);
  }

  #newHub(position: number): FeedHub {
    const { mistake, isAlone } = this.#world;
    const waits = (isAlone || this.#life > 1) && mistake !== 'restored-in-haste';
    return new FeedHub({
      epoch: this.#epoch,
      position,
      mark: this.#seen.mark,
      leaseMs: LEASE_MS,
      marginMs: mistake === 'no-margin' ? 0 : MARGIN_MS,
      maxHeld: 1_000,
      maxHeldInAll: 100_000,
      // As the product at each start: leases of an earlier process may run, of which the rows of a backup say nothing. The first
      // processes of a run have none before them.
      inheritedUntilMs: waits ? this.#startMs + LEASE_MS + MARGIN_MS : -Infinity,
    });
  }

  #newLedger(): Ledger {
    return new Ledger({
      world: this.#world,
      party: this.party,
      database: this.#database,
      disk: this.#world.diskOf(this.party.place),
      epoch: this.#epoch,
      isServing: () => !this.#isHalted,
      isSame: (rows) => this.#isOfThisLife(rows),
    });
  }

  /** Sends what the hub has for the streams, and reads the cards that are due. */
  #send(): void {
    const hub = this.#hub;
    if (hub === null) return;
    for (const [stream, downs] of hub.outgoing()) for (const down of downs) this.#streams.get(stream)?.send(down);
    const due = [...hub.due()];
    if (due.length === 0) return;
    this.#readCards(
      (rows) => ({
        head: headOf(rows),
        cards: due.map(([, cards]) => cards.map(({ key, jtiDigests }) => heldTask(rows, key.id, jtiDigests))),
      }),
      (got) => {
        due.forEach(([stream, cards], at) => {
          if (got === null) return hub.unread(stream, cards);
          const held = got.cards[at] ?? [];
          hub.send(stream, cards, {
            cards: held.map((one) => (one === null ? null : cardOf(one))),
            head: got.head,
          });
        });
        if (got === null) this.party.after(POLL_MS, () => this.#send());
        else this.#send();
      },
    );
  }

  #readCards<T extends { readonly head: number }>(rows: (rows: Rows) => T, onAnswer: (got: T | null) => void): void {
    const isCareless = this.#world.mistake === 'unsynced-card';
    this.#database.readSynced(rows, {
      syncedTo: isCareless ? Infinity : (this.#hub?.position ?? 0),
      isSame: (all) => this.#isOfThisLife(all),
      onAnswer,
    });
  }

  #enforcedUpTo(): number {
    // Asked of any root: leases that have run out count from now on.
    this.#hub?.sweep(this.party.monotonicMs());
    return this.#hub?.enforced ?? 0;
  }

  #isEnforcedHere({ seq, root }: Omit<Receipt, 'done'>): boolean {
    const early = this.#world.mistake === 'fenced-too-early' ? LEASE_MS / 2 : 0;
    return this.#hub?.receipt(seq, root, this.party.monotonicMs() + early).enforced === true;
  }

  /** Answers as early as it can. */
  #watchReceipts(): void {
    this.#look();
    if (this.#receipts.length > 0) this.party.after(this.#world.isAlone ? 2 : 6, () => this.#watchReceipts());
  }

  /** Reads how far the others are. That tells about changes that were committed before. */
  #look(): void {
    const before = [...this.#receipts];
    // The list of an older copy may lack authorities: a commit that follows the reading tells whether it is one.
    this.#database.readSynced((rows) => ({ head: Infinity, marks: marksIn(rows) }), {
      syncedTo: 0,
      isSame: (rows) => this.#isOfThisLife(rows),
      onAnswer: (got) => {
        if (got === null) return;
        if (!this.#world.isAlone) this.#marks.seen(got.marks, this.party.monotonicMs());
        this.#answer(before);
      },
    });
  }

  #answer(receipts: readonly Receipt[]): void {
    const isDone = (receipt: Receipt): boolean =>
      this.#isEnforcedHere(receipt) && this.#marks.isEnforced(receipt.seq, this.party.monotonicMs());
    const done = receipts.filter((receipt) => this.#receipts.includes(receipt) && isDone(receipt));
    if (done.length === 0) return;
    this.#receipts = this.#receipts.filter((receipt) => !done.includes(receipt));
    for (const receipt of done) receipt.done();
  }
}
