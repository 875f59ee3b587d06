import type { FeedPlace } from './hub/feed-place.ts';
import type { Changes, Down, HeldCard, TaskKeyMessage, TokenKey } from '../../core/fleet/messages.ts';
import type { SharedRoom } from '../../core/runtime/collections/shared-room.ts';

/** Names a sidecar process: its verified identity and its instance. */
export type StreamId = string;

/** A task that a sidecar holds, or is about to. */
interface Note {
  readonly key: TaskKeyMessage;
  readonly jtiDigests: Set<string>;
  /** Number of the last open that named it; 0 if `Hello` did. */
  n: number;
  /** `null` until a card was read: the card links a task to its root. */
  root: string | null;
  /** The last change of it that was noticed, and at least the position at which it was linked. */
  changed: number;
}

/** A card to be read for a stream. */
export interface CardToRead {
  readonly key: TaskKeyMessage;
  readonly jtiDigests: readonly string[];
  readonly n: number;
  /** Whether changes of the task have been noticed since before the reading. */
  readonly isLinked: boolean;
}

/** The root task of a token that was opened; `null` if there is no such task for the sidecar. */
export interface OpenedRoot {
  readonly token: TokenKey;
  readonly root: string | null;
}

/** A ping without its answer. */
interface WaitingPing {
  readonly n: number;
  readonly atMs: number;
  /** Number of the last beat that began before the ping arrived. */
  readonly after: number;
}

/** An answer that a beat has allowed. */
interface ReadyFresh {
  readonly n: number;
  readonly atMs: number;
  /** The head that the beat saw. */
  readonly head: number;
  readonly nowMs: number;
  /** What the sidecar must have acknowledged before; `null` until everything up to `head` is sent. */
  needs: number | null;
}

/** In which life of the database a lease is given, how long it is, and what is added to it before it counts as over. */
interface LeaseTerms {
  readonly epoch: string;
  readonly leaseMs: number;
  readonly marginMs: number;
}

/** Changed tasks whose cards are sent together, before the position `to` is. */
interface Batch {
  readonly to: number;
  readonly mark: string;
  /** Those whose card was not sent yet. */
  readonly keys: Set<string>;
  /** The order in which they are read. A card that must be read again is appended. */
  readonly queue: string[];
  /** How many of the queue were taken. */
  taken: number;
}

/** Most pings kept, each from before another beat. */
const MAX_PINGS = 4;

export const textOfKey = ({ issuer, id }: TaskKeyMessage): string => `${issuer.length}:${issuer}${id}`;

/**
 * What the authority knows of a sidecar: the tasks it holds, what of them must be sent, how far it is, and when it is fenced. Its
 * members are for `FeedHub`, which keeps them consistent. It outlives a broken connection, since the sidecar may continue to decide.
 */
export class SidecarStream {
  readonly id: StreamId;
  /** The verified identity of its process. */
  readonly peer: string;
  /** The rights with which it connected last, as text. */
  rights = '';
  readonly #maxHeld: number;
  readonly #room: SharedRoom;
  readonly notes = new Map<string, Note>();
  #held = 0;
  isOpen = false;
  /** Whether all cards named by `Hello` have been sent. */
  isWhole = true;
  /** Changed tasks that no batch contains yet. */
  readonly due = new Set<string>();
  batch: Batch | null = null;
  /** The cards of the batch that are being read. */
  reading: readonly CardToRead[] | null = null;
  sent = 0;
  acknowledged = 0;
  /** The last position sent together with cards: the lease is renewed only once it is acknowledged. */
  owed = 0;
  /** Position up to which an acknowledgement is wanted, even if nothing else is to be sent. */
  wanted = 0;
  pings: WaitingPing[] = [];
  ready: ReadyFresh | null = null;
  /** From then on (monotonic) the lease of the sidecar has run out. */
  fencedMs = -Infinity;

  constructor(id: StreamId, maxHeld: number, room: SharedRoom) {
    this.id = id;
    this.peer = peerOf(id);
    this.#maxHeld = maxHeld;
    this.#room = room;
  }

  /** Notes that the sidecar holds, or may hold, a task with some of its tokens. `false` if it would hold too much. */
  note(key: TaskKeyMessage, jtiDigests: readonly string[], n: number): boolean {
    const text = textOfKey(key);
    const note = this.notes.get(text);
    const added = [...new Set(jtiDigests.filter((digest) => note?.jtiDigests.has(digest) !== true))];
    const grown = weightsOf(added) + (note === undefined ? weightOf(text) : 0);
    if (this.#held + grown > this.#maxHeld || !this.#room.take(this.peer, grown)) return false;
    this.#held += grown;
    if (note === undefined) this.notes.set(text, { key, jtiDigests: new Set(added), n, root: null, changed: 0 });
    else {
      for (const digest of added) note.jtiDigests.add(digest);
      note.n = Math.max(note.n, n);
    }
    return true;
  }

  forget(text: string): void {
    const note = this.notes.get(text);
    if (note === undefined) return;
    const held = weightsOf(note.jtiDigests) + weightOf(text);
    this.#held -= held;
    this.#room.give(this.peer, held);
    this.notes.delete(text);
    this.due.delete(text);
  }

  /** Whether the card of a task is still to be read for it, and sent or said to be gone. */
  isToBeRead(text: string): boolean {
    return this.due.has(text) || this.batch?.keys.has(text) === true;
  }

  /** Something that it holds has changed. While it is not connected, the position at which it reconnects decides whether that is due. */
  changed(texts: Iterable<string>, seq: number): void {
    for (const text of texts) {
      const note = this.notes.get(text);
      if (note !== undefined) note.changed = seq;
      if (this.isOpen) this.due.add(text);
    }
    // It is wanted even if the sidecar drops all of them before they are sent.
    if (this.isOpen) this.wanted = seq;
  }

  /**
   * Notes what the sidecar holds according to its `Hello`. Gives what is due to it; `full` if it would hold too much.
   *
   * A card is not due if this process has seen all changes of its task since it was read, and the sidecar has applied the last of them: so a
   * reconnect costs a list, and no reading.
   * @param applied the position up to which the sidecar has applied all changes of what it holds; `null` if it names no position of this
   *   database
   */
  claimed(held: readonly HeldCard[], applied: number | null): ReadonlySet<string> | 'full' {
    const due = new Set<string>();
    for (const { key, jti_digests: digests } of held) {
      const text = textOfKey(key);
      const before = this.notes.get(text);
      const isCurrent =
        applied !== null &&
        before !== undefined &&
        before.root !== null &&
        before.changed <= applied &&
        digests.every((digest) => before.jtiDigests.has(digest));
      if (!this.note(key, digests, 0)) return 'full';
      if (!isCurrent) due.add(text);
    }
    // An open whose card was not read before the last stream ended: the sidecar may hold it all the same.
    for (const [text, { root }] of this.notes) if (root === null || applied === null) due.add(text);
    return due;
  }

  /** A new connection: what is due is sent again, after the position from which it continues. */
  connected(from: number, due: Iterable<string>): void {
    this.disconnected();
    this.isOpen = true;
    for (const text of due) this.due.add(text);
    this.isWhole = this.due.size === 0;
    this.sent = from;
    this.acknowledged = from;
    this.owed = from;
    this.wanted = from;
  }

  /** Everything held may have changed up to a position, and keys too. */
  allChanged(position: number): void {
    this.changed(this.notes.keys(), position);
    if (this.isOpen) this.wanted = position;
  }

  disconnected(): void {
    this.isOpen = false;
    this.due.clear();
    this.batch = null;
    this.reading = null;
    this.pings = [];
    this.ready = null;
  }

  pinged(ping: WaitingPing): void {
    const last = this.pings.at(-1);
    if (last !== undefined && (last.after === ping.after || this.pings.length === MAX_PINGS)) this.pings.pop();
    this.pings.push(ping);
  }

  /** A beat that saw `head` has committed: the latest ping from before it began may be answered. */
  beaten(beat: number, { head, nowMs }: { readonly head: number; readonly nowMs: number }): void {
    // An answer that only waits for its acknowledgement is not replaced, or a slow sidecar would never get an answer.
    if (this.ready !== null && this.ready.needs !== null) return;
    const ping = this.pings.findLast(({ after }) => after < beat);
    if (ping === undefined) return;
    this.pings = this.pings.filter(({ after }) => after >= beat);
    this.ready = { n: ping.n, atMs: ping.atMs, head, nowMs, needs: null };
  }

  /** Cards to read next, at most `limit`. `null` if there are none, or some are being read. */
  toRead({ seq, mark }: FeedPlace, limit: number): readonly CardToRead[] | null {
    if (!this.isOpen || this.reading !== null) return null;
    if (this.batch === null) {
      if (this.due.size === 0) return null;
      this.batch = { to: seq, mark, keys: new Set(this.due), queue: [...this.due], taken: 0 };
      this.due.clear();
    }
    const { batch } = this;
    const reading: CardToRead[] = [];
    while (reading.length < limit && batch.taken < batch.queue.length) {
      const text = batch.queue[batch.taken] ?? '';
      batch.taken += 1;
      const note = this.notes.get(text);
      if (note === undefined) batch.keys.delete(text);
      else reading.push({ key: note.key, jtiDigests: [...note.jtiDigests], n: note.n, isLinked: note.root !== null });
    }
    this.reading = reading;
    return reading;
  }

  /** Cards of the batch that must be read once more. */
  readAgain(keys: readonly TaskKeyMessage[]): void {
    this.batch?.queue.push(...keys.map(textOfKey));
  }

  /** The next message of the batch; the last message of a batch moves the position. `null` if it would be empty. */
  changesWith(read: Pick<Changes, 'cards' | 'gone' | 'at'>): Changes | null {
    const { batch, sent: from } = this;
    if (batch === null) return null;
    const isLast = batch.keys.size === 0;
    if (isLast) {
      this.batch = null;
      this.isWhole = true;
      this.sent = Math.max(from, batch.to);
      this.owed = this.sent;
    }
    const { mark } = batch;
    return isLast || read.cards.length + read.gone.length > 0 ? { from, to: this.sent, mark, ...read } : null;
  }

  /**
   * When it has heard what a batch says: it has acknowledged its position. A batch that moves no position is heard with the next change, of which
   * an acknowledgement is wanted.
   * @param position up to which the feed is processed
   */
  untilTold({ to }: Batch, position: number): { readonly seq: number; readonly fencedMs: number } {
    const { fencedMs } = this;
    if (to > this.sent) return { seq: to, fencedMs };
    this.wanted = Math.max(this.wanted, position + 1);
    return { seq: position + 1, fencedMs };
  }

  /** The messages that no longer wait for anything: an empty stretch of the feed up to `position`, and `Fresh`. */
  proceed({ seq: position, mark }: FeedPlace, { epoch, leaseMs, marginMs }: LeaseTerms): readonly Down[] {
    const { ready, sent: from } = this;
    if (!this.isOpen || (ready === null && this.wanted <= from)) return [];
    const downs: Down[] = [];
    const isDone = this.due.size === 0 && this.batch === null;
    this.isWhole ||= isDone;
    if (isDone && from < position) {
      this.sent = position;
      downs.push({ of: 'changes', changes: { from, to: position, mark, cards: [], at: position, gone: [] } });
    }
    if (ready === null || !this.isWhole || this.sent < ready.head) return downs;
    ready.needs ??= this.owed;
    if (this.acknowledged < ready.needs) return downs;
    this.ready = null;
    this.fencedMs = Math.max(this.fencedMs, ready.atMs + leaseMs + marginMs);
    downs.push({
      of: 'fresh',
      fresh: { n: ready.n, position: { epoch, seq: this.sent, mark: '' }, now_ms: ready.nowMs },
    });
    return downs;
  }
}

/**
 * What a name counts in the room for what sidecars hold: a task or token 1, and more if its name is long, since the room is bounded in bytes
 * too.
 */
const weightOf = (name: string): number => Math.max(1, Math.ceil(name.length / 128));

/** The identity in the name of a stream. */
export const peerOf = (id: StreamId): string => id.split(' ', 1)[0] ?? id;

const weightsOf = (digests: Iterable<string>): number => {
  let sum = 0;
  for (const digest of digests) sum += weightOf(digest);
  return sum;
};
