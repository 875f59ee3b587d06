import type { FeedPlace } from './feed-place.ts';
import type { CardToRead, SidecarStream, StreamId } from '../sidecar-stream.ts';

/** Cards read and sent together. Each is at most some 64 KiB, and a message at most 4 MiB. */
const CARDS_AT_ONCE = 32;

/** What is due to each stream now. */
type Due = Map<StreamId, readonly CardToRead[]>;

/**
 * Which cards are read next. Changes of held tasks go first, all of them. Of the tasks that a `Hello` claims to hold, 32 cards at a time are
 * read, and identities take turns: a list of any length, under any number of instances, delays changes by a single reading, and another
 * identity by one reading per waiting identity.
 */
export class DueCards {
  /** Streams that may have cards due. */
  readonly #streams = new Set<SidecarStream>();
  /** When each identity had its last turn, of those whose lists are not read yet. */
  #turns = new Map<string, number>();
  #turn = 0;

  add(stream: SidecarStream): void {
    this.#streams.add(stream);
  }

  delete(stream: SidecarStream): void {
    this.#streams.delete(stream);
  }

  /**
   * The cards to read now for each stream.
   * @param canTake whether the connection takes more at the moment
   */
  next(place: FeedPlace, canTake: (id: StreamId) => boolean): ReadonlyMap<StreamId, readonly CardToRead[]> {
    const due: Due = new Map();
    const claiming = new Map<string, SidecarStream[]>();
    for (const stream of this.#streams) {
      if (!canTake(stream.id)) continue;
      const others = claiming.get(stream.peer);
      if (stream.isWhole) this.#take(stream, place, due);
      else if (others === undefined) claiming.set(stream.peer, [stream]);
      else others.push(stream);
    }
    this.#turns = new Map([...claiming.keys()].map((peer) => [peer, this.#turns.get(peer) ?? 0]));
    const peers = [...this.#turns].toSorted(([, a], [, b]) => a - b);
    let left = CARDS_AT_ONCE;
    for (const [peer] of peers) {
      for (const stream of claiming.get(peer) ?? []) {
        if (left <= 0) return due;
        left -= this.#take(stream, place, due);
        this.#turns.set(peer, (this.#turn += 1));
      }
    }
    return due;
  }

  /** Gives how many cards of the stream are due. */
  #take(stream: SidecarStream, place: FeedPlace, due: Due): number {
    const cards = stream.toRead(place, CARDS_AT_ONCE);
    if (cards !== null) due.set(stream.id, cards);
    else if (stream.reading === null) this.#streams.delete(stream);
    return cards?.length ?? 0;
  }
}
