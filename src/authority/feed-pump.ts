import { setImmediate } from 'node:timers/promises';
import type { Down } from '../fleet/messages.ts';
import type { Ports } from '../runtime/ports.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import type { SidecarRights } from './authorize.ts';
import type { Engine } from './engine.ts';
import type { FeedHub } from './feed-hub.ts';
import { placeOf } from './feed-place.ts';
import { permittedCard } from './permitted-card.ts';
import type { CardToRead, StreamId } from './sidecar-stream.ts';

/** Options of a pump. */
export interface FeedPumpOptions {
  readonly hub: FeedHub;
  readonly engine: Engine;
  readonly ports: Pick<Ports, 'monotonicMs'>;
  /** The rights of a connected sidecar; `undefined` where it is not connected. */
  readonly rightsOf: (id: StreamId) => SidecarRights | undefined;
  /** Whether a sidecar reads what it is sent. */
  readonly canTake: (id: StreamId) => boolean;
  readonly write: (id: StreamId, down: Down) => void;
  /** `FollowersOptions.readKeys`. */
  readonly readKeys: ((position: number) => Promise<boolean>) | undefined;
  /** Sends the keys to all sidecars. */
  readonly keysChanged: () => void;
}

/** Brings the feed and the cards from the database to the hub, and what the hub says to the streams. */
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
    const { hub, engine, keysChanged, ports, readKeys } = this.#options;
    const found = await engine.feedAfter(hub.position);
    if (isStoreFailure(found)) return false;
    const to = found === null ? await placeOf(engine) : { seq: found.position, mark: found.mark };
    if (isStoreFailure(to)) return false;
    // INVARIANT: sidecars get keys before the position that an acknowledgement of them names.
    const isOfKeys = found === null || found.changes.some(({ part }) => part === 'keys');
    if (isOfKeys && (await readKeys?.(to.seq)) === false) return false;
    if (isOfKeys) keysChanged();
    hub.changed(found?.changes ?? null, to, ports.monotonicMs());
    this.advance();
    return true;
  }

  async #readCards(): Promise<void> {
    const { hub, canTake } = this.#options;
    this.#isReading = true;
    try {
      for (;;) {
        const due = hub.due(canTake);
        if (due.size === 0) return;
        let canRead = true;
        for (const [id, read] of due) {
          // After a failure the cards stay due until the feed can be read again, at the next poll.
          if (canRead) canRead = await this.#sendCards(id, read);
          else hub.unread(id, read);
          // Reading is synchronous: others have their turn between two sidecars.
          await setImmediate();
        }
        if (!canRead) return;
      }
    } finally {
      this.#isReading = false;
    }
  }

  /** Gives whether the database could be read. */
  async #sendCards(id: StreamId, read: readonly CardToRead[]): Promise<boolean> {
    const { hub, engine, rightsOf } = this.#options;
    const found = await engine.cards(read);
    const rights = rightsOf(id);
    if (isStoreFailure(found) || rights === undefined) hub.unread(id, read);
    else hub.send(id, read, { cards: found.cards.map((card) => permittedCard(card, rights)), head: found.seq });
    this.#flush();
    return !isStoreFailure(found);
  }

  #flush(): void {
    const { hub, write } = this.#options;
    for (const [id, downs] of hub.outgoing()) for (const down of downs) write(id, down);
  }
}
