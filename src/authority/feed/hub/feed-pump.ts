import { setImmediate } from 'node:timers/promises';
import type { After } from '../../../core/runtime/timers.ts';
import type { Down } from '../../../core/fleet/messages.ts';
import type { Ports } from '../../../core/runtime/ports.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { SidecarRights } from '../authorize.ts';
import type { AuthorityEngine, OrdersAtHead } from '../engine.ts';
import type { FeedHub } from './feed-hub.ts';
import { feedPlaceOf } from './feed-place.ts';
import { permittedCard } from './permitted-card.ts';
import type { CardToRead, StreamId } from '../sidecar-stream.ts';

/** Options of a pump. */
export interface FeedPumpOptions {
  readonly hub: FeedHub;
  readonly engine: AuthorityEngine;
  readonly ports: Pick<Ports, 'monotonicMs'>;
  readonly after: After;
  /** The rights of a connected sidecar; `undefined` if it is not connected. */
  readonly rightsOf: (id: StreamId) => SidecarRights | undefined;
  /** Whether a sidecar reads what it is sent. */
  readonly canTake: (id: StreamId) => boolean;
  readonly write: (id: StreamId, down: Down) => void;
  /** `FollowersOptions.readKeys`. */
  readonly readKeys: ((position: number) => Promise<boolean>) | undefined;
  /** Sends the keys to all sidecars. */
  readonly keysChanged: () => void;
  /** Sends what has changed of the orders to all sidecars. */
  readonly ordersChanged: (at: OrdersAtHead) => void;
}

/** Passes the feed and the cards from the database to the hub, and the hub's messages to the streams. */
export class FeedPump {
  readonly #options: FeedPumpOptions;
  #polling: Promise<unknown> | null = null;
  #isReading = false;

  constructor(options: FeedPumpOptions) {
    this.#options = options;
  }

  /** Processes the feed as it is at the call or later. Gives whether it could be read; never rejects. */
  async poll(): Promise<boolean> {
    // A reading in progress may have begun before the commit that the caller knows of.
    while (this.#polling !== null) await this.#polling;
    const polling = this.#readFeed();
    this.#polling = polling;
    try {
      return await polling;
    } finally {
      this.#polling = null;
    }
  }

  /** Processes the feed up to a head at least. */
  async pollTo(head: number): Promise<boolean> {
    return this.#options.hub.position >= head || this.poll();
  }

  /** Writes what is due, and reads the cards that are. */
  advance(): void {
    this.#flush();
    if (!this.#isReading) void this.#readCards();
  }

  async #readFeed(): Promise<boolean> {
    const { hub, engine, keysChanged, ordersChanged, ports, readKeys } = this.#options;
    const found = await engine.feedAfter(hub.position);
    if (isStoreFailure(found)) return false;
    const to = found === null ? await feedPlaceOf(engine) : { seq: found.position, mark: found.mark };
    if (isStoreFailure(to)) return false;
    // INVARIANT: sidecars get keys and orders before the position that an acknowledgement of them names.
    const isOfKeys = found === null || found.changes.some(({ part }) => part === 'keys');
    if (isOfKeys && (await readKeys?.(to.seq)) === false) return false;
    const isOfOrders = found === null || found.changes.some(({ part }) => part === 'orders');
    const atHead = isOfOrders ? await engine.orders() : null;
    if (isStoreFailure(atHead) || (atHead !== null && atHead.seq < to.seq)) return false;
    if (isOfKeys) keysChanged();
    if (atHead !== null) ordersChanged(atHead);
    hub.changed(found?.changes ?? null, to, ports.monotonicMs());
    this.advance();
    return true;
  }

  async #readCards(): Promise<void> {
    const { hub, canTake, ports } = this.#options;
    this.#isReading = true;
    try {
      for (;;) {
        const due = hub.due(canTake);
        if (due.size === 0) return;
        let canRead = true;
        for (const some of inGroups(due)) {
          // After a failure the cards stay due until the feed can be read again, at the next poll.
          const beganMs = ports.monotonicMs();
          if (canRead) canRead = await this.#sendCards(some);
          else for (const [id, read] of some) hub.unread(id, read);
          // A state file is read synchronously: others have their turn between two groups.
          await setImmediate();
          // Reading the cards that sidecars claim to hold takes at most half of the time, however many they are.
          if (some.some(isClaim)) await this.#rest(ports.monotonicMs() - beganMs);
        }
        if (!canRead) return;
      }
    } finally {
      this.#isReading = false;
    }
  }

  /** Reads the cards of some sidecars at once, each card once. Gives whether the database could be read. */
  async #sendCards(due: readonly Due[]): Promise<boolean> {
    const { hub, engine, rightsOf } = this.#options;
    const wanted = new Map<string, { readonly card: CardToRead; readonly at: number }>();
    for (const card of due.flatMap(([, read]) => read)) {
      const name = nameOf(card);
      if (!wanted.has(name)) wanted.set(name, { card, at: wanted.size });
    }
    const found = await engine.cards([...wanted.values()].map(({ card }) => card));
    for (const [id, read] of due) {
      const rights = rightsOf(id);
      if (isStoreFailure(found) || rights === undefined) {
        hub.unread(id, read);
        continue;
      }
      const cards = read.map((card) => found.cards[wanted.get(nameOf(card))?.at ?? -1] ?? null);
      hub.send(id, read, { cards: cards.map((card) => permittedCard(card, rights)), head: found.seq });
    }
    this.#flush();
    return !isStoreFailure(found);
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.after(Math.min(ms, MAX_REST_MS), resolve));
  }

  #flush(): void {
    const { hub, write } = this.#options;
    for (const [id, downs] of hub.outgoing()) for (const down of downs) write(id, down);
  }
}

/** Longest rest between two groups. */
const MAX_REST_MS = 10;

/** Cards that are due to a sidecar. */
type Due = readonly [id: StreamId, read: readonly CardToRead[]];

/** Whether cards are read because a sidecar claims to hold them, not because they have changed. */
const isClaim = ([, read]: Due): boolean => read.some(({ isLinked }) => !isLinked);

/** Sidecars whose cards are read together: at most so many cards, unless a single sidecar has more. */
const MAX_CARDS = 32;

function inGroups(due: ReadonlyMap<StreamId, readonly CardToRead[]>): readonly (readonly Due[])[] {
  const groups: Due[][] = [];
  let cards = 0;
  for (const one of due) {
    const group = groups.at(-1);
    cards += one[1].length;
    if (group !== undefined && cards <= MAX_CARDS) group.push(one);
    else {
      groups.push([one]);
      cards = one[1].length;
    }
  }
  return groups;
}

/** Names what is read for a card. */
const nameOf = ({ key, jtiDigests }: CardToRead): string => JSON.stringify([key.issuer, key.id, jtiDigests]);
