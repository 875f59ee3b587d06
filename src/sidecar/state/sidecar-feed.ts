import { LRUCache } from 'lru-cache';
import { upTo } from '../../core/runtime/collections/up-to.ts';
import { heldTaskOf } from '../../core/fleet/card.ts';
import type { HeldTask } from '../../core/fleet/card.ts';
import { Lease } from '../../core/fleet/lease.ts';
import type { Moment } from '../../core/fleet/lease.ts';
import type {
  Card,
  Changes,
  Down,
  Dropped,
  Fresh,
  Hello,
  OpenReply,
  OpenRequest,
  Ping,
  Position,
  SidecarStatus,
  TokenKey,
  Up,
  Welcome,
} from '../../core/fleet/messages.ts';
import type { Orders } from '../../core/order/orders.ts';
import type { TaskKey } from '../../core/state/store.ts';
import { HeldCards, nameOf } from './held-cards.ts';
import type { CardState } from './held-cards.ts';
import { HeldOrders } from './held-orders.ts';

/** An open whose reply may still come. */
interface Opening {
  readonly request: OpenRequest;
  /** What the stream has brought of its tasks meanwhile, by name. It may be newer than the reply. */
  readonly early: Map<string, Early>;
}

/** A card that came before the reply to an open; `null` if the task was reported as gone. */
interface Early {
  readonly held: HeldTask | null;
  readonly seq: number;
}

/**
 * What a sidecar knows of tasks: cards, its position in the feed, and its lease. It has no I/O and no clock of its own. One stream after
 * another: `hello`, then `heard` for each message of the stream, then `disconnected`. Without a stream the cards stay good until the lease
 * is over, since the authority counts the sidecar as a holder until then.
 */
export class SidecarFeed {
  readonly #instance: string;
  readonly #lease = new Lease();
  readonly #cards: HeldCards;
  readonly #orders = new HeldOrders();
  /** Tokens that an authority does not have for this sidecar. A token is written before it is handed out, so it will not come later. */
  readonly #absent: LRUCache<string, true>;
  /** The opens of this stream, by number. */
  readonly #opens = new Map<number, Opening>();
  /** Cards that the authority may still think are held. */
  readonly #dropped = new Map<string, TaskKey>();
  #lastOpen = 0;
  /** Life of the cards after an answered ping; `null` while no stream follows the feed. */
  #leaseMs: number | null = null;
  /** Everything up to here is applied. If the database is behind it, a commit was lost. */
  #position: Position | null = null;

  /**
   * @param options.instance random, made when the process starts
   * @param options.maxCards most cards, and most tokens that are known not to exist
   */
  constructor({ instance, maxCards }: { readonly instance: string; readonly maxCards: number }) {
    this.#instance = instance;
    this.#absent = new LRUCache(upTo(maxCards));
    this.#cards = new HeldCards(maxCards, (key) => this.#dropped.set(nameOf(key), key));
  }

  /** The position of the sidecar; `null` before the first stream. */
  get position(): Position | null {
    return this.#position;
  }

  /** The orders that are known. They may be old once the lease is over. */
  get orders(): Orders {
    return this.#orders.orders;
  }

  /** Number of cards held. */
  get cards(): number {
    return this.#cards.size;
  }

  /** For how long the cards are good, in milliseconds. */
  leaseLeftMs(at: Moment): number {
    return this.#lease.leftMs(at);
  }

  /** Whether a stream follows the feed, so that tokens can be opened. */
  get isFollowing(): boolean {
    return this.#leaseMs !== null;
  }

  /** The first message of a new stream. */
  hello(own: Pick<Hello, 'version' | 'policy_set' | 'log'>): Hello {
    this.disconnected();
    this.#dropped.clear();
    const orders = { orders: true, orders_digest: this.#orders.digest };
    return { ...own, instance: this.#instance, resume: this.#position, held: this.#cards.listed(), ...orders };
  }

  ping(at: Moment, status: SidecarStatus | null): Ping {
    return { n: this.#lease.ping(at), status };
  }

  /** The stream has ended. Replies to its opens come too late: the next stream does not know of them. */
  disconnected(): void {
    this.#leaseMs = null;
    this.#opens.clear();
    this.#absent.clear();
    this.#lease.forgetPings();
  }

  /** Takes a message of the stream. Gives what is to be sent, or `resync` if the stream must be closed and a new stream begun. */
  heard(down: Down): readonly Up[] | 'resync' {
    switch (down.of) {
      case 'welcome':
        return this.#welcomed(down.welcome);
      case 'changes':
        return this.#changed(down.changes) ?? this.#gap();
      case 'fresh':
        return this.#refreshed(down.fresh) ?? this.#gap();
      case 'orders':
        return this.#orders.heard(down.orders) ? [] : this.#gap();
      case 'resync':
        return 'resync';
      case 'keys':
      case 'policy':
      case 'drain':
      case 'reported':
        return [];
      default:
        down satisfies never;
        // A message that a later version has.
        return [];
    }
  }

  /** The request for tokens that are not held. Only while `isFollowing`. */
  open(tokens: readonly TokenKey[]): OpenRequest {
    this.#lastOpen += 1;
    const request = { instance: this.#instance, tokens, n: this.#lastOpen };
    this.#opens.set(request.n, { request, early: new Map() });
    return request;
  }

  /**
   * Takes the reply to an open; `null` if it failed. `false` if it failed, or its stream has ended meanwhile.
   */
  opened(request: OpenRequest, reply: OpenReply | null): boolean {
    const opening = this.#opens.get(request.n);
    this.#opens.delete(request.n);
    if (opening?.request !== request) return false;
    if (reply === null || !this.#isHere(reply.position)) {
      for (const { key } of request.tokens) this.#dropped.set(nameOf(key), key);
      return false;
    }
    const seq = reply.position.seq;
    request.tokens.forEach((token, index) => this.#openedOne(token, { card: reply.opened[index]?.card, seq, opening }));
    return true;
  }

  /** Takes the card of a use that was not settled. A card that is not held stays so: its authority may know no stream of this sidecar. */
  settled(card: Card, position: Position): void {
    const held = this.#isHere(position) ? heldTaskFrom(card) : null;
    if (held !== null) this.#cards.changed(held, { seq: position.seq, isWhole: false });
  }

  /**
   * The state of a use now: `undefined` if there is no such task or token, `unknown` if the token must be opened first, `stale` if
   * the lease is over.
   */
  of(key: TaskKey, jtiDigest: string, at: Moment): CardState | undefined | 'unknown' | 'stale' {
    if (!this.#lease.isCurrent(at)) return 'stale';
    const held = this.#cards.of(key, jtiDigest);
    if (held !== undefined) return held;
    return this.#absent.has(absentName({ key, jti_digest: jtiDigest })) ? undefined : 'unknown';
  }

  /** Whether a task with an idle limit is held. */
  idles(key: TaskKey): boolean {
    return this.#cards.idles(key);
  }

  /** Forgets tokens that expired a minute ago. Call it each minute or so. */
  expire(floorMs: number): void {
    for (const key of this.#cards.expire(floorMs)) this.#dropped.set(nameOf(key), key);
  }

  /**
   * The cards that were dropped since the last call, for the authority. INVARIANT: a card that is being opened stays held at the authority,
   * so its `n` is before that open.
   */
  dropped(): readonly Dropped[] {
    const byNumber = new Map<number, TaskKey[]>();
    for (const [name, key] of this.#dropped) {
      if (this.#cards.has(key)) continue;
      const n = this.#lastOpenBeforeThoseOf(name);
      byNumber.set(n, [...(byNumber.get(n) ?? []), key]);
    }
    this.#dropped.clear();
    return [...byNumber].flatMap(([n, keys]) => partsOf(keys).map((part) => ({ keys: part, n })));
  }

  #lastOpenBeforeThoseOf(name: string): number {
    for (const { request } of this.#opens.values()) {
      if (request.tokens.some(({ key }) => nameOf(key) === name)) return request.n - 1;
    }
    return this.#lastOpen;
  }

  #welcomed({ position, lease_ms: leaseMs, orders }: Welcome): readonly Up[] {
    if (this.#position !== null && this.#position.epoch !== position.epoch) {
      // Another life of the database: nothing from before is known to be true in it.
      for (const key of this.#cards.keys()) this.#drop(key);
      this.#lease.end();
    }
    this.#orders.began(orders);
    this.#leaseMs = leaseMs;
    this.#position = position;
    return [];
  }

  /** `null` if it does not continue the earlier changes. */
  #changed({ from, to, at, cards, gone, mark }: Changes): readonly Up[] | null {
    const position = this.#position;
    if (position === null || !this.isFollowing || from !== position.seq || to < from || at < to) return null;
    const changed = cards.map(heldTaskFrom);
    for (const held of changed) {
      if (held === null) return null;
      this.#cards.changed(held, { seq: at, isWhole: true });
      this.#keepForOpens(nameOf(held.task), { held, seq: at });
    }
    for (const key of gone) {
      this.#cards.gone(key, at);
      this.#keepForOpens(nameOf(key), { held: null, seq: at });
    }
    this.#position = to === from ? position : { epoch: position.epoch, seq: to, mark };
    return [{ of: 'ack', ack: { seq: to } }];
  }

  /** As `#changed`. */
  #refreshed({ n, position }: Fresh): readonly Up[] | null {
    if (this.#leaseMs === null || !this.#isHere(position) || position.seq !== this.#position?.seq) return null;
    if (!this.#orders.mayRenew()) return null;
    this.#lease.renew(n, this.#leaseMs);
    return [];
  }

  /** Something was missed, so no card is known to be current. */
  #gap(): 'resync' {
    this.#lease.end();
    return 'resync';
  }

  #drop(key: TaskKey): void {
    this.#cards.remove(key);
    this.#dropped.set(nameOf(key), key);
  }

  #isHere(position: Position | null): position is Position {
    return position !== null && this.isFollowing && position.epoch === this.#position?.epoch;
  }

  #openedOne(
    token: TokenKey,
    { card, seq, opening }: { readonly card: Card | null | undefined; readonly seq: number; readonly opening: Opening },
  ): void {
    const held = card === null || card === undefined ? null : heldTaskFrom(card);
    const name = nameOf(token.key);
    const early = opening.early.get(name);
    if (early !== undefined && early.held === null && early.seq >= seq) {
      // INVARIANT: a reply that was read before its task was gone brings no card back, because it would never be updated again.
      this.#dropped.set(name, token.key);
      return;
    }
    if (held !== null && nameOf(held.task) === name) {
      this.#cards.opened(held, [token.jti_digest], seq);
      if (early !== undefined && early.held !== null)
        this.#cards.changed(early.held, { seq: early.seq, isWhole: false });
    }
    if (this.#cards.of(token.key, token.jti_digest) === undefined) this.#absent.set(absentName(token), true);
  }

  /**
   * INVARIANT: a card of a task that is being opened is no state of a use until the reply to the open. The authority may not have read an
   * earlier drop of this task when it sent the card, nor the open when it reads the drop.
   */
  #keepForOpens(name: string, early: Early): void {
    for (const opening of this.#opens.values()) {
      if (opening.request.tokens.some(({ key }) => nameOf(key) === name)) opening.early.set(name, early);
    }
  }
}

/** `null` if the card is malformed. */
function heldTaskFrom(card: Card): HeldTask | null {
  try {
    return heldTaskOf(card);
  } catch {
    return null;
  }
}

const absentName = ({ key, jti_digest: digest }: TokenKey): string => `${digest}\n${nameOf(key)}`;

/** Most dropped cards of a message, of which an authority takes 4 MiB. */
const MAX_DROPPED = 8_192;

const partsOf = (keys: readonly TaskKey[]): readonly (readonly TaskKey[])[] =>
  Array.from({ length: Math.ceil(keys.length / MAX_DROPPED) }, (_, part) =>
    keys.slice(part * MAX_DROPPED, (part + 1) * MAX_DROPPED),
  );
