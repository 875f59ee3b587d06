import { LRUCache } from 'lru-cache';
import { upTo } from '../../core/runtime/collections/up-to.ts';
import type { HeldTask, HeldToken } from '../../core/fleet/card.ts';
import type { Elsewhere, HeldCard } from '../../core/fleet/messages.ts';
import type { IssuedTokenState } from '../../core/task/issued-token.ts';
import type { Task } from '../../core/task/task.ts';
import type { TaskHistory } from '../../core/task/history.ts';
import type { TaskKey } from '../../core/state/store.ts';
import type { UseState } from '../../core/state/store-reader.ts';

/** Most tokens of a card. Beyond that, the first token is forgotten; its next use opens it again. */
const MAX_TOKENS = 256;
/** Tokens are kept for a minute after their expiry, so that their denial still has the right reason. */
const KEPT_AFTER_EXPIRY_MS = 60_000;
/** Most bytes of a list of held cards, below the 4 MiB that an authority takes in a message. */
const MAX_LIST_BYTES = 3 * 1_024 * 1_024;
/** Bytes of a listed card and of each of its tokens on the wire, besides issuer and id. */
const LISTED_BYTES = 48;

/** The state of a use at a sidecar. */
export interface CardState extends UseState {
  readonly issued: IssuedTokenState;
  /** Where the token was used before it was opened here; `null` if no use was reported. */
  readonly elsewhere: Elsewhere | null;
}

/** Something from a card, current at least up to `seq` of the feed. */
interface Part<T> {
  readonly value: T;
  readonly seq: number;
}

interface KeptCard {
  readonly key: TaskKey;
  head: Part<{ readonly task: Task; readonly history: TaskHistory }>;
  /** The state of each token, by its digest. */
  readonly tokens: Map<string, Part<CardState>>;
}

/**
 * The cards of a sidecar. Task and history, and each token, have a position of their own: the answer to an open brings a single token of a
 * task whose other tokens are already known, and a late answer must not replace newer state. Beyond `maxCards` cards, the least recently used
 * are dropped.
 */
export class HeldCards {
  readonly #cards: LRUCache<string, KeptCard>;

  /** @param onDropped called for each card that makes room for another */
  constructor(maxCards: number, onDropped: (key: TaskKey) => void) {
    this.#cards = new LRUCache({
      ...upTo(maxCards),
      dispose: (card, _name, reason) => {
        if (reason === 'evict') onDropped(card.key);
      },
    });
  }

  get size(): number {
    return this.#cards.size;
  }

  has(key: TaskKey): boolean {
    return this.#cards.has(nameOf(key));
  }

  /** Whether the card of a task with an idle limit is held. */
  idles(key: TaskKey): boolean {
    return (this.#cards.peek(nameOf(key))?.head.value.task.idleMs ?? null) !== null;
  }

  /** The state of a use; `undefined` if the token is not held. */
  of(key: TaskKey, jtiDigest: string): CardState | undefined {
    return this.#cards.get(nameOf(key))?.tokens.get(jtiDigest)?.value;
  }

  keys(): readonly TaskKey[] {
    return [...this.#cards.values()].map(({ key }) => key);
  }

  /**
   * Stores the tokens that were opened, if the card has them, and the task, if it is not older than the held task.
   * @param seq position up to which the card is current
   */
  opened(held: HeldTask, jtiDigests: readonly string[], seq: number): void {
    const name = nameOf(held.task);
    const tokens = jtiDigests.flatMap((digest) => held.tokens.get(digest) ?? []);
    if (tokens.length === 0) return;
    const card = this.#cards.get(name) ?? newCard(held, seq);
    takeHead(card, held, seq);
    for (const token of tokens) takeToken(card, token, seq);
    for (const digest of card.tokens.keys()) {
      if (card.tokens.size <= MAX_TOKENS) break;
      card.tokens.delete(digest);
    }
    this.#cards.set(name, card);
  }

  /**
   * Updates what is held of the task, if the card is not older. INVARIANT: no token is added. The card may be older than a drop and a new
   * open of its task, and the authority then no longer sends changes for this token.
   * @param card `isWhole`: it has all tokens that are held; older tokens that it lacks are gone
   */
  changed(held: HeldTask, { seq, isWhole }: { readonly seq: number; readonly isWhole: boolean }): void {
    const card = this.#cards.peek(nameOf(held.task));
    if (card === undefined) return;
    takeHead(card, held, seq);
    for (const [digest, { seq: heldSeq }] of card.tokens) {
      const token = held.tokens.get(digest);
      if (token !== undefined) takeToken(card, token, seq);
      else if (isWhole && heldSeq < seq) card.tokens.delete(digest);
    }
  }

  /** The task does not exist, or no longer exists for this sidecar, as of `seq`. `onDropped` is not called. */
  gone(key: TaskKey, seq: number): void {
    if ((this.#cards.peek(nameOf(key))?.head.seq ?? Infinity) <= seq) this.remove(key);
  }

  /** Removes a card. `onDropped` is not called. */
  remove(key: TaskKey): void {
    this.#cards.delete(nameOf(key));
  }

  /** Removes the tokens that expired a minute ago, and cards without tokens. Gives the keys of removed cards. */
  expire(floorMs: number): readonly TaskKey[] {
    const removed: TaskKey[] = [];
    for (const card of this.#cards.values()) {
      for (const [digest, { value }] of card.tokens) {
        if (value.issued.expiresAtMs + KEPT_AFTER_EXPIRY_MS > floorMs) continue;
        card.tokens.delete(digest);
      }
      if (card.tokens.size === 0) removed.push(card.key);
    }
    for (const key of removed) this.remove(key);
    return removed;
  }

  /**
   * The held cards for a `Hello`, most recently used first. What does not fit into the message is removed: the authority would not know
   * that it is held.
   */
  listed(): readonly HeldCard[] {
    const list: HeldCard[] = [];
    const beyond: TaskKey[] = [];
    let bytes = 0;
    for (const { key, head, tokens } of this.#cards.values()) {
      bytes += (tokens.size + 1) * LISTED_BYTES + Buffer.byteLength(key.issuer) + Buffer.byteLength(key.id);
      if (bytes > MAX_LIST_BYTES) beyond.push(key);
      else
        list.push({
          key,
          jti_digests: [...tokens.keys()],
          state: head.value.task.state,
          generation: head.value.task.generation,
          history_version: head.value.history.version,
        });
    }
    for (const key of beyond) this.remove(key);
    return list;
  }
}

const newCard = ({ task, history }: HeldTask, seq: number): KeptCard => ({
  key: { issuer: task.issuer, id: task.id },
  head: { value: { task, history }, seq },
  tokens: new Map(),
});

/** All states of the card have its newest task and history. */
function takeHead(card: KeptCard, { task, history }: HeldTask, seq: number): void {
  if (seq < card.head.seq) return;
  card.head = { value: { task, history }, seq };
  for (const [digest, token] of card.tokens) {
    card.tokens.set(digest, { value: { ...token.value, task, history }, seq: token.seq });
  }
}

function takeToken(card: KeptCard, token: HeldToken, seq: number): void {
  const held = card.tokens.get(token.jtiDigest);
  if (held !== undefined && seq < held.seq) return;
  const { elsewhere, ...issued } = token;
  const { task, history } = card.head.value;
  // Only the reply to an open contains uses elsewhere.
  const value = { task, issued, history, elsewhere: elsewhere ?? held?.value.elsewhere ?? null };
  card.tokens.set(token.jtiDigest, { value, seq });
}

/** A name for a task. Ids have no line break. */
export const nameOf = ({ issuer, id }: TaskKey): string => `${id}\n${issuer}`;
