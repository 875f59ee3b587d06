import type { Card, Down, Hello, TaskKeyMessage, TokenKey } from '../../../core/fleet/messages.ts';
import { ROOTS_OF_ALL, type FeedChange } from '../../../core/state/feed.ts';
import { DueCards } from './due-cards.ts';
import type { FeedPlace } from './feed-place.ts';
import type { FeedHubOptions } from './feed-hub-options.ts';
import { SharedRoom } from '../../../core/runtime/collections/shared-room.ts';
import { DueMessages } from './outgoing.ts';
import { Receipts } from './receipts.ts';
import type { Receipt } from '../../../core/fleet/receipt.ts';
import { Holders } from './holders.ts';
import { SidecarStream, textOfKey } from '../sidecar-stream.ts';
import type { CardToRead, OpenedRoot, StreamId } from '../sidecar-stream.ts';

/**
 * Which sidecars hold which tasks, what of the feed is due to each, when their leases are renewed, and which of them have applied a change. A
 * pure state machine of an authority replica and an epoch: no I/O and no clock. Inputs return no messages; `outgoing` gives the messages that
 * became due, in order, for each stream.
 *
 * INVARIANT: a sidecar can use a task only as a holder of it. It becomes a holder when its card is read, in the same turn in which it is
 * checked that the hub has processed nothing after that reading. It stops being a holder when it has dropped the card, when it is told
 * that the task is gone, for which later changes wait, or when its lease, which runs from the ping that the last `Fresh` answered, has run out
 * while it is not connected. INVARIANT: `Fresh` for a ping is sent after all changes up to the head of a beat that began after the ping arrived,
 * and after those that came with cards are acknowledged. So no lease that covers the state before a change runs longer than lease and margin
 * after it, whatever a sidecar does, and wherever else it is connected.
 */
export class FeedHub {
  readonly #options: FeedHubOptions;
  readonly #streams = new Map<StreamId, SidecarStream>();
  readonly #holders = new Holders();
  readonly #receipts = new Receipts();
  readonly #outgoing = new DueMessages();
  readonly #withDue = new DueCards();
  readonly #room: SharedRoom;
  #place: FeedPlace;
  #beat = 0;

  constructor(options: FeedHubOptions) {
    this.#options = options;
    this.#place = { seq: options.position, mark: options.mark ?? '' };
    this.#room = new SharedRoom(options.maxHeldInAll);
  }

  /** The feed is processed up to here. */
  get position(): number {
    return this.#place.seq;
  }

  /** All sidecars that are connected, or whose lease may not be over. */
  get streams(): ReadonlyMap<StreamId, SidecarStream> {
    return this.#streams;
  }

  /** Every change up to here is enforced by this hub, but for leases of earlier processes. */
  get enforced(): number {
    const first = this.#receipts.firstWaiting;
    return first === null ? this.#place.seq : first - 1;
  }

  /**
   * A sidecar has said Hello. An older connection of the same sidecar is replaced. Gives the position for `Welcome`. Call it after the feed
   * is processed to a head that was read since the Hello arrived.
   * @param hello.rights of the sidecar, as text: if they differ from those of its last connection, all of its cards are read again
   * @returns `ahead` if the sidecar has seen changes that the database does not have; `full` if it holds too much
   */
  connect(
    id: StreamId,
    hello: Pick<Hello, 'resume' | 'held'> & { readonly rights?: string },
    monotonicMs: number,
  ): FeedPlace | 'ahead' | 'full' {
    this.sweep(monotonicMs);
    const resume = hello.resume?.epoch === this.#options.epoch ? hello.resume : null;
    if (resume !== null && resume.seq > this.#place.seq) return 'ahead';
    const stream = this.#streams.get(id) ?? new SidecarStream(id, this.#options.maxHeld, this.#room);
    // Even if it is refused: what it has noted is forgotten with it.
    this.#streams.set(id, stream);
    const { held, rights = '' } = hello;
    const due = stream.claimed(held, stream.rights === rights ? (resume?.seq ?? null) : null);
    if (due === 'full') return 'full';
    stream.rights = rights;
    this.#outgoing.drop(id);
    // INVARIANT: before its cards a sidecar is at a position that it has acknowledged, or at none.
    const from = resume ?? (stream.notes.size === 0 ? this.#place : NOWHERE);
    const { wanted } = stream;
    stream.connected(from.seq, due);
    // Receipts may wait for it, of changes that concern none of its cards.
    stream.wanted = Math.max(wanted, this.#place.seq);
    // It may have a lease of another replica.
    stream.fencedMs = Math.max(stream.fencedMs, this.#fencedMs(monotonicMs));
    this.#acknowledge(stream, from.seq);
    if (stream.due.size > 0) this.#withDue.add(stream);
    this.#proceed(stream);
    return from;
  }

  /** The connection has ended. The sidecar stays a holder until it is fenced. */
  disconnect(id: StreamId, monotonicMs: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.disconnected();
    this.#withDue.delete(stream);
    this.#outgoing.drop(id);
    this.sweep(monotonicMs);
  }

  ping(id: StreamId, n: number, monotonicMs: number): void {
    const stream = this.#streams.get(id);
    if (stream?.isOpen === true) stream.pinged({ n, atMs: monotonicMs, after: this.#beat });
  }

  /** `false` if the sidecar acknowledges what was not sent to it: its connection must be closed. */
  ack(id: StreamId, seq: number): boolean {
    const stream = this.#streams.get(id);
    if (stream?.isOpen !== true) return true;
    if (seq > stream.sent) return false;
    this.#acknowledge(stream, seq);
    this.#proceed(stream);
    return true;
  }

  /** The sidecar holds these tasks no longer, unless it has opened them since its open number `n`. */
  dropped(id: StreamId, keys: readonly TaskKeyMessage[], n: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    for (const text of keys.map(textOfKey)) {
      const note = stream.notes.get(text);
      if (note !== undefined && note.n <= n) this.#holders.forget(stream, text);
    }
    this.#proceed(stream);
  }

  /** Whether the sidecar holds the task; `unread` if it claims so and its card, which decides whether it may, was not read yet. */
  holds(id: StreamId, key: TaskKeyMessage): boolean | 'unread' {
    const note = this.#streams.get(id)?.notes.get(textOfKey(key));
    return note?.root === null ? 'unread' : note !== undefined;
  }

  /** Before the read of an open. `full` if the sidecar holds too much, `unknown` if it has no stream here. */
  noting(id: StreamId, tokens: readonly TokenKey[], n: number): 'ok' | 'full' | 'unknown' {
    const stream = this.#streams.get(id);
    if (stream?.isOpen !== true) return 'unknown';
    return tokens.every(({ key, jti_digest }) => stream.note(key, [jti_digest], n)) ? 'ok' : 'full';
  }

  /**
   * After the read of an open at the head `seq`: the reply may be sent. `again` if it may not, since the hub has processed later changes:
   * then read again.
   */
  noted(
    id: StreamId,
    opened: readonly OpenedRoot[],
    { n, seq }: { readonly n: number; readonly seq: number },
  ): 'ok' | 'again' | 'unknown' {
    const stream = this.#streams.get(id);
    if (stream?.isOpen !== true) return 'unknown';
    if (this.#place.seq > seq) return 'again';
    for (const { token, root } of opened) {
      const text = textOfKey(token.key);
      const note = stream.notes.get(text);
      if (root !== null) {
        // The note may be gone: by an older drop, or by another open that found nothing.
        if (note === undefined && !stream.note(token.key, [token.jti_digest], n)) return 'unknown';
        this.#holders.link(stream, token.key, { root, position: this.#place.seq });
      } else if (note !== undefined && note.root === null && note.n <= n && !stream.isToBeRead(text))
        // INVARIANT: a task that the sidecar may hold is forgotten only with a message that says that it is gone.
        this.#holders.forget(stream, text);
    }
    return 'ok';
  }

  /**
   * Processes the feed up to `to`.
   * @param changes those after `position`, without a gap; `null` if some of them are no longer known
   * @param monotonicMs read after the last of them was committed
   */
  changed(changes: readonly FeedChange[] | null, to: FeedPlace, monotonicMs: number): void {
    const from = this.#place.seq;
    if (to.seq <= from) return;
    this.#place = to;
    const fencedMs = this.#fencedMs(monotonicMs);
    if (changes === null || changes.length !== to.seq - from) this.#anyChanged(fencedMs);
    else for (const [at, change] of changes.entries()) this.#rootChanged(from + at + 1, change, fencedMs);
    for (const stream of this.#streams.values()) this.#proceed(stream);
  }

  /**
   * The cards to read now for each stream, at a head of at least `position`. Answer each with `send` or `unread`.
   * @param canTake whether the connection takes more at the moment
   */
  due(canTake: (id: StreamId) => boolean = () => true): ReadonlyMap<StreamId, readonly CardToRead[]> {
    return this.#withDue.next(this.#place, canTake);
  }

  /**
   * Sends cards that `due` has asked for.
   * @param cards in the order of `read`; `null` if there is no such task for the sidecar
   * @param head at which they were read
   */
  send(
    id: StreamId,
    read: readonly CardToRead[],
    { cards, head }: { readonly cards: readonly (Card | null)[]; readonly head: number },
  ): void {
    const stream = this.#streams.get(id);
    const batch = stream?.batch;
    if (stream === undefined || !batch || stream.reading !== read) return;
    stream.reading = null;
    if (head < batch.to) return stream.readAgain(read.map(({ key }) => key));
    const found: Card[] = [];
    const gone: TaskKeyMessage[] = [];
    for (const [at, { key, n, isLinked }] of read.entries()) {
      const text = textOfKey(key);
      const note = stream.notes.get(text);
      const card = cards[at] ?? null;
      // Changes processed since may be of this task, if it was not linked when its reading began: read it again. The same if no card was
      // found and the sidecar has opened it meanwhile: it may hold an older card of the task, which no reply to an open removes.
      const isOvertaken =
        note !== undefined && ((!isLinked && this.#place.seq > head) || (card === null && note.n !== n));
      if (isOvertaken) {
        stream.readAgain([key]);
        continue;
      }
      batch.keys.delete(text);
      if (note === undefined) continue;
      if (card !== null) {
        this.#holders.link(stream, key, { root: card.root, position: this.#place.seq });
        found.push(card);
      } else {
        // INVARIANT: with a lease of before a sidecar may use the task until it has heard this, so later changes wait for it.
        if (note.root !== null) this.#receipts.leaves(note.root, id, stream.untilTold(batch, this.#place.seq));
        this.#holders.forget(stream, text);
        gone.push(key);
      }
    }
    const changes = stream.changesWith({ cards: found, gone, at: head });
    if (changes !== null) this.#outgoing.add(stream.id, { of: 'changes', changes });
    this.#proceed(stream);
  }

  /** The cards could not be read: they stay due. */
  unread(id: StreamId, read: readonly CardToRead[]): void {
    const stream = this.#streams.get(id);
    if (stream?.reading !== read) return;
    stream.reading = null;
    stream.readAgain(read.map(({ key }) => key));
  }

  /** A synced commit is about to begin. Pings that have arrived are answered once it is committed. */
  beatBegins(): number {
    return (this.#beat += 1);
  }

  /**
   * A beat is committed, and it saw `head`. The feed must be processed up to there; else the beat renews nothing.
   * @param nowMs for the clock floor of the sidecars
   */
  beatCommitted(beat: number, head: number, nowMs: number): void {
    if (head > this.#place.seq) return;
    for (const stream of this.#streams.values()) {
      if (!stream.isOpen) continue;
      stream.beaten(beat, { head, nowMs });
      this.#proceed(stream);
    }
  }

  /** The receipt of the last change of a root task up to `seq`, a head read after its commit. Ask until it is enforced. */
  receipt(seq: number, root: string, monotonicMs: number): Receipt {
    this.sweep(monotonicMs);
    const known =
      seq > this.#place.seq ? NOBODY : (this.#receipts.of(root) ?? this.#receiptOfHolders(seq, root, monotonicMs));
    return {
      ...known,
      enforced: known.enforced && seq <= this.#place.seq && monotonicMs >= this.#options.inheritedUntilMs,
    };
  }

  /** Settles what waits for sidecars whose lease has run out, and forgets those that are not connected. */
  sweep(monotonicMs: number): void {
    // INVARIANT: while a stream is open, an earlier ping may still be answered.
    this.#receipts.sweep(monotonicMs, (id) => {
      const { isOpen, fencedMs } = this.#streams.get(id) ?? GONE;
      return isOpen ? Infinity : fencedMs;
    });
    for (const stream of this.#streams.values()) {
      if (!stream.isOpen && stream.fencedMs <= monotonicMs) this.#remove(stream);
    }
  }

  /** What is to be sent since the last call. */
  outgoing(): ReadonlyMap<StreamId, readonly Down[]> {
    return this.#outgoing.taken();
  }

  #rootChanged(seq: number, { root, part }: FeedChange, fencedMs: number): void {
    const holders = this.#holdersOf(root);
    for (const [id, texts] of holders) {
      const stream = this.#streams.get(id);
      stream?.changed(texts, seq);
      if (stream?.isOpen === true) this.#withDue.add(stream);
    }
    if (part !== 'history') this.#receipts.changed(seq, root, { holders: holders.keys(), fencedMs });
  }

  /** The sidecars that a change of a root task concerns, each with its tasks. Keys and orders concern all sidecars. */
  #holdersOf(root: string): ReadonlyMap<StreamId, Iterable<string>> {
    const isOfAll = ROOTS_OF_ALL.includes(root);
    return isOfAll ? new Map([...this.#streams.keys()].map((id) => [id, []])) : this.#holders.of(root);
  }

  /** Some changes are not known: everything held is sent again. */
  #anyChanged(fencedMs: number): void {
    for (const stream of this.#streams.values()) {
      stream.allChanged(this.#place.seq);
      if (stream.due.size > 0) this.#withDue.add(stream);
    }
    for (const root of [...ROOTS_OF_ALL, ...this.#holders.roots]) {
      this.#receipts.changed(this.#place.seq, root, { holders: this.#holdersOf(root).keys(), fencedMs });
    }
  }

  /** A receipt of the current holders of the task, if its last change is long ago, or from before this hub. */
  #receiptOfHolders(seq: number, root: string, monotonicMs: number): Receipt {
    const late = [...this.#holdersOf(root).keys()]
      .flatMap((id) => this.#streams.get(id) ?? [])
      .filter(({ acknowledged }) => acknowledged < seq);
    if (late.length === 0) return NOBODY;
    this.#receipts.changed(seq, root, { holders: late.map(({ id }) => id), fencedMs: this.#fencedMs(monotonicMs) });
    for (const stream of late) stream.wanted = Math.max(stream.wanted, seq);
    for (const stream of late) this.#proceed(stream);
    return this.#receipts.of(root) ?? NOBODY;
  }

  #acknowledge(stream: SidecarStream, seq: number): void {
    stream.acknowledged = Math.max(stream.acknowledged, seq);
    this.#receipts.acknowledged(stream.id, seq);
  }

  /** Sends what no longer waits for anything. */
  #proceed(stream: SidecarStream): void {
    for (const down of stream.proceed(this.#place, this.#options)) this.#outgoing.add(stream.id, down);
  }

  /** When every lease has run out that was given at an instant, or could still be renewed from a ping of that instant. */
  #fencedMs(atMs: number): number {
    return atMs + this.#options.leaseMs + this.#options.marginMs;
  }

  #remove(stream: SidecarStream): void {
    for (const text of stream.notes.keys()) this.#holders.forget(stream, text);
    this.#streams.delete(stream.id);
  }
}

const NOWHERE: FeedPlace = { seq: 0, mark: '' };
const GONE = { isOpen: false, fencedMs: -Infinity };
const NOBODY: Receipt = { enforced: true, holders: 0, acknowledged: 0, fenced: 0 };
