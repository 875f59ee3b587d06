import { LinkedQueue, QueueNode } from './linked-queue.ts';

/** The waiting nodes of one party, oldest first. Every way out of it leads through `drop`. */
class Party<T> extends LinkedQueue<T> {
  readonly name: string;
  /** Its node among the parties that take turns. */
  readonly turn = new QueueNode<Party<T>>(this);
  readonly #onDrop: (party: Party<T>) => void;

  constructor(name: string, onDrop: (party: Party<T>) => void) {
    super();
    this.name = name;
    this.#onDrop = onDrop;
  }

  override drop(node: QueueNode<T>): void {
    super.drop(node);
    this.#onDrop(this);
  }
}

/**
 * A queue in which parties take turns: a party that adds a thousand nodes delays another by one node, not by a thousand. The order within a party is
 * that of arrival. Adding, removing and taking the next node are O(1). It has no limit of its own: its owner bounds its length.
 */
export class FairQueue<T> {
  readonly #parties = new Map<string, Party<T>>();
  readonly #turns = new LinkedQueue<Party<T>>();
  #length = 0;

  /** Number of nodes. */
  get length(): number {
    return this.#length;
  }

  /** Appends a node to those of a party. It may leave at any time, by `QueueNode.leave`. */
  join(node: QueueNode<T>, name: string): void {
    node.leave();
    this.#partyOf(name).join(node);
    this.#length += 1;
  }

  /** Puts a node before those of its party, whose turn stays the same. */
  joinFirst(node: QueueNode<T>, name: string): void {
    node.leave();
    this.#partyOf(name).joinFirst(node);
    this.#length += 1;
  }

  #partyOf(name: string): Party<T> {
    const known = this.#parties.get(name);
    if (known !== undefined) return known;
    const party = new Party<T>(name, this.#dropped);
    this.#parties.set(name, party);
    this.#turns.join(party.turn);
    return party;
  }

  /** Removes and returns the oldest value of the party whose turn it is; `undefined` if the queue is empty. */
  shift(): T | undefined {
    const party = this.#turns.first;
    if (party === undefined) return undefined;
    this.#turns.join(party.turn);
    return party.shift();
  }

  readonly #dropped = (party: Party<T>): void => {
    this.#length -= 1;
    if (party.length > 0) return;
    party.turn.leave();
    this.#parties.delete(party.name);
  };
}
