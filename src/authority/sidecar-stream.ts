import type { FeedPlace } from './feed-place.ts';
import type { Changes, Down, TaskKeyMessage, TokenKey } from '../fleet/messages.ts';

/** Names a sidecar process: its verified identity and its instance. */
export type StreamId = string;

/** A task that a sidecar holds, or is about to. */
interface Note {
  readonly key: TaskKeyMessage;
  readonly jtiDigests: Set<string>;
  /** Number of the last open that named it; 0 where `Hello` did. */
  n: number;
  /** `null` until a card was read: a task is linked to its root by it. */
  root: string | null;
}

/** How many more tasks and tokens all sidecars together may hold. */
export interface HeldRoom {
  left: number;
}

/** A card to be read for a stream. */
export interface CardToRead {
  readonly key: TaskKeyMessage;
  readonly jtiDigests: readonly string[];
  readonly n: number;
  /** Whether changes of the task have been noticed since before the reading. */
  readonly isLinked: boolean;
}

/** The root task of a token that was opened; `null` where there is no such task for the sidecar. */
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

/** Most pings kept, each from before another beat. */
const MAX_PINGS = 4;

export const textOfKey = ({ issuer, id }: TaskKeyMessage): string => `${issuer.length}:${issuer}${id}`;

/**
 * What the authority knows of one sidecar: the tasks it holds, what of them must be sent, how far it is, and until when it is fenced. Its
 * members are for `FeedHub`, which keeps them consistent. It outlives a broken connection, since the sidecar may go on deciding.
 */
export class SidecarStream {
  readonly id: StreamId;
  readonly #maxHeld: number;
  readonly #room: HeldRoom;
  readonly notes = new Map<string, Note>();
  #held = 0;
  isOpen = false;
  /** Whether all cards named by `Hello` have been sent. */
  isWhole = true;
  /** Changed tasks that no batch contains yet. */
  readonly due = new Set<string>();
  /** Tasks whose cards must be sent before the position `to` is. */
  batch: { readonly to: number; readonly mark: string; readonly keys: Set<string> } | null = null;
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

  constructor(id: StreamId, maxHeld: number, room: HeldRoom) {
    this.id = id;
    this.#maxHeld = maxHeld;
    this.#room = room;
  }

  /** Notes that the sidecar holds, or may hold, a task with some of its tokens. `false` where it would hold too much. */
  note(key: TaskKeyMessage, jtiDigests: readonly string[], n: number): boolean {
    const text = textOfKey(key);
    const note = this.notes.get(text);
    const added = jtiDigests.filter((digest) => note?.jtiDigests.has(digest) !== true);
    const grown = new Set(added).size + (note === undefined ? 1 : 0);
    if (this.#held + grown > this.#maxHeld || grown > this.#room.left) return false;
    this.#held += grown;
    this.#room.left -= grown;
    if (note === undefined) this.notes.set(text, { key, jtiDigests: new Set(added), n, root: null });
    else {
      for (const digest of added) note.jtiDigests.add(digest);
      note.n = Math.max(note.n, n);
    }
    return true;
  }

  forget(text: string): void {
    const note = this.notes.get(text);
    if (note === undefined) return;
    this.#held -= note.jtiDigests.size + 1;
    this.#room.left += note.jtiDigests.size + 1;
    this.notes.delete(text);
    this.due.delete(text);
  }

  /** A new connection: everything held is sent anew, after the position from which it goes on. */
  connected(from: number): void {
    this.disconnected();
    this.isOpen = true;
    for (const text of this.notes.keys()) this.due.add(text);
    this.isWhole = this.due.size === 0;
    this.sent = from;
    this.acknowledged = from;
    this.owed = from;
    this.wanted = from;
  }

  /** Everything held may have changed up to a position, and keys too. */
  allChanged(position: number): void {
    for (const text of this.notes.keys()) this.due.add(text);
    this.wanted = position;
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
    // An answer that only waits for its acknowledgement is not replaced, or a slow sidecar would never get one.
    if (this.ready !== null && this.ready.needs !== null) return;
    const ping = this.pings.findLast(({ after }) => after < beat);
    if (ping === undefined) return;
    this.pings = this.pings.filter(({ after }) => after >= beat);
    this.ready = { n: ping.n, atMs: ping.atMs, head, nowMs, needs: null };
  }

  /** Cards to read next, at most `limit`. `null` where there are none, or some are being read. */
  toRead({ seq, mark }: FeedPlace, limit: number): readonly CardToRead[] | null {
    if (!this.isOpen || this.reading !== null) return null;
    if (this.batch === null) {
      if (this.due.size === 0) return null;
      this.batch = { to: seq, mark, keys: new Set(this.due) };
      this.due.clear();
    }
    const reading: CardToRead[] = [];
    for (const text of this.batch.keys) {
      if (reading.length === limit) break;
      const note = this.notes.get(text);
      if (note === undefined) this.batch.keys.delete(text);
      else reading.push({ key: note.key, jtiDigests: [...note.jtiDigests], n: note.n, isLinked: note.root !== null });
    }
    this.reading = reading;
    return reading;
  }

  /** One message of the batch, of which the last one moves the position. `null` where it would say nothing. */
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

  /** What waits for nothing any more: an empty stretch of the feed up to `position`, and `Fresh`. */
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
