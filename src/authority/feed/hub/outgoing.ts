import type { Down } from '../../../core/fleet/messages.ts';
import type { StreamId } from '../sidecar-stream.ts';

/** The messages that are due to each stream, in order, until they are taken. */
export class DueMessages {
  #queues = new Map<StreamId, Down[]>();

  add(id: StreamId, down: Down): void {
    const queue = this.#queues.get(id);
    if (queue === undefined) this.#queues.set(id, [down]);
    else queue.push(down);
  }

  /** The stream has ended: what was due to it is not sent. */
  drop(id: StreamId): void {
    this.#queues.delete(id);
  }

  /** All that is due since the last call. */
  taken(): ReadonlyMap<StreamId, readonly Down[]> {
    const queues = this.#queues;
    this.#queues = new Map();
    return queues;
  }
}
